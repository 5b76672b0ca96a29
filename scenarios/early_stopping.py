"""How many queries does it take to trust a percentile? MLPerf's early-stopping rule.

With t queries over the limit out of n, the claim "at least a share p of queries meets it" holds at
confidence c = 0.99 if n >= h(t) + t, where h(t) is the smallest h with I_p(h, t + 1) < 1 - c
(regularised incomplete beta): the chance of seeing at most t failures among h + t trials, were the
failure rate really 1 - p. Source: LoadGen early_stopping.cc, tolerance 0.
"""

from __future__ import annotations

from functools import lru_cache

CONFIDENCE = 0.99


@lru_cache(maxsize=4096)
def queries_needed(over: int, p: float) -> int:
    """Return h(over) + over: the run length that allows `over` queries above the limit. p = 0.9:
    44, 64, 81, ...
    """
    from scipy.special import betainc

    low, high = 0, 1
    while betainc(high, over + 1, p) >= 1 - CONFIDENCE:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if betainc(middle, over + 1, p) < 1 - CONFIDENCE:
            high = middle
        else:
            low = middle
    return high + over


def over_allowed(n: int, p: float) -> int | None:
    """Return how many queries above the limit `n` queries allow; None if even 0 is too many."""
    if n < queries_needed(0, p):
        return None
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if queries_needed(middle, p) <= n else (low, middle)
    return low


def estimate_rank(n: int, p: float) -> int | None:
    """Return the position in the sorted latencies that bounds percentile p (SingleStream,
    MultiStream).

    LoadGen wants n >= h(1) + 1, takes the largest t with h(t) + t <= n and answers with the t-th
    highest.
    """
    if n < queries_needed(1, p):
        return None
    return n - (over_allowed(n, p) or 1)
