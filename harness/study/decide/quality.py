"""How much of its reference's quality does a deployment keep? The accuracy runs of both in, the
gate's verdict out: by the gate's own code, its conditions included.

The reference keeps all of it, exactly. Without answers in the dataset the texts of the reference
are what a candidate is scored against, as in a gate.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from accuracy.gate.readings import Criteria, Reference
from accuracy.resampling import Estimate
from harness.kernel.errors import BadInput
from harness.study.gating.outputs import check_same, read, twin

USUAL_SHARE = 0.99


class Quality(NamedTuple):
    """ROUGE kept, of the kind that lost most, and the gate's word on it; `needed` is how many
    samples would decide it. `problem` says why it cannot be judged.
    """

    kept: Estimate
    status: str = ""  # PASS, FAIL, UNDECIDED; empty for the reference
    reason: str = ""
    needed: int | None = None
    problem: str = ""


OF_REFERENCE = Quality(Estimate(1.0, 1.0, 1.0), "PASS", "it is the reference")


def quality(reference: Path, candidate: Path, share: float) -> Quality:
    """Judge an accuracy run beside the reference's, at a share of its ROUGE."""
    if reference == candidate:
        return OF_REFERENCE
    try:
        own, other = read(reference), read(candidate)
        check_same(own, other)
        if same := twin(own, other):
            return _unjudged(same)
        if problem := own.problem or other.problem:
            whose = "the reference cannot be judged: " if own.problem else ""
            return _unjudged(f"{whose}{problem}")
        scored = Reference(own, Criteria(target=f"{100 * share:.10g}"))
        if scored.outputs.problem:
            return _unjudged(f"the reference cannot be judged: {scored.outputs.problem}")
        row = scored.row(other)
    except BadInput as error:
        return _unjudged(error.facts[1])
    ratios = row["readings"][scored.against]["ratios"]
    kinds = [one for one in ratios if one["calls"] and one["name"] not in ("tokens", "characters")]
    least = min(kinds, key=lambda one: _number(one["value"]), default=None)
    kept = (
        Estimate(None) if least is None else Estimate(least["value"], least["low"], least["high"])
    )
    return Quality(kept, row["status"], row["reason"], row["needed"])


def _number(value: float | None) -> float:
    return float("-inf") if value is None else value


def _unjudged(problem: str) -> Quality:
    return Quality(Estimate(None), "UNDECIDED", problem, None, problem)
