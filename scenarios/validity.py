"""Is the run long enough, fast enough, and was the driver itself on time? The conditions that
scenarios share.

Each returns a Verdict with the figure, the limit, the worst samples and the knob. `loadgen=True`
marks LoadGen's own conditions (results.cc); the others are stricter rules of ours.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.kernel.log import RunLog
from harness.kernel.stats import percentile, percentile_name
from harness.kernel.types import Int64s, RunSettings, Verdict
from scenarios import remedies
from scenarios.absent import FIRST, absence, withheld
from scenarios.early_stopping import estimate_rank, over_allowed, queries_needed

_WORST = 5


def min_duration(
    reached_ns: int, settings: RunSettings, log: RunLog, planned: int | None = None
) -> Verdict:
    """Judge the duration. `planned`: how many of what the expected rate sizes were issued; None
    where the rate is no expectation (server).
    """
    official_s = settings.official_min_duration_ns / 1e9
    short = settings.min_duration_ns < settings.official_min_duration_ns
    return Verdict(
        rule="min_duration",
        status="PASS" if reached_ns >= settings.min_duration_ns else "FAIL",
        measured=reached_ns / 1e9,
        limit=settings.min_duration_ns / 1e9,
        unit="s",
        detail=f"MLPerf requires {official_s:g} s" if short else "",
        remedy=remedies.for_duration(log, settings, reached_ns, planned),
        loadgen=True,
        margin=_above(reached_ns, settings.min_duration_ns),
    )


def min_queries(log: RunLog, settings: RunSettings, samples: int, unit: str = "queries") -> Verdict:
    """Judge the queries issued, and as many samples completed as the scenario promised."""
    done = int(log.completed.sum())
    issued = len(log) if unit == "samples" else log.num_queries
    needed = samples if unit == "samples" else settings.min_queries
    return Verdict(
        rule="min_queries",
        status="PASS" if issued >= needed and done >= samples else "FAIL",
        measured=issued,
        limit=needed,
        unit=unit,
        detail="" if done >= samples else f"only {done} of {samples} samples completed",
        remedy=remedies.for_queries(log, settings),
        loadgen=True,
        margin=_above(min(issued, needed * done / samples) if samples else issued, needed),
    )


def tail_limit(
    name: str,
    values_ns: Int64s,
    ids: NDArray[Any],
    limit_ns: int,
    settings: RunSettings,
    log: RunLog,
) -> Verdict:
    """Judge the percentile of TTFT or TPOT against its limit. Answers that keep their figure back
    count as over the limit.
    """
    p = settings.percentile
    measured = percentile(values_ns, p)
    over = values_ns > limit_ns
    rule = f"{name}_{percentile_name(p)}"
    if measured is None:
        status, detail, remedy = absence(name, log, settings)
        limit_ms = limit_ns / 1e6
        return Verdict(rule, status, None, limit_ms, "ms", detail, remedy=remedy, loadgen=True)
    kept, kept_back = int((~over).sum()), withheld(name, log)
    also = f"; {kept_back} more reported no first token" if kept_back else ""
    if name == "tpot" and (whole := int(log.came_whole.sum())):
        also += f"; {whole} more came whole, without a TPOT"
    return Verdict(
        rule=rule,
        status="PASS" if kept > int(p * (len(over) + kept_back)) else "FAIL",
        measured=measured / 1e6,
        limit=limit_ns / 1e6,
        unit="ms",
        detail=f"{int(over.sum())} of {len(values_ns)} over the limit{also}",
        evidence=worst(values_ns[over], ids[over]),
        remedy=FIRST if kept_back and measured <= limit_ns else remedies.for_tail(log, settings),
        loadgen=True,
        margin=None if kept_back else _below(measured, limit_ns),
        over=int(over.sum()),
    )


def tail_is_certain(
    name: str, values_ns: Int64s, limit_ns: int, settings: RunSettings, log: RunLog
) -> Verdict:
    """Apply early stopping of the server scenario: are there enough queries for this many over the
    limit? Only some may have the figure, so that it takes more queries to have enough of them.
    """
    n, over = len(values_ns), int((values_ns > limit_ns).sum())
    rule = f"{name}_early_stopping"
    if not n and log.completed.any():
        words = f"{absence(name, log, settings).detail}, so there is nothing to be sure of"
        return Verdict(rule, "SKIPPED", detail=words, loadgen=True)
    tail_ns = percentile(values_ns, settings.percentile)
    too_slow = tail_ns is not None and tail_ns > limit_ns
    needed = queries_needed(over, settings.percentile)
    enough = None if too_slow else remedies.queries_for_share(over, n, settings.percentile)
    what, done = "queries", int(log.completed.sum())
    if 0 < n < done:
        what = f"answers with a {name.upper()}"
        enough = None if enough is None else math.ceil(enough * done / n)
    allowed = over_allowed(n, settings.percentile)
    more = f"; {needed - n} more {what} under the limit would decide it" if needed > n > 0 else ""
    can = "too few queries to allow any" if allowed is None else f"{n} queries allow {allowed}"
    return Verdict(
        rule=rule,
        status="PASS" if n >= needed else "FAIL",
        measured=n,
        limit=needed,
        unit="queries",
        detail=f"{over} over the limit; {can}{more}",
        remedy=remedies.for_certainty(log, settings, enough),
        loadgen=True,
        margin=_above(n, needed),
        over=over,
        allowed=allowed,
        more_queries=max(needed - n, 0),
    )


def tail_estimate(latencies_ns: Int64s, settings: RunSettings, log: RunLog) -> Verdict:
    """Apply early stopping of the stream scenarios: the latency that bounds the percentile at 99 %
    confidence.
    """
    n, p = len(latencies_ns), settings.percentile
    rank = estimate_rank(n, p)
    estimate_ms = None if rank is None else float(np.partition(latencies_ns, rank)[rank]) / 1e6
    needed = queries_needed(1, p)
    bound = (
        ""
        if estimate_ms is None
        else f"{percentile_name(p)} is at most {estimate_ms:.4g} ms at 99 % confidence"
    )
    return Verdict(
        rule="early_stopping",
        status="PASS" if rank is not None else "FAIL",
        measured=n,
        limit=needed,
        unit="queries",
        detail=bound or f"too few queries to bound the percentile; {needed - n} more would",
        remedy=remedies.for_certainty(log, settings, needed),
        loadgen=True,
        margin=_above(n, needed),
        more_queries=max(needed - n, 0),
    )


def driver_on_time(log: RunLog, settings: RunSettings) -> Verdict:
    """Judge the driver: it fell behind if its p99 issue lag exceeds a tenth of the TTFT limit: then
    it measured itself.
    """
    lag_ns = log.issue_lag_ns
    measured = percentile(lag_ns, 0.99)
    late = np.flatnonzero(lag_ns > settings.lag_limit_ns)
    ok = measured is None or measured <= settings.lag_limit_ns
    return Verdict(
        rule="driver_lag",
        status="PASS" if ok else "FAIL",
        measured=None if measured is None else measured / 1e6,
        limit=settings.lag_limit_ns / 1e6,
        unit="ms",
        detail=f"{len(late)} of {len(log)} issued later than the limit",
        evidence=worst(lag_ns[late], late),
        remedy=remedies.for_lag(settings),
        margin=None if measured is None else _below(measured, settings.lag_limit_ns),
        over=len(late),
    )


def _below(measured: float, limit: float) -> float | None:
    """Return the room under an upper limit, as a share of it."""
    return 1 - measured / limit if limit else None


def _above(measured: float, limit: float) -> float | None:
    """Return the room over a lower limit, as a share of it; without a limit there is no such
    figure.
    """
    return measured / limit - 1 if limit else None


def worst(values: NDArray[Any], ids: NDArray[Any]) -> tuple[int, ...]:
    """Return the sample ids of the highest values, highest first."""
    return tuple(int(i) for i in ids[np.argsort(-values, kind="stable")[:_WORST]])
