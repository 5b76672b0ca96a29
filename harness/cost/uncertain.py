"""How sure is a figure that is made of others? A figure comes with draws of what it might have
been; a formula of several figures is applied to their draws, one by one.

The draws of a measured figure are made from its 95 % interval: a normal distribution on each side
of the value, which ends at the interval's ends in 2.5 % and 97.5 %; on a logarithmic scale where
the interval is above zero, so that a rate and its inverse say the same. Where nothing tells how far
chance moves a figure it has no draws, and nothing made of it has an interval.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accuracy.resampling import Estimate, Floats

DRAWS = 4_000
_Z = 1.959963984540054  # the normal distribution's 97.5 %


def _none() -> Floats:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class Uncertain:
    """`draws` is (DRAWS,), or (0,) where nothing tells how far chance moves the value. `known` is
    the interval that they were made from, if they were.
    """

    value: float
    draws: Floats = field(default_factory=_none)
    known: Estimate | None = None

    @property
    def has_interval(self) -> bool:
        return len(self.draws) > 0

    @property
    def estimate(self) -> Estimate:
        """Return it with its 95 % interval, whose ends are values that were drawn."""
        if self.known is not None or not self.has_interval:
            return self.known or Estimate(self.value)
        ends = np.quantile(self.draws, (0.025, 0.975), method="inverted_cdf")
        low, high = map(float, ends)
        return Estimate(self.value, min(low, self.value), max(high, self.value))

    def drawn(self) -> Floats:
        """Return its draws, (DRAWS,); the value itself where it has none."""
        return self.draws if self.has_interval else np.full(DRAWS, self.value)


def exactly(value: float) -> Uncertain:
    """Return a figure that chance does not move: a price, a number of bytes."""
    return Uncertain(float(value), np.full(DRAWS, float(value)))


def measured(estimate: Estimate, *name: str) -> Uncertain:
    """Return a measured figure; draws of other names are independent. The value is known."""
    value, low, high = estimate
    assert value is not None
    if low is None or high is None:
        return Uncertain(value)
    if low == high:
        return exactly(value)
    scores = _scores("/".join(name))
    if low > 0:
        middle, lowest, highest = map(math.log, (value, low, high))
        draws = np.exp(_two_sided(middle, lowest, highest, scores))
        return Uncertain(value, draws, estimate)
    return Uncertain(value, _two_sided(value, low, high, scores), estimate)


def combined(formula: Callable[..., Any], *parts: Uncertain) -> Uncertain:
    """Return `formula` of the parts. It takes numbers and arrays (DRAWS,) alike."""
    value = float(formula(*(part.value for part in parts)))
    if not all(part.has_interval for part in parts):
        return Uncertain(value)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Uncertain(value, np.asarray(formula(*(part.draws for part in parts)), np.float64))


def _two_sided(value: float, low: float, high: float, scores: Floats) -> Floats:
    below, above = (value - low) / _Z, (high - value) / _Z
    return value + scores * np.where(scores < 0, below, above)


def _scores(name: str) -> Floats:
    """Return evenly spread normal scores (DRAWS,), in an order that follows from the name."""
    from scipy.special import ndtri

    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    even = (np.arange(DRAWS) + 0.5) / DRAWS
    scores: Floats = np.random.default_rng(seed).permutation(ndtri(even))
    return scores
