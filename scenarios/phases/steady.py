"""From when on was the system in its steady state? The end of the warm-up by MSER-5, and a change
of level after it.

MSER-5 (White, Cobb and Spratt 2000): of means Z of 5 neighbouring samples, leave out the first d
that make the standard error of what is left smallest,

    d = argmin  sum over j > d of (Z_j - mean after d)^2 / (n - d)^2      for d <= n / 2

If that is the half itself, no steady part was found. Leaving out a few samples by chance is usual,
so a warm-up counts as clear only where its level differs from that of the rest: a t-test on ranks,
whose variance is that of the means of 10 long batches, since neighbours are not independent. Of
simulated queues that never warm up, at most 5 % are called so (M/G/8, 90 % busy, 2,000 samples).

A change of level is looked for in the steady part, by Pettitt's test on the medians of batches,
with fewer of them counted where they are correlated. None of it changes a verdict.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BATCH = 5
LEAST = 40  # samples: below that nothing is said
CLEAR_P, CHANGE_P = 0.0003, 0.01
_BATCHES = 40  # of the test for a change
_LONG_BATCHES = 10  # of the test for a warm-up
_MOST_CORRELATED = 0.9

Floats = NDArray[np.float64]


class Steady(NamedTuple):
    """`first` is the place of the first sample of the steady part among `samples`; `p_value` of
    the levels before and after it (None: nothing is left out).
    """

    samples: int
    first: int
    is_found: bool
    p_value: float | None
    change: Change | None

    @property
    def is_clear(self) -> bool:
        """Is there a warm-up, rather than a few samples that were left out by chance?"""
        return self.p_value is not None and self.p_value < CLEAR_P


class Change(NamedTuple):
    """A level that is another one from the sample at `at` on; medians in the unit of the values."""

    at: int
    before: float
    after: float
    p_value: float


def steady(values: NDArray[Any]) -> Steady | None:
    """Find the steady part of (n,) values in the order of time; None for too few of them."""
    values = np.asarray(values, np.float64)
    if len(values) < LEAST:
        return None
    dropped, half = mser(values), len(values) // BATCH // 2
    first = dropped * BATCH
    is_found = dropped < half
    p_value = _difference_p(values, first) if first else None
    change = change_of(values[first:])
    if change is not None:
        change = change._replace(at=change.at + first)
    return Steady(len(values), first, is_found, p_value, change)


def mser(values: Floats) -> int:
    """Return how many means of 5 values MSER-5 leaves out, half of them at most."""
    n = len(values) // BATCH
    means = values[: n * BATCH].reshape(n, BATCH).mean(axis=1)
    shifted = means - means.mean()  # so that the sums of squares do not cancel
    left = np.arange(n, 0, -1)
    sums, squares = (np.cumsum(x[::-1])[::-1] for x in (shifted, shifted**2))
    errors = np.maximum(squares - sums**2 / left, 0.0) / left.astype(np.float64) ** 2
    return int(np.argmin(errors[: n // 2 + 1]))


def _difference_p(values: Floats, first: int) -> float:
    """Return the p-value of equal levels before and after `first`, on ranks."""
    from scipy.special import stdtr

    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable") / len(values)
    before, after = ranks[:first], ranks[first:]
    size = len(after) // _LONG_BATCHES
    means = after[: size * _LONG_BATCHES].reshape(_LONG_BATCHES, size).mean(axis=1)
    variance = max(float(size * means.var(ddof=1)), float(after.var(ddof=1)))
    error = math.sqrt(variance * (1 / len(before) + 1 / len(after)))
    if not error:
        return 1.0
    t = abs(float(before.mean() - after.mean())) / error
    return float(2 * stdtr(_LONG_BATCHES - 1, -t))


def change_of(values: Floats) -> Change | None:
    """Return where the level of (n,) values changes; None where the data do not show it."""
    size = max(len(values) // _BATCHES, 1)
    n = len(values) // size
    if n < _BATCHES // 2:
        return None
    medians = np.median(values[: n * size].reshape(n, size), axis=1)
    ranks = np.argsort(np.argsort(medians, kind="stable"), kind="stable").astype(np.float64) + 1
    k = np.arange(1, n)
    statistic = np.abs(2 * np.cumsum(ranks)[:-1] - k * (n + 1))
    at = int(np.argmax(statistic)) + 1
    correlated = _correlation(ranks, at)
    fewer = (1 - correlated) / (1 + correlated)
    p_value = min(2 * math.exp(-6 * fewer * float(statistic[at - 1]) ** 2 / (n**3 + n**2)), 1.0)
    if p_value >= CHANGE_P:
        return None
    place = at * size
    return Change(
        place, float(np.median(values[:place])), float(np.median(values[place:])), p_value
    )


def _correlation(ranks: Floats, at: int) -> float:
    """Return the correlation of neighbours around the two levels, at least 0."""
    rest = np.concatenate((ranks[:at] - ranks[:at].mean(), ranks[at:] - ranks[at:].mean()))
    spread = float((rest**2).sum())
    found = float((rest[1:] * rest[:-1]).sum()) / spread if spread else 0.0
    return min(max(found, 0.0), _MOST_CORRELATED)
