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
from harness.result.doubts.doubt import Doubt, Known, Severity

MOST_OFF = 0.10
_LABELS = {"ttft": "TTFT", "tpot": "TPOT", "latency": "latency"}


def few_samples(known: Known) -> Iterator[Doubt]:
    """Yield a doubt for all judged latencies that nothing bounds, and one for each that is wide."""
    p = known.settings.percentile
    if known.is_at_once or not 0 < p < 1:
        return
    found = {what: tail(values_ns, p) for what, values_ns in in_order(known.log).items()}
    limits = {verdict.rule: verdict.limit for verdict in known.verdicts}
    open_ended = {what: one for what, one in found.items() if one.estimate.high is None}
    if open_ended:
        yield _unbounded(open_ended, p)
    for what in [what for what in found if what not in open_ended]:
        name = f"{what}_{percentile_name(p)}"
        if (doubt := _wide(what, name, found[what], limits.get(name))) is not None:
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


def _unbounded(found: Mapping[str, Tail], p: float) -> Doubt:
    """Say that no sample surely lies beyond these percentiles."""
    name, samples = percentile_name(p), min(one.n for one in found.values())
    needed = max(math.ceil(samples_for_an_end(p) * one.inflation) for one in found.values())
    values = {what: (one.estimate.value or 0.0) / 1e6 for what, one in found.items()}
    told = [f"{_LABELS[what]} ({number(value)} ms)" for what, value in values.items()]
    listed = f"{', '.join(told[:-1])} and {told[-1]} have" if told[1:] else f"{told[0]} has"
    words = f"{name} {listed} no upper bound: {samples:,} samples, {needed:,} are needed"
    about = tuple(f"{what}_{name}_ms" for what in found)
    figures = {f"{what}_ms": value for what, value in values.items()}
    return Doubt(
        "few_samples", "serious", words, _remedy(needed), about,
        {**figures, "samples": samples, "samples_needed": needed},
    )  # fmt: skip


def _wide(what: str, name: str, found: Tail, limit_ms: float | None) -> Doubt | None:
    """Say how far a percentile may be off, where that is far or a limit lies in between."""
    value, low, high = found.estimate.map(lambda ns: ns / 1e6)
    assert value is not None
    assert high is not None
    low = value if low is None else low
    off = max(high - value, value - low) / value if value else 0.0
    is_open = limit_ms is not None and value <= limit_ms < high
    if off <= MOST_OFF and not is_open:
        return None
    needed = math.ceil(found.n * max(off / MOST_OFF, 1.0) ** 2)
    words = (
        f"{name.partition('_')[2]} {_LABELS[what]} of {number(value)} ms may be {number(low)} to"
    )
    words += f" {number(high)} ms in a longer run ({found.n:,} samples)"
    words += f": the limit of {number(limit_ms)} ms lies in between" if is_open else ""
    figures = {"value_ms": value, "low_ms": low, "high_ms": high, "samples": found.n}
    severity: Severity = "serious" if is_open else "minor"
    remedy = _remedy(max(needed, 2 * found.n) if is_open else needed)
    return Doubt("few_samples", severity, words, remedy, (f"{name}_ms",), figures)


def _remedy(needed: int) -> str:
    return f"run at least {needed:,} queries (--min-queries), or judge a lower percentile"
