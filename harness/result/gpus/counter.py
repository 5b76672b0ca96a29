"""How much energy does the GPUs' own counter give for the timed span?

It counts millijoules since the driver was loaded. It is read every tenth of a second and taken to
rise evenly in between, so it needs no reading at the very start and end. A counter that goes back
(the driver was loaded anew, the GPU was reset) or stands still gives nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.result.gpus.columns import Telemetry, of_each, timed

COLUMN = "gpu_energy_mj"
_LEAST_COVERED = 0.9  # of the timed span: the rest is taken to be like it
_STILL_NS = 1_000_000_000  # without a rise for so long, it does not count


class Counted(NamedTuple):
    """Joules of each GPU, and the readings in the span; or why there are none ("": no GPU has a
    counter).
    """

    joules: list[float]
    readings: int = 0
    problem: str = ""


def counted(telemetry: Telemetry, span_ns: int, indices: Sequence[int]) -> Counted:
    """Return the energy of each of these GPUs over the timed span."""
    columns = of_each(telemetry, COLUMN, len(indices))
    joules, readings = list[float](), 0
    for index, column in zip(indices, columns, strict=False):
        times_ns, millijoules = timed(telemetry, column)
        if len(times_ns) < 2:
            return Counted([])
        if problem := _problem(times_ns, millijoules, span_ns):
            return Counted([], problem=f"the energy counter of GPU {index} {problem}")
        joules.append(_joules(times_ns, millijoules, span_ns))
        readings = int(np.sum((times_ns >= 0) & (times_ns <= span_ns)))
    return Counted(joules, readings) if joules else Counted([])


def _problem(times_ns: NDArray[Any], millijoules: NDArray[Any], span_ns: int) -> str:
    """Say why a counter cannot be believed; "" if it can."""
    begin = max(int(np.searchsorted(times_ns, 0, side="right")) - 1, 0)
    end = int(np.searchsorted(times_ns, span_ns, side="left")) + 1
    needed_ns, steps = times_ns[begin:end], np.diff(millijoules[begin:end])
    if (steps < 0).any():
        after_s = max(needed_ns[1:][steps < 0][0] / 1e9, 0)
        return f"went back at {after_s:.3g} s"
    if _covered_ns(times_ns, span_ns) < _LEAST_COVERED * span_ns:
        return "was not read all along"
    if not steps.any() and needed_ns[-1] - needed_ns[0] >= _STILL_NS:
        return "stood still"
    return ""


def _covered_ns(times_ns: NDArray[Any], span_ns: int) -> float:
    return float(min(times_ns[-1], span_ns) - max(times_ns[0], 0))


def _joules(times_ns: NDArray[Any], millijoules: NDArray[Any], span_ns: int) -> float:
    """Return what the counter rose by in the part of the span that it covers, for all of it."""
    first, last = np.interp([0.0, float(span_ns)], times_ns, millijoules)
    return float(last - first) / 1e3 * span_ns / _covered_ns(times_ns, span_ns)
