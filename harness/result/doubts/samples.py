"""Are there enough samples for the percentiles that the run is judged by?

An interval by order statistics (`accuracy.percentiles`) says how far the percentile of a longer run
may lie from this one's. There is a doubt where nothing bounds it from above, where it is wider than
MOST_OFF of the value on one side, or where a limit lies inside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from accuracy.percentiles import Tail, samples_for_an_end, tail
from harness.kernel.log import RunLog
from harness.kernel.stats import percentile_name
from harness.kernel.types import Int64s
from harness.kernel.words.figure import number
from harness.result.doubts.doubt import Doubt, Known

MOST_OFF = 0.10
_LABELS = {"ttft": "TTFT", "tpot": "TPOT", "latency": "latency"}


def few_samples(known: Known) -> Iterator[Doubt]:
    """Yield a doubt for each judged latency that too few samples stand behind."""
    p = known.settings.percentile
    if known.is_at_once or not 0 < p < 1:
        return
    limits = {verdict.rule: verdict.limit for verdict in known.verdicts}
    for what, values_ns in in_order(known.log).items():
        found = tail(values_ns, p)
        name = f"{what}_{percentile_name(p)}"
        doubt = _doubt(name, _LABELS[what], p, found, limits.get(name))
        if doubt is not None:
            yield doubt


def in_order(log: RunLog) -> Mapping[str, Int64s]:
    """Return the latencies of completed samples (n,) in the order in which they were due; TTFT and
    TPOT only where samples have them.
    """
    order = np.argsort(log.due_ns, kind="stable")
    order = order[log.completed[order]]
    timed = np.flatnonzero(log.has_tpot)
    first = order[log.first_ns[order] >= 0]
    found = {
        "ttft": log.ttft_ns[first],
        "tpot": log.tpot_ns[np.argsort(log.due_ns[timed], kind="stable")],
        "latency": log.latency_ns[order],
    }
    return {name: values for name, values in found.items() if len(values)}


def _doubt(name: str, label: str, p: float, found: Tail, limit_ms: float | None) -> Doubt | None:
    value, low, high = found.estimate.map(lambda ns: ns / 1e6)
    assert value is not None
    words = f"{percentile_name(p)} {label} of {number(value)} ms"
    about = (f"{name}_ms",)
    if high is None:
        needed = math.ceil(samples_for_an_end(p) * found.inflation)
        told = f"{words} has no upper bound: {found.n:,} samples, {needed:,} are needed"
        figures = {"value_ms": value, "samples": found.n, "samples_needed": needed}
        return _of(told, needed, about, figures, is_serious=True)
    low = value if low is None else low
    off = max(high - value, value - low) / value if value else 0.0
    is_open = limit_ms is not None and value <= limit_ms < high
    if off <= MOST_OFF and not is_open:
        return None
    needed = math.ceil(found.n * max(off / MOST_OFF, 1.0) ** 2)
    told = f"{words} may be {number(low)} to {number(high)} ms in a longer run"
    told += f": the limit of {number(limit_ms)} ms lies in between" if is_open else ""
    figures = {"value_ms": value, "low_ms": low, "high_ms": high, "samples": found.n}
    return _of(f"{told} ({found.n:,} samples)", needed, about, figures, is_serious=is_open)


def _of(
    words: str, needed: int, about: tuple[str, ...], figures: Mapping[str, float], is_serious: bool
) -> Doubt:
    remedy = f"run at least {needed:,} queries (--min-queries), or judge a lower percentile"
    severity = "serious" if is_serious else "minor"
    return Doubt("few_samples", severity, words, remedy, about, figures)  # type: ignore[arg-type]
