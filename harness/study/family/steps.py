"""What does a size up buy, and what does a precision down cost? And which answers does a precision
change behind a perplexity that hardly moves?

    size        the next larger model in the same precision
    precision   a variant beside its reference, the highest precision of the same model
    trade       a larger model in a lower precision beside a smaller one in full, where the larger
                takes no more memory for its weights
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from accuracy.resampling import Estimate, exp
from harness.study.best.apart import Call
from harness.study.family.columns import Column
from harness.study.family.members import Member, is_larger
from harness.study.family.standing import Apart, Standing

_STEPPED = ("text_perplexity", "bits_per_byte", "perplexity", "rougeL", "task_solved",
            "evaluated", "evaluated_lower")  # fmt: skip
Kind = Literal["size", "precision", "trade"]


class Step(NamedTuple):
    """`change` is the figure of `to` less that of `of`; NOTHING where it has another unit."""

    kind: Kind
    figure: str
    of: str
    to: str
    call: Call  # how `to` stands to `of`
    change: Estimate


def steps(standing: Standing, columns: Sequence[Column], members: Sequence[Member]) -> list[Step]:
    """Return the steps by each figure of quality that both ends have."""
    pairs = [*_sizes(members), *_precisions(members), *_trades(members)]
    return [
        _step(standing, column, kind, of, to)
        for column in columns if column.name in _STEPPED
        for kind, of, to in pairs
        if of in column.told and to in column.told
        and column.told[of].among == column.told[to].among
    ]  # fmt: skip


def _step(standing: Standing, column: Column, kind: Kind, of: str, to: str) -> Step:
    apart = standing.apart(column, to, of)
    change = apart.less
    if not apart.is_in_unit:
        ours, theirs = column.told[to].value.value, column.told[of].value.value
        known = ours is not None and theirs is not None
        change = Estimate(ours - theirs if known else None)  # type: ignore[operator]
    return Step(kind, column.key, of, to, apart.call, change)


def _sizes(members: Sequence[Member]) -> Iterator[tuple[Kind, str, str]]:
    for variant in dict.fromkeys(one.variant for one in members):
        same = [one for one in members if one.variant == variant]
        for small, large in pairwise(same):
            if is_larger(large, small):
                yield "size", small.label, large.label


def _precisions(members: Sequence[Member]) -> Iterator[tuple[Kind, str, str]]:
    for one in members:
        if one.reference is not None:
            yield "precision", one.reference.label, one.label


def _trades(members: Sequence[Member]) -> Iterator[tuple[Kind, str, str]]:
    for small in members:
        for large in members:
            if small.reference is not None or large.reference is None or large.has_adapter:
                continue
            sizes = small.facts["weights_bytes"], large.facts["weights_bytes"]
            if is_larger(large, small) and all(sizes) and sizes[1] <= sizes[0]:
                yield "trade", small.label, large.label


# ---- answers that change


class Flips(NamedTuple):
    """Questions of a task that the reference alone solves (`lost`), and the member alone (`won`).

    `perplexity` is the member's over its reference's, NOTHING where that is not known.
    """

    label: str
    reference: str
    figure: str
    n: int
    lost: int
    won: int
    p_value: float
    perplexity: Estimate
    texts: str  # column that the perplexity is of

    @property
    def share(self) -> float:
        return (self.lost + self.won) / self.n


def flips(standing: Standing, columns: Sequence[Column], members: Sequence[Member]) -> list[Flips]:
    """Return what each member changes of its reference's answers, for each task of both."""
    found = []
    for column in (one for one in columns if one.name == "task_solved"):
        for one in members:
            if one.reference is None or not {one.label, one.reference.label} <= column.told.keys():
                continue
            apart = standing.apart(column, one.label, one.reference.label)
            if apart.counts is not None:
                found.append(_flips(standing, columns, column, one, apart))
    return found


def _flips(
    standing: Standing, columns: Sequence[Column], column: Column, one: Member, apart: Apart
) -> Flips:
    assert one.reference is not None
    assert apart.counts is not None
    counts, reference = apart.counts, one.reference.label
    of, ratio = _perplexity(standing, columns, one.label, reference)
    return Flips(
        one.label, reference, column.key, round(counts.n), round(counts.only_reference),
        round(counts.only_candidate), counts.p_value, ratio, of,
    )  # fmt: skip


def _perplexity(
    standing: Standing, columns: Sequence[Column], label: str, reference: str
) -> tuple[str, Estimate]:
    """Return the perplexity of texts as a multiple of the reference's, and whose texts they are."""
    for column in columns:
        if column.name == "text_perplexity" and {label, reference} <= column.told.keys():
            apart = standing.apart(column, label, reference)
            if not apart.is_in_unit and apart.less.value is not None:
                return column.key, apart.less.map(exp)
            ours, theirs = (column.told[one].value.value for one in (label, reference))
            if ours and theirs:
                return column.key, Estimate(ours / theirs)
    return "", Estimate(None)
