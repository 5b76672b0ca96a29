"""How much does a run tell of the share of its queries over a limit?

Queries that wait in one queue are late together, so n of them tell less than n independent ones.
The variance between batches of neighbours says how much less: the share has the variance of
n / effect independent queries (batch means; Law, "Simulation Modeling and Analysis", 9.5.3).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BATCHES = 20
_Z = 1.959964  # 95 %, both sides


class Count(NamedTuple):
    """Queries over a limit: `over` of `n`, which tell as much as `effective` independent ones."""

    n: int
    over: int
    effective: float

    @property
    def share(self) -> float:
        return self.over / self.n if self.n else 0.0


class Interval(NamedTuple):
    """A share of 1 with its 95 % interval."""

    value: float | None
    low: float | None
    high: float | None


def count(over: NDArray[np.bool_]) -> Count:
    """Count the queries over a limit, in the order in which they were due."""
    n, late = len(over), int(over.sum())
    return Count(n, late, n / design_effect(over) if n else 0.0)


def design_effect(flags: NDArray[np.bool_], batches: int = BATCHES) -> float:
    """Return by how much the variance of a share is larger than that of independent flags; at
    least 1.
    """
    n, hits = len(flags), int(flags.sum())
    size = n // batches
    if not size or hits in (0, n):
        return 1.0
    sums = flags[: size * batches].reshape(batches, size).sum(axis=1)
    share = hits / n
    independent = size * share * (1 - share)
    return max(float(sums.var(ddof=1)) / independent, 1.0)


def share_interval(hits: int, n: int, effective: float) -> Interval:
    """Return a share and Wilson's interval for as many independent observations."""
    if not n or effective <= 0:
        return Interval(None, None, None)
    share, square = hits / n, _Z * _Z / effective
    middle = (share + square / 2) / (1 + square)
    half = _Z * math.sqrt(share * (1 - share) / effective + square / (4 * effective)) / (1 + square)
    return Interval(share, max(middle - half, 0.0), min(middle + half, 1.0))


def mean_interval(batch_means: NDArray[Any]) -> tuple[float, float, float]:
    """Return the mean of batch means with its 95 % interval (Student's t)."""
    from scipy.stats import t

    k, mean = len(batch_means), float(batch_means.mean())
    error = float(batch_means.std(ddof=1)) / math.sqrt(k) if k > 1 else math.inf
    half = float(t.ppf(0.975, k - 1)) * error if error else 0.0
    return mean, mean - half, mean + half


def quantile_interval(values: NDArray[Any], p: float) -> Interval:
    """Return a percentile of values, in the order in which they were due, and the order statistics
    around it that hold the true one with 95 %; None beyond the values there are.
    """
    n = len(values)
    if not n:
        return Interval(None, None, None)
    ordered = np.sort(values)
    middle = float(ordered[int(n * p)])
    half = _Z * math.sqrt(p * (1 - p) / count(values > middle).effective)
    low, high = math.floor(n * (p - half)), math.ceil(n * (p + half))
    return Interval(
        middle,
        float(ordered[low]) if low >= 0 else None,
        float(ordered[high]) if high < n else None,
    )
