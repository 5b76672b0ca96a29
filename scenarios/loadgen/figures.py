"""What LoadGen's formulas are made of: its sorted latencies, its token counts, its moments.

A sample has as many tokens as the SUT says (we count only where it does not say): LoadGen has no
other source. It takes one token for none, with an error, and divides by (tokens - 1) whatever that
is: the TPOT of an answer of one token or none is ttft - latency, a negative number, and takes part
in percentiles, means and early stopping (logging.cc, 6.0.17).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.kernel.log import RunLog
from harness.kernel.types import Int64s, RunSettings
from scenarios.loadgen.settings import Effective, effective
from scenarios.multi_stream import query_latency_ns


@dataclass(frozen=True, slots=True)
class Figures:
    """Arrays are sorted; seconds count from the start; "last" is the query issued last."""

    settings: RunSettings
    e: Effective
    queries: int
    latency_ns: Int64s  # of completed samples
    query_ns: Int64s  # of queries whose samples all completed
    ttft_ns: Int64s
    tpot_ns: Int64s
    tokens: int
    last_issued_s: float
    last_due_s: float
    last_done_s: float
    max_latency_s: float


def figures(log: RunLog, settings: RunSettings) -> Figures:
    done = log.completed
    streamed = done & (log.first_ns >= 0)
    latency_ns = np.sort(log.latency_ns[done])
    counted = _counted(log)
    n = len(log)
    last = slice(int(np.searchsorted(log.query_id, log.query_id[-1])) if n else 0, n)
    multi_stream = settings.scenario == "multi-stream"
    return Figures(
        settings=settings,
        e=effective(settings),
        queries=log.num_queries,
        latency_ns=latency_ns,
        query_ns=np.sort(query_latency_ns(log)) if multi_stream else latency_ns,
        ttft_ns=np.sort(log.ttft_ns[streamed]),
        tpot_ns=np.sort(_tpot_ns(log, counted)[streamed]),
        tokens=int(counted[done].sum()),
        last_issued_s=int(log.issued_ns[-1]) / 1e9 if n else 0.0,
        last_due_s=int(log.due_ns[-1]) / 1e9 if n else 0.0,
        last_done_s=int(log.done_ns[last].max(initial=0)) / 1e9,
        max_latency_s=int(latency_ns[-1]) / 1e9 if len(latency_ns) else 0.0,
    )


def _counted(log: RunLog) -> Int64s:
    """Return (n,) tokens per sample as LoadGen counts them."""
    said = log.tokens_as_reported
    return np.where(said > 1, said, 0)


def _tpot_ns(log: RunLog, counted: Int64s) -> Int64s:
    """Return (n,) nanoseconds per token after the first, rounded towards zero as C++ divides."""
    rest_ns = log.done_ns - log.first_ns
    return np.where(counted > 1, rest_ns // np.maximum(counted - 1, 1), -rest_ns)


def at(values: Int64s, p: float) -> int | None:
    """Return percentile p of sorted values; None if there are none."""
    return int(values[int(len(values) * p)]) if len(values) else None


def mean(values: Int64s) -> int | None:
    """Divide as LoadGen does, without a sign: the mean of two or more becomes huge if their sum is
    negative.
    """
    if not len(values):
        return None
    divided = int(values.astype(np.uint64).sum()) // len(values)
    return divided if divided < 1 << 63 else divided - (1 << 64)


def per(amount: float, divisor: float) -> float | None:
    return amount / divisor if divisor else None
