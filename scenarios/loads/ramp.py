"""A rate that changes evenly: FROM queries/s at the start, TO at the end of the minimum duration,
and TO from there on.

Arrivals are a Poisson process of that rate. Unit-rate arrivals E (sums of exponential gaps) are put
through the inverse of the expected number of queries by time t,

    N(t) = a t + (b - a) t^2 / (2 D)        for t <= D; rate b after it

so a ramp from 0 has its first query at 0 and few soon after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.kernel.types import Int64s, RunSettings
from scenarios.loads.gamma import random_state
from scenarios.loads.load import Arrive, Load, length_s, number, whole_ns


@dataclass(frozen=True, slots=True)
class Ramp(Load):
    """`ramp:FROM..TO`."""

    first_qps: float
    last_qps: float
    is_rated = False
    slower = "lower the rates of --load"

    @classmethod
    def read(cls, words: str) -> Ramp:
        first, dots, last = words.partition("..")
        if not dots:
            raise ValueError(f"{words!r} is not FROM..TO, two rates")
        return cls(number(first, "first rate", may_be_least=True), number(last, "last rate"))

    def qps(self, duration_s: float) -> float:
        return (self.first_qps + self.last_qps) / 2

    def arrivals(self, settings: RunSettings) -> Arrive:
        span_s = length_s(settings, self.qps(0.0))

        def arrive(n: int) -> Int64s:
            return whole_ns(self._moments_s(unit_arrivals(settings.seeds.schedule, n), span_s))

        return arrive

    def _moments_s(self, expected: Any, span_s: float) -> Any:
        """Return (n,) the moments by which (n,) `expected` queries have come."""
        a, b = self.first_qps, self.last_qps
        at_end = (a + b) / 2 * span_s
        inside = np.minimum(expected, at_end)
        root = np.sqrt(np.maximum(a * a + 2 * (b - a) / span_s * inside, 0.0))
        with np.errstate(invalid="ignore", divide="ignore"):
            rising = np.where(inside > 0, 2 * inside / (a + root), 0.0)  # no a - b that cancels
        return rising + np.maximum(expected - at_end, 0.0) / b


def unit_arrivals(seed: int, n: int) -> Any:
    """Return (n,) moments of a Poisson process of rate 1, from 0 on."""
    gaps = random_state(seed).standard_exponential(max(n - 1, 0))
    return np.concatenate(([0.0], np.cumsum(gaps)))
