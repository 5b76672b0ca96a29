"""Users in bursts: gaps follow a gamma distribution of the given shape, whose mean is 1 / rate.

The coefficient of variation (CV) of the gaps is 1 / sqrt(shape): 0.25 gives CV 2, 1 is a Poisson
process, 4 gives CV 0.5. The shape is what vLLM's bench calls --burstiness. Gaps are drawn with the
schedule seed by numpy's frozen RandomState, so that every version of numpy draws the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.kernel.types import Int64s, RunSettings
from scenarios.loads.load import Arrive, Load, number, whole_ns


@dataclass(frozen=True, slots=True)
class Gamma(Load):
    """`gamma:SHAPE`."""

    shape: float

    @classmethod
    def read(cls, words: str) -> Gamma:
        if not words:
            raise ValueError("the shape is missing")
        shape = number(words, "shape")
        if not 0.01 <= shape <= 1e4:
            raise ValueError(f"the shape is {words}: it must be from 0.01 (CV 10) to 10,000")
        return cls(shape)

    def arrivals(self, settings: RunSettings) -> Arrive:
        mean_s = 1 / (settings.target_qps * self.shape)

        def arrive(n: int) -> Int64s:
            draws = random_state(settings.seeds.schedule).standard_gamma(self.shape, max(n - 1, 0))
            return whole_ns(np.concatenate(([0.0], np.cumsum(draws) * mean_s)))

        return arrive


def random_state(seed: int) -> np.random.RandomState:
    """Return numpy's generator whose draws stay as they are (NEP 19), from a seed below 2^64."""
    return np.random.RandomState(np.array([seed & 0xFFFF_FFFF, seed >> 32], np.uint32))
