"""How far might other texts of the same kind move a figure? Sums of each text come in; a figure
with its interval comes out.

Intervals (95 %) draw texts with replacement, whole, as the tokens of a text lean on one another;
the same draws for every figure of the same n texts, and for both sides of a difference. Percentiles
of the draws are too narrow for few texts, so they are taken further out, where they would give a
mean Student's interval (expanded percentiles, Hesterberg 2015, "What teachers should know about the
bootstrap"): with ten texts at 0.9 % and 99.1 %. Fewer than five texts have no interval: no draw
reaches beyond the extremes of the texts, and the truth lies between the extremes of four in at most
87 %. Of a group that only some texts have, draws without it are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES, CONFIDENCE = 10_000, 95.0
FEWEST_TEXTS = 5  # for an interval
LARGEST_EXPONENT = math.log(np.finfo(np.float64).max)
SEED = 20_261_121  # the same scores give the same interval
_BATCH = 2**20  # draws at once
_DRAWS = 4 * 10**6  # of texts in all: the intervals of many texts are narrow, so that fewer do
_FEWEST = 500  # resamples

Floats = NDArray[np.float64]


class Estimate(NamedTuple):
    """`value` is None where there is nothing to measure, `low` and `high` where nothing tells how
    far chance moves it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    def map(self, change: Callable[[float], float]) -> Estimate:
        """Return it with each known number changed."""
        changed = []
        for end in self:
            changed.append(None if end is None else change(end))
        return Estimate(*changed)

    @property
    def excludes_zero(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


NOTHING = Estimate(None)


def times_drawn(n: int, resamples: int = RESAMPLES) -> Iterator[Floats]:
    """Yield how often each of n texts was drawn, (B, n), in batches that fit into memory.

    Every report draws here, with one seed: the same n, the same draws.
    """
    rng = np.random.default_rng(SEED)
    batch = max(1, _BATCH // n)
    for first in range(0, resamples, batch):
        rows = min(batch, resamples - first)
        picks = rng.integers(0, n, (rows, n), np.int32).astype(np.int64)
        picks += n * np.arange(rows)[:, None]
        times = np.bincount(picks.ravel(), minlength=picks.size).reshape(rows, n)
        yield times.astype(np.float64)


def resampled(sums: Floats, resamples: int = RESAMPLES) -> Floats:
    """Return the sums (B, C) of B draws from the sums (n, C) of n texts; none if n is too small."""
    n, columns = sums.shape
    if n < FEWEST_TEXTS:
        return np.empty((0, columns))
    resamples = min(resamples, max(_FEWEST, _DRAWS // n))
    return np.concatenate([times @ sums for times in times_drawn(n, resamples)])


def quantiles(n: int, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return which quantiles of the draws of n texts are an interval's ends; None if n is too small
    for any.
    """
    from scipy.special import ndtr, stdtrit

    if n < FEWEST_TEXTS:
        return None
    tail = float(ndtr(math.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - confidence / 100) / 2)))
    return tail, 1 - tail


def interval(value: float, draws: Floats, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """Return an interval around `value` of n texts, from the draws that are numbers."""
    draws, ends = draws[np.isfinite(draws)], quantiles(n, confidence)
    if ends is None or not len(draws) or not math.isfinite(value):
        return Estimate(value)
    low, high = np.quantile(draws, ends)
    # where all texts are equal, rounding may put the ends on one side
    return Estimate(value, min(float(low), value), max(float(high), value))


def ratio(over: float, under: float, draws_over: Floats, draws_under: Floats, n: int) -> Estimate:
    if under <= 0:
        return NOTHING
    return interval(float(over / under), divided(draws_over, draws_under), n)


def divided(over: Floats, under: Floats) -> Floats:
    """Divide; NaN where the divisor is not above zero."""
    return np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under > 0)


def negative(estimate: Estimate) -> Estimate:
    """Return it with its sign turned round."""
    value, high, low = estimate.map(lambda end: 0.0 - end)
    return Estimate(value, low, high)


def exp(value: float) -> float:
    """Return e^value, infinite beyond the largest float."""
    return math.exp(value) if value < LARGEST_EXPONENT else math.inf
