"""What did the test of two sides find? Runs in, one object for JSON, page, screen and exports out.

A side is the runs of one deployment: a single run, or its repeats. All figures of a pair of sides
are one family: at most one pair in twenty in which nothing differs is said to differ in anything
(Holm's correction).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.kernel.stats import holm
from harness.study.effects.effect import CONFIDENCE, Effect, effect, rounded
from harness.study.effects.figures import Figure, to_test
from harness.study.effects.limits import Limit, Verdict, judge, overall
from harness.study.effects.readings import Reading

SIGNIFICANCE = 1 - CONFIDENCE
Found = dict[str, Any]


class Side(NamedTuple):
    """The runs of one deployment: a reading of each figure of each run."""

    label: str
    runs: Sequence[Mapping[str, Reading]]


def compared(before: Side, after: Side, more: Sequence[Figure] = ()) -> Found:
    """Return what differs between two sides, figure by figure."""
    pairs = [(figure, _effect(figure, before, after)) for figure in to_test(more)]
    known = [(figure, found) for figure, found in pairs if found is not None]
    is_tested = [(figure, found) for figure, found in known if found.error is not None]
    corrected = dict(
        zip(
            [figure.name for figure, _ in is_tested],
            holm([found.p for _, found in is_tested]),
            strict=True,
        )
    )
    level = SIGNIFICANCE / max(1, len(is_tested))
    rows = [_row(figure, found, corrected.get(figure.name), level) for figure, found in known]
    return {
        "label": after.label,
        "baseline": before.label,
        "runs": [len(before.runs), len(after.runs)],
        "unit": "samples" if len(before.runs) == len(after.runs) == 1 else "runs",
        "refused": "",
        "figures": rows,
    }


def refused(before: Side, after: Side, why: str) -> Found:
    """Return the same where no test was made."""
    found = compared(before._replace(runs=()), after._replace(runs=()))
    return found | {"runs": [len(before.runs), len(after.runs)], "refused": why}


def held(
    limits: Sequence[Limit], before: Side, afters: Sequence[Side], unfit: Sequence[Found] = ()
) -> Found:
    """Judge every other side by the limits, beside the first; those that are `unfit` for a test
    are INCONCLUSIVE.
    """
    terms = [
        _term(limit, side.label, verdict)
        for side in afters
        for limit, verdict in zip(limits, judge(limits, before.runs, side.runs), strict=True)
    ]
    for one in unfit:
        why = Verdict("INCONCLUSIVE", None, why=one["refused"])
        terms += [_term(limit, one["label"], why) for limit in limits]
    return {"status": overall([term["status"] for term in terms]), "terms": terms}


def _effect(figure: Figure, before: Side, after: Side) -> Effect | None:
    first, second = (
        [run[figure.name] for run in side.runs if figure.name in run] for side in (before, after)
    )
    return effect(first, second) if first and second else None


def _row(figure: Figure, found: Effect, p: float | None, level: float) -> Found:
    smallest = found.smallest(level)
    return {
        "name": figure.name,
        "label": figure.label,
        "unit": figure.unit,
        **_change(found),
        "p": found.p if p is not None else None,
        "p_corrected": p,
        "verdict": _word(figure, found, p),
        "smallest": None if smallest is None else _shown(smallest, found),
        "size": found.size,
        "why": found.why,
    }


def _term(limit: Limit, label: str, verdict: Verdict) -> Found:
    change = _change(verdict.found) if verdict.found else None
    return {
        "label": label,
        "limit": limit.text,
        "figure": limit.figure.name,
        "unit": limit.figure.unit,
        "status": verdict.status,
        **(change or {"before": None, "after": None, "is_ratio": True, "change": NOTHING}),
        "needed": None if verdict.needed is None else rounded(verdict.needed),
        "needed_unit": verdict.found.unit if verdict.found else "samples",
        "size": verdict.found.size if verdict.found else 0,
        "why": verdict.why,
    }


NOTHING: dict[str, float | None] = {"value": None, "low": None, "high": None}


def _change(found: Effect) -> Found:
    """Return both sides and the change, a share of the first (0.05) or a difference."""
    low, high = found.ends() or (None, None)
    ends = {"value": found.change, "low": low, "high": high}
    change = {name: None if end is None else _shown(end, found) for name, end in ends.items()}
    return {
        "before": found.before,
        "after": found.after,
        "is_ratio": found.is_ratio,
        "change": change,
    }


def _shown(change: float, found: Effect) -> float | None:
    """Return a change as people have it; None where it is beyond all numbers."""
    try:
        return math.expm1(change) if found.is_ratio else change
    except OverflowError:
        return None


def _word(figure: Figure, found: Effect, p: float | None) -> str:
    """Say what the data show of a figure."""
    if p is None:
        return "not tested"
    if p >= SIGNIFICANCE:
        return "no difference shown"
    is_better = (found.change < 0) == (figure.better == "lower")
    return "better" if is_better else "worse"
