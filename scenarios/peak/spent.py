"""How many queries would plain bisection have spent on the same answer?

It doubles the rate until one fails and then halves the interval, each time with a run of full
length (LoadGen's search, ended as soon as both ends are as close as asked).
"""

from __future__ import annotations

import math

_MOST = 100


def queries_of(qps: float, least: int, shortest_s: float) -> int:
    """Return the queries of a run of full length."""
    return max(least, math.ceil(qps * shortest_s))


def rates_of_bisection(start: float, peak: float, precision: float) -> list[float]:
    """Return the rates that are tried to find a peak to within a share of it."""
    tried, low, high, qps = list[float](), 0.0, math.inf, start
    while len(tried) < _MOST and (high == math.inf or high > low * (1 + precision)):
        tried.append(qps)
        low, high = (qps, high) if qps <= peak else (low, qps)
        middle = (low + high) / 2 if low else high / 2
        qps = 2 * low if high == math.inf else middle
    return tried


def bisection_queries(
    start: float, peak: float, precision: float, least: int, shortest_s: float
) -> int:
    """Return the queries of all its runs."""
    rates = rates_of_bisection(start, peak, precision)
    return sum(queries_of(qps, least, shortest_s) for qps in rates)
