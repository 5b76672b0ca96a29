"""One rate after the other, each for an equal part of the minimum duration; the last one goes on.

Arrivals are a Poisson process of these rates: unit-rate arrivals through the inverse of the
expected number of queries, which is a line with a bend at each step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.kernel.types import Int64s, RunSettings
from scenarios.loads.load import Arrive, Load, length_s, number, whole_ns
from scenarios.loads.ramp import unit_arrivals

_MOST = 100


@dataclass(frozen=True, slots=True)
class Step(Load):
    """`step:RATE/RATE/...`."""

    rates: tuple[float, ...]
    is_rated = False
    slower = "lower the rates of --load"

    @classmethod
    def read(cls, words: str) -> Step:
        parts = words.split("/")
        if not 2 <= len(parts) <= _MOST:
            raise ValueError(f"{words!r} is not RATE/RATE/..., 2 to {_MOST} rates")
        return cls(tuple(number(part, "rate") for part in parts))

    def qps(self, duration_s: float) -> float:
        return sum(self.rates) / len(self.rates)

    def arrivals(self, settings: RunSettings) -> Arrive:
        each_s = length_s(settings, self.qps(0.0)) / len(self.rates)
        bends_s = each_s * np.arange(len(self.rates) + 1)
        expected = np.concatenate(([0.0], np.cumsum(np.array(self.rates) * each_s)))

        def arrive(n: int) -> Int64s:
            units = unit_arrivals(settings.seeds.schedule, n)
            after = np.maximum(units - expected[-1], 0.0) / self.rates[-1]
            return whole_ns(np.interp(units, expected, bends_s) + after)

        return arrive
