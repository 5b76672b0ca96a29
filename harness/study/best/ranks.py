"""Who is first by each figure, and where do the figures disagree?

A candidate's place is one more than the number of those that are decidedly better, so that a tie
shares a place. A figure without an interval places by its value alone, and is `open`: nothing else
rests on it. Two figures disagree where the first by one is decidedly not among the first by the
other: "lowest perplexity, not best at reasoning".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any, NamedTuple

from accuracy.resampling import Estimate
from harness.kernel.words.judged import TABLE, Judged
from harness.study.best.apart import NO_PAIRS, Beside, call, is_better
from harness.study.best.candidates import Candidate


class Places(NamedTuple):
    """By label. `open` are those whose figure has no interval."""

    figure: str
    places: dict[str, int]
    open: list[str]

    @property
    def first(self) -> list[str]:
        """Return the labels in the first place."""
        return [label for label, place in self.places.items() if place == 1]


class Disagreement(NamedTuple):
    """The only first by `figure` is decidedly behind `better` by `other`. Kinds of task are named
    where the figures are of one kind.
    """

    label: str
    figure: str
    other: str
    better: str
    kind: str = ""


def ranks(candidates: Sequence[Candidate], beside: Beside = NO_PAIRS) -> list[Places]:
    """Return the places by every figure that at least two candidates have, in the table's order."""
    found = []
    for figure in TABLE.values():
        known = [one for one in candidates if figure.name in one.figures]
        if len(known) > 1:
            found.append(places(known, figure, beside))
    return found


def places(known: Sequence[Candidate], figure: Judged, beside: Beside = NO_PAIRS) -> Places:
    """Return the places of candidates that have the figure."""
    found = {
        one.label: 1 + sum(_is_ahead(figure, other, one, beside) for other in known)
        for one in known
    }
    unknown = [one.label for one in known if one.figures[figure.name].low is None]
    return Places(figure.name, found, unknown)


def _is_ahead(figure: Judged, one: Candidate, than: Candidate, beside: Beside) -> bool:
    found = call(figure, one, than, beside)
    if found != "open":
        return found == "better"
    ours, theirs = (candidate.figures[figure.name].value for candidate in (one, than))
    return ours is not None and theirs is not None and is_better(figure, ours, theirs)


def disagreements(
    candidates: Sequence[Candidate], ranked: Sequence[Places], beside: Beside = NO_PAIRS
) -> list[Disagreement]:
    """Return where figures of quality disagree, each pair of figures at most once; then the kinds
    of task at which the best of all is not the best.
    """
    quality = [row for row in ranked if TABLE[row.figure].about == "quality"]
    found: list[Disagreement] = []
    for one, other in permutations(quality, 2):
        if TABLE[one.figure].label == TABLE[other.figure].label:
            continue
        said = _disagreement(candidates, one, other, beside)
        told = {(row.label, row.better) for row in found}
        if said is not None and (said.label, said.better) not in told:
            found.append(said)
    return [*found, *_by_kind(candidates, quality)]


def _disagreement(
    candidates: Sequence[Candidate], one: Places, other: Places, beside: Beside
) -> Disagreement | None:
    if len(one.first) != 1 or other.places.get(one.first[0], 1) == 1:
        return None
    by_label = {candidate.label: candidate for candidate in candidates}
    best, figure = by_label[one.first[0]], TABLE[other.figure]
    for label in other.first:
        if call(figure, by_label[label], best, beside) == "better":
            return Disagreement(best.label, one.figure, other.figure, label)
    return None


def _by_kind(candidates: Sequence[Candidate], quality: Sequence[Places]) -> list[Disagreement]:
    """Return the kinds of task at which the only first by any figure is decidedly not the first."""
    leaders = {row.first[0]: row.figure for row in reversed(quality) if len(row.first) == 1}
    found: list[Disagreement] = []
    for row in kinds(candidates):
        for label, figure in leaders.items():
            if row["places"].get(label, 1) > 1:
                first = next(name for name, place in row["places"].items() if place == 1)
                found.append(Disagreement(label, figure, row["figure"], first, row["kind"]))
    return found


def kinds(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Return a row for each figure and kind of task that two candidates have: values and places."""
    names = dict.fromkeys(
        (figure, kind) for one in candidates for figure in one.kinds for kind in one.kinds[figure]
    )
    found = []
    for figure, kind in names:
        of = {one.label: one.kinds.get(figure, {}).get(kind) for one in candidates}
        known = {label: value for label, value in of.items() if value is not None}
        if len(known) > 1:
            found.append(_kind(TABLE[figure], kind, known))
    return found


def _kind(figure: Judged, kind: str, known: dict[str, Estimate]) -> dict[str, Any]:
    alone = [Candidate(label, {figure.name: value}) for label, value in known.items()]
    return {
        "figure": figure.name,
        "kind": kind,
        "values": {label: value._asdict() for label, value in known.items()},
        "places": places(alone, figure).places,
    }
