"""Who is better by a column of a family, decidedly? And where do likelihoods and answers disagree?

Two members that were asked the same are told apart question by question, or text by text, where
what lies behind their figures is known:

    task_solved    Newcombe's interval and McNemar's exact test, which must both exclude that they
                   are equal, where answers are right or wrong; else the paired bootstrap
    rougeL         the paired bootstrap over questions
    perplexity     over the answers that both have scored
    of texts       as `harness perplexity` has told them apart
    tokens_per_s   part by part of both runs

else by their intervals (MOVER, `harness.study.best.apart`). Each at 95 %, uncorrected for the
number of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from accuracy.gate.paired import Paired, difference, paired
from accuracy.orders import Order, kendall
from accuracy.ranking import Losses, Pace, losses_beside, rates_beside, scores_beside
from accuracy.resampling import Estimate
from accuracy.tasks.marks import Marks
from harness.study.best.apart import Call, decided, is_better
from harness.study.best.apart import difference as alone
from harness.study.best.ranks import Places
from harness.study.family.columns import QUALITY, Column
from harness.study.family.told import Texts, Told, questions_of_both

Row = dict[str, Any]


class Apart(NamedTuple):
    """How one member stands to another by a column. `less` is one less the other: in the column's
    unit where `is_in_unit`, else in another that has the same sign.
    """

    call: Call
    less: Estimate
    is_in_unit: bool
    counts: Paired | None = None


class Standing:
    """How the members of a family stand to one another."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Apart] = {}

    def apart(self, column: Column, label: str, other: str) -> Apart:
        """Say how two members stand that both have the column's figure; each pair is asked once."""
        key = column.key, label, other
        if key not in self._known:
            self._known[key] = self._apart(column, label, other)
        return self._known[key]

    def _apart(self, column: Column, label: str, other: str) -> Apart:
        ours, theirs = column.told[label], column.told[other]
        if ours.among != theirs.among:
            return Apart("open", Estimate(None), False)
        less, is_in_unit, counts = self._beside(column.name, ours, theirs)
        if less is None:
            less, is_in_unit = alone(ours.value, theirs.value), True
        call = decided(column.figure, less)
        if ours.value.value == theirs.value.value and call in ("tie", "open"):
            call = "same"
        return Apart(call, less, is_in_unit, counts)

    @staticmethod
    def _beside(name: str, ours: Told, theirs: Told) -> tuple[Estimate | None, bool, Paired | None]:
        """Return what pairs tell; nothing where there are none."""
        one, other = ours.behind, theirs.behind
        if isinstance(one, Marks) and isinstance(other, Marks):
            scores = questions_of_both(one, other)
            if not len(scores[0]):
                return None, False, None
            if one.is_right_or_wrong and other.is_right_or_wrong:
                counts = paired(*scores)
                return difference(counts), True, counts
            return scores_beside(*scores), True, None
        if isinstance(one, Losses) and isinstance(other, Losses):
            return losses_beside(one, other), False, None
        if isinstance(one, Pace) and isinstance(other, Pace):
            ratio = rates_beside(one, other)
            known = ratio if ratio.low is not None else None
            return known and known.map(lambda value: value - 1), False, None
        if isinstance(one, Texts) and isinstance(other, Texts) and ours.folder == theirs.folder:
            return one.less.get(other.label), name != "text_perplexity", None
        return None, False, None


# ---- places


def places(standing: Standing, column: Column) -> Iterator[tuple[str, Places]]:
    """Yield the places among those that rank together, at least two, and what they share."""
    for labels in column.groups:
        if len(labels) > 1:
            found = {one: 1 + sum(_is_ahead(standing, column, other, one) for other in labels)
                     for one in labels}  # fmt: skip
            unknown = [one for one in labels if column.told[one].value.low is None]
            yield column.told[labels[0]].among, Places(column.key, found, unknown)


def _is_ahead(standing: Standing, column: Column, one: str, than: str) -> bool:
    if one == than:
        return False
    found = standing.apart(column, one, than).call
    if found != "open":
        return found == "better"
    values = [column.told[label].value.value for label in (one, than)]
    ours, theirs = values
    return ours is not None and theirs is not None and is_better(column.figure, ours, theirs)


# ---- where likelihoods and answers disagree


class Disagreement(NamedTuple):
    """`better` is decidedly better by the likelihoods of `figure`, and decidedly worse than `but`
    by the answers of `other`. `is_first`: no other is better by `figure`.
    """

    figure: str
    other: str
    better: str
    but: str
    is_first: bool


def disagreements(standing: Standing, columns: Sequence[Column]) -> list[Disagreement]:
    """Return every pair of members that a likelihood and answers put in opposite orders, both
    decidedly; the widest apart by the answers first.
    """
    found = []
    for figure in _likelihoods(columns):
        ranked = list(places(standing, figure))
        for other in (one for one in columns if one.name in _ANSWERS):
            pairs = [
                Disagreement(figure.key, other.key, one, than, row.places[one] == 1)
                for _, row in ranked for one in row.places for than in row.places
                if _is_opposite(standing, figure, other, one, than)
            ]  # fmt: skip
            found += sorted(pairs, key=lambda pair: (not pair.is_first, -_gap(other, pair)))
    return found


def _likelihoods(columns: Sequence[Column]) -> list[Column]:
    return [one for one in once(columns) if one.name in _LIKELIHOODS]


_LIKELIHOODS = ("text_perplexity", "bits_per_byte", "perplexity")
_ANSWERS = ("task_solved", "rougeL", "evaluated", "evaluated_lower")


def once(columns: Sequence[Column]) -> list[Column]:
    """Return the columns without the perplexities of which bits per byte are known: they put models
    of one tokenizer in the same order, and others in none.
    """
    of = {(one.of, one.other) for one in columns if one.name == "bits_per_byte"}
    return [
        one for one in columns if one.name != "text_perplexity" or (one.of, one.other) not in of
    ]


def _is_opposite(standing: Standing, figure: Column, other: Column, one: str, than: str) -> bool:
    if one == than or one not in other.told or than not in other.told:
        return False
    if standing.apart(figure, one, than).call != "better":
        return False
    return standing.apart(other, one, than).call == "worse"


def _gap(column: Column, pair: Disagreement) -> float:
    ours, theirs = (column.told[label].value.value for label in (pair.better, pair.but))
    return abs((ours or 0.0) - (theirs or 0.0))


# ---- do two figures put the members in one order?


class Agreement(NamedTuple):
    """Of two columns, over the members that have both; `tau` is 1 where the best by one is the
    best by the other, and so on.
    """

    figure: str
    other: str
    among: str
    labels: list[str]
    order: Order


def agreements(columns: Sequence[Column]) -> list[Agreement]:
    """Return Kendall's tau of each pair of figures of quality that at least four members have."""
    quality = [one for one in once(columns) if one.name in QUALITY]
    found = []
    for place, figure in enumerate(quality):
        for other in quality[place + 1 :]:
            if figure.of == other.of and {figure.name, other.name} in _THE_SAME:
                continue
            for among, labels in _in_both(figure, other).items():
                order = kendall(_upward(figure, labels), _upward(other, labels))
                if order is not None:
                    found.append(Agreement(figure.key, other.key, among, labels, order))
    return found


_THE_SAME = ({"rougeL", "rouge_ratio"},)


def _in_both(figure: Column, other: Column) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for label, one in figure.told.items():
        if label in other.told:
            among = " and ".join(filter(None, (one.among, other.told[label].among)))
            groups.setdefault(among, []).append(label)
    return groups


def _upward(column: Column, labels: Sequence[str]) -> list[float]:
    """Return values that are larger the better."""
    sign = 1.0 if column.figure.better == "higher" else -1.0
    values = [column.told[label].value.value for label in labels]
    return [sign * value for value in values if value is not None]
