"""Who comes first by which figure, and where do two figures disagree? The table of places.

A place is one more than the number of subjects that are decidedly better, as perplexity.json says
of each pair. Figures of one run (ROUGE, speed) have no interval, so they put subjects in order by
the figure alone, and the table says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple, Protocol

from reports.blocks import Column, Table
from reports.pages.likelihood import words
from reports.pages.likelihood.words import Measured, Subject, Summary, measured

_OPPOSITE = {"better": "worse", "worse": "better"}
_DECISIVE = ("better", "worse")


class Figure(NamedTuple):
    """A figure by which subjects are put in order, where in a subject it stands, and under which
    name the pairs hold it, if they do.
    """

    name: str
    of: str
    key: str
    pair: str = ""
    most_is_best: bool = False
    cost: bool = False  # else quality
    exact: bool = False  # needs no interval


FIGURES = (
    Figure("perplexity", "figures", "perplexity", "eval_loss"),
    Figure("bits/byte", "figures", "bits_per_byte", "bits_per_byte"),
    Figure("token accuracy", "figures", "token_accuracy", "token_accuracy", most_is_best=True),
    Figure("KL mean", "divergence", "mean_kld", "mean_kld"),
    Figure("ROUGE-L", "beside", "rougeL", most_is_best=True),
    Figure("exact match", "beside", "exact_match", most_is_best=True),
    Figure("tokens/s read", "figures", "tokens_per_s", most_is_best=True, cost=True),
    Figure("tokens/s written", "beside", "answer_tokens_per_s", most_is_best=True, cost=True),
    Figure("weights", "figures", "weights_bytes", cost=True, exact=True),
)


class Named(Protocol):
    """A subject with its label on the page."""

    @property
    def label(self) -> str: ...
    @property
    def subject(self) -> Subject: ...


class Held:
    """The pairs of perplexity.json, by the labels of the page."""

    def __init__(self, summary: Summary, names: Mapping[str, str]) -> None:
        self._decisions: dict[tuple[str, str, str], str] = {}
        for row in summary.get("pairs") or ():
            first, second = names.get(row["first"]), names.get(row["second"])
            if first is None or second is None:
                continue
            for key, found in row.items():
                if isinstance(found, Mapping):
                    decision = str(found["decision"])
                    self._decisions[first, second, key] = decision
                    self._decisions[second, first, key] = _OPPOSITE.get(decision, decision)

    def decision(self, one: str, other: str, key: str) -> str:
        """Return whether one is better, worse, tied with, or the same as the other; open if nothing
        is known.
        """
        return self._decisions.get((one, other, key), "open")


class _Column:
    """The subjects that have a figure, and how they stand by it."""

    def __init__(self, figure: Figure, known: Mapping[str, Measured], held: Held) -> None:
        self.figure, self.known, self._held = figure, known, held

    @property
    def name(self) -> str:
        alone = not self.figure.pair and not self.figure.exact
        return f"{self.figure.name} *" if alone else self.figure.name

    def decision(self, one: str, other: str) -> str:
        if self.figure.pair:
            return self._held.decision(one, other, self.figure.pair)
        ours, theirs = self.known[one].value, self.known[other].value
        if ours == theirs:
            return "same"
        return "better" if (ours > theirs) == self.figure.most_is_best else "worse"

    def place(self, label: str) -> int | None:
        if label not in self.known:
            return None
        others = (other for other in self.known if other != label)
        return 1 + sum(self.decision(other, label) == "better" for other in others)


class Ranks(NamedTuple):
    """The table of places, and where two figures of quality disagree."""

    table: Table
    disagreements: list[str]


def ranks(summary: Summary, sides: Sequence[Named], held: Held) -> Ranks | None:
    """Return places by each figure, and where two figures of quality disagree; None if there is
    nothing to compare.
    """
    columns = [made for figure in FIGURES if (made := _column(figure, summary, sides, held))]
    if len(columns) < 2 or len(sides) < 2:
        return None
    note = (
        "A place is one more than the number of those that are decidedly better: the 95 % interval"
        " of the paired difference over texts is all on one side. Otherwise it is a tie, and the"
        " place is shared."
    )
    if any(column.name.endswith("*") for column in columns):
        note += " * by the figure alone: one run each, no interval."
    heads = [Column("subject", "", words=True)]
    heads += [Column(column.name, column.name, toned=_first) for column in columns]
    rows = [[side.label, *(column.place(side.label) for column in columns)] for side in sides]
    table = Table("Places by each figure, 1 is best", heads, rows, note)
    return Ranks(table, _disagreements([one for one in columns if not one.figure.cost]))


def _first(place: int) -> str:
    return "strong" if place == 1 else ""


def _column(figure: Figure, summary: Summary, sides: Sequence[Named], held: Held) -> _Column | None:
    if figure.key in ("perplexity", "token_accuracy") and not words.comparable(summary):
        return None
    known = {}
    for side in sides:
        if found := measured(side.subject.get(figure.of), figure.key):
            known[side.label] = found
    models = {side.subject["model"] for side in sides if side.label in known}
    if len(known) < 2 or (figure.of == "divergence" and len(models) > 1):
        return None  # each model has a reference of its own
    return _Column(figure, known, held)


def _disagreements(columns: Sequence[_Column]) -> list[str]:
    """Name the pairs that the first figure and another one put in opposite orders; an order that is
    not decided disagrees with none.
    """
    said = []
    for column in columns[1:]:
        first = columns[0]
        labels = [label for label in first.known if label in column.known]
        for one, other in combinations(labels, 2):
            decisions = first.decision(one, other), column.decision(one, other)
            if set(decisions) != set(_DECISIVE):
                continue
            better, worse = (one, other) if decisions[0] == "better" else (other, one)
            alone = "" if column.figure.pair else " (one run each, no interval)"
            said.append(
                f"{better} is ahead of {worse} by {first.figure.name},"
                f" behind it by {column.figure.name}{alone}"
            )
    return said
