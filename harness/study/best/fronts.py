"""Which candidates does no other beat in both of two figures? The Pareto front: everything else is
dominated, and nobody who cares for these two figures alone would choose it.

Another candidate dominates one if it is at least as good by both figures and better by one. That is
`sure` where the intervals decide whatever is better, and where what is equal is equal exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from harness.kernel.words.judged import TABLE, Judged
from harness.study.best.apart import NO_PAIRS, Beside, call, is_better
from harness.study.best.candidates import Candidate

AGAINST = ("speed", "memory", "cost", "energy")  # what quality is set against
_FIRST = {  # of several that are known, the first is drawn
    "quality": ("task_solved", "rougeL", "rouge_ratio", "exact_match", "multiple_choice", "gsm8k",
                "bleu", "eval_loss", "text_perplexity"),
    "speed": ("valid_qps", "tokens_per_s", "samples_per_s"),
    "memory": ("peak_bytes", "weights_bytes", "disk_bytes"),
    "cost": ("usd_per_million_tokens", "usd_per_million_tokens_valid"),
    "energy": ("joules_per_token",),
}  # fmt: skip


class Dominated(NamedTuple):
    """`by` is the candidate that beats it most clearly."""

    label: str
    by: str
    sure: bool


class Front(NamedTuple):
    """Names of the figures, and the labels that have both: best by `against` first."""

    quality: str
    against: str
    labels: list[str]
    dominated: list[Dominated]

    def to_json(self) -> dict[str, Any]:
        return {**self._asdict(), "dominated": [one._asdict() for one in self.dominated]}


def fronts(candidates: Sequence[Candidate], beside: Beside = NO_PAIRS) -> list[Front]:
    """Return quality against speed, memory, cost and energy, where two candidates have both."""
    found = []
    quality = first_known(candidates, "quality")
    for about in AGAINST:
        against = first_known(candidates, about)
        if quality and against:
            found.append(front(candidates, quality, against, beside))
    return found


def first_known(candidates: Sequence[Candidate], about: str) -> Judged | None:
    """Return the figure about it that most candidates have, at least two of them; of equals one of
    quality that has intervals, then the first in the order of `_FIRST`.
    """
    counts = {name: sum(name in one.figures for one in candidates) for name in _FIRST[about]}

    def rank(name: str) -> tuple[int, bool]:
        known = [one.figures[name] for one in candidates if name in one.figures]
        return counts[name], about == "quality" and all(one.low is not None for one in known)

    name = max(counts, key=rank)
    return TABLE[name] if counts[name] > 1 else None


def front(
    candidates: Sequence[Candidate], quality: Judged, against: Judged, beside: Beside = NO_PAIRS
) -> Front:
    """Return the front of those that have both figures."""
    both = (quality, against)
    known = [one for one in candidates if all(figure.name in one.figures for figure in both)]
    dominated = [found for one in known if (found := _dominated(one, known, both, beside))]
    beaten = {one.label for one in dominated}
    kept = [one for one in known if one.label not in beaten]
    _sort(kept, against)
    return Front(quality.name, against.name, [one.label for one in kept], dominated)


def _dominated(
    one: Candidate, known: Sequence[Candidate], both: tuple[Judged, Judged], beside: Beside
) -> Dominated | None:
    """Name who dominates it: one who surely does, if there is any; of those the best by quality."""
    beating = [other for other in known if other is not one and _dominates(other, one, both)]
    for figure in reversed(both):
        _sort(beating, figure)
    sure = [other for other in beating if _is_sure(other, one, both, beside)]
    first = next(iter(sure or beating), None)
    return Dominated(one.label, first.label, bool(sure)) if first else None


def _dominates(other: Candidate, one: Candidate, both: tuple[Judged, Judged]) -> bool:
    pairs = [(figure, _value(other, figure), _value(one, figure)) for figure in both]
    at_least = all(ours == theirs or is_better(f, ours, theirs) for f, ours, theirs in pairs)
    return at_least and any(ours != theirs for _, ours, theirs in pairs)


def _is_sure(other: Candidate, one: Candidate, both: tuple[Judged, Judged], beside: Beside) -> bool:
    return all(call(figure, other, one, beside) in ("better", "same") for figure in both)


def _sort(candidates: list[Candidate], figure: Judged) -> None:
    """Put the best by a figure first; of equals the order stays."""
    candidates.sort(key=lambda one: _value(one, figure), reverse=figure.better == "higher")


def _value(one: Candidate, figure: Judged) -> float:
    value = one.figures[figure.name].value
    assert value is not None
    return value
