"""How many queries per second does it hold? LoadGen's FindPeakPerformance search, as data in, data
out.

The base rate must meet the performance constraints (the latency limits at their percentile; neither
duration nor number of queries nor early stopping count here). Then (1 + step) times more until a
rate fails, then the middle between the highest that held and the lowest that failed, until both
have the same figure at `decimals` places, or neighbouring ones. The arithmetic is in doubles,
operation by operation LoadGen's, so the rates are its rates to the last bit.

How LoadGen 6.0.17 goes about it (server only; elsewhere it logs error_invalid_config and runs
nothing):

  - No rate is run twice: the runs that found the bounds are not repeated, and none confirms the
    peak.
  - Each run draws anew from the same seeds: the same samples in the same order, arrivals stretched
    by the rate, the same set each time; it is loaded and unloaded for each rate up to the first
    failure, then once for all halvings.
  - The report is that of the run at the peak, judged in full: it may be INVALID where the search
    was content (too short, too few queries for early stopping). `effective_target_qps` of the
    detail log stays the base rate.
  - If the base rate fails, that is an error_runtime, and the base run is reported.
  - It crashes if the first rate that fails agrees with the one before at `decimals` places (a small
    step); we are finished then.

Where LoadGen would never stop, we do: at MAX_TRIES, at a rate beyond MAX_QPS (it widens for ever if
nothing fails), where a step raises nothing, and where no double lies between the bounds (more
decimals than a double has: it tries one for ever). Whether the rate that was found is a peak at
all, LoadGen does not ask; `scenarios.peak.verdict` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Tried = tuple[float, bool]  # a rate, and whether the performance constraints were met at it

MAX_TRIES = 1000
MAX_QPS = 1e9  # a query every nanosecond: closer no schedule can say it


def next_qps(tried: Sequence[Tried], decimals: int = 1, step: float = 1.0) -> float | None:
    """Return the rate to try after `tried` (in the order tried, the base rate first); None = the
    search is over.

    `decimals` is 0 to 255: LoadGen keeps it in a byte, so that -1 would ask for 255 of them.
    """
    low, high = _bounds(tried)
    if low is None or len(tried) >= MAX_TRIES:
        return None
    if high is None:
        wider = low * (1 + step)
        return wider if low < wider <= MAX_QPS else None
    if _figure(low, decimals) + 1 >= _figure(high, decimals):
        return None
    middle = low + (high - low) / 2
    return middle if low < middle < high else None


def peak_qps(tried: Sequence[Tried]) -> float | None:
    """Return the rate of the run that LoadGen would report; None: the base rate failed already."""
    return _bounds(tried)[0]


def _bounds(tried: Sequence[Tried]) -> tuple[float | None, float | None]:
    """Return the last rate that held and the last that failed: each try lies between those before
    it, so they only close in.
    """
    low = next((qps for qps, met in reversed(tried) if met), None)
    high = next((qps for qps, met in reversed(tried) if not met), None)
    return low, high


def _figure(qps: float, decimals: int) -> int:
    return math.floor(qps * 10.0**decimals)
