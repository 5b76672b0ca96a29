"""What do the repeats of a point say together? Their mean, and how sure it is.

The interval is Student's, of the mean of n repeats at 95 %: mean +- t(n-1) s / sqrt(n). It covers
what differs from one run to the next; questions and arrivals are the same in all of them. A single
run has no interval.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.study.comparison.verdict import ENDED

_CONFIDENCE = 0.95
Run = Mapping[str, Any]


class Folded(NamedTuple):
    """The mean of n runs with the ends of its interval; these are None of one run."""

    value: float
    low: float | None
    high: float | None
    n: int


def folded(values: Sequence[float]) -> Folded:
    """Return the mean of at least one value, with its interval."""
    from scipy.special import stdtrit

    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Folded(mean, None, None, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, (1 + _CONFIDENCE) / 2)) * deviation / math.sqrt(n)
    return Folded(mean, mean - half, mean + half, n)


def figures_of(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Fold each figure over those of the runs that ended and have it."""
    ended = [run["figures"] for run in runs if run["status"] in ENDED]
    names = dict.fromkeys(name for figures in ended for name in figures)
    return {
        name: folded([figures[name] for figures in ended if name in figures])._asdict()
        for name in names
    }


def status_of(runs: Sequence[Run], refused: str) -> tuple[str, str]:
    """Return the status of a point and its reason: what most of its runs were, the worst of equals;
    how many, where they differ.
    """
    if refused:
        return "REFUSED", refused
    if not runs:
        return "NOT RUN", ""
    counts = Counter(run["status"] for run in runs)
    most = max(counts, key=lambda status: (counts[status], status != "VALID"))
    reasons = [run["reason"] for run in runs if run["status"] == most and run["reason"]]
    reason = reasons[0] if reasons else ""
    if len(counts) == 1:
        return most, reason
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return most, f"{told} of {len(runs)} runs" + (f"; {reason}" if reason else "")
