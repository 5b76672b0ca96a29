"""How far may a percentile of a run lie from that of a longer one? An interval by order statistics.

Of n samples that lean on nothing common, the number below the true percentile p is binomial, so two
values of the sorted samples enclose it with 95 %, whatever the distribution (David and Nagaraja,
"Order Statistics", 7.1). Samples of a run do lean on one another: those that wait in one queue are
slow together. So n is divided by the inflation: how much more the share of slow samples varies from
stretch to stretch (20 of them, in order) than it would by chance, at least 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.resampling import NOTHING, Estimate

CONFIDENCE = 0.95
STRETCHES = 20
_FEWEST = 10 * STRETCHES  # samples: stretches of fewer than ten vary by chance alone
Values = NDArray[np.float64] | NDArray[np.int64]


class Tail(NamedTuple):
    """A percentile with its interval; `high` is None where no sample lies beyond it surely.
    `inflation` says how many samples tell as much as one that leans on no other.
    """

    estimate: Estimate
    n: int
    inflation: float


def tail(values: Values, p: float) -> Tail:
    """Return the value (n,) at the percentile 0 < p < 1 of samples in the order of time."""
    n = len(values)
    if not n:
        return Tail(NOTHING, 0, 1.0)
    place = min(int(n * p), n - 1)
    value = float(np.partition(values, place)[place])
    grown = inflation(values > value)
    return Tail(_between(values, value, p, n / grown), n, grown)


def inflation(slow: NDArray[np.bool_]) -> float:
    """Return how much more the share of True (n,) varies between stretches than by chance."""
    n, share = len(slow), float(slow.mean()) if len(slow) else 0.0
    if n < _FEWEST or not 0 < share < 1:
        return 1.0
    size = n // STRETCHES
    shares = slow[: size * STRETCHES].reshape(STRETCHES, size).mean(1)
    return max(1.0, float(shares.var(ddof=1)) * size / (share * (1 - share)))


def samples_for_an_end(p: float) -> int:
    """Return how many samples it takes until one lies beyond the percentile with 97.5 %."""
    return math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(p))


def _between(values: Values, value: float, p: float, n_alone: float) -> Estimate:
    """Return the interval of as many samples as lean on no other."""
    n, count = len(values), max(round(n_alone), 1)
    outside = (1 - CONFIDENCE) / 2
    below, above = _binomial(outside, count, p), _binomial(1 - outside, count, p)
    if below < 1:
        return Estimate(value, None, None)
    low_at, high_at = int((below - 1) / count * n), math.ceil((above + 1) / count * n) - 1
    if above + 1 > count:
        return Estimate(value, float(np.partition(values, low_at)[low_at]), None)
    ordered = np.partition(values, (low_at, high_at))
    return Estimate(value, min(float(ordered[low_at]), value), max(float(ordered[high_at]), value))


def _binomial(share: float, n: int, p: float) -> int:
    """Return the smallest k with P(at most k of n) >= share."""
    from scipy.special import bdtr, bdtrik

    k = math.ceil(bdtrik(share, n, p))
    return k - 1 if k > 0 and bdtr(k - 1, n, p) >= share else k
