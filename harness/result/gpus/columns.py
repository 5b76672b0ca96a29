"""What did each GPU of a run tell, and when? Columns of telemetry.parquet, by GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.engine.metering.figures import EACH

Telemetry = Mapping[str, Sequence[Any]]


def of_each(telemetry: Telemetry, name: str, count: int) -> list[list[Any]]:
    """Return the values of each of `count` GPUs, row by row; nothing where they were not told apart
    (by older versions).
    """
    if count == 1:
        return [list(telemetry[name])] if name in telemetry else []
    rows = telemetry.get(name + EACH)
    if rows is None:
        return []
    return [[_at(row, place) for row in rows] for place in range(count)]


def _at(row: Any, place: int) -> Any:
    return row[place] if isinstance(row, list) and place < len(row) else None


def timed(telemetry: Telemetry, values: Sequence[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return (n,) times in ns and (n,) values, of the rows that have any."""
    pairs = zip(telemetry.get("t_ns", ()), values, strict=False)
    seen = [(t, v) for t, v in pairs if v is not None]
    times_ns, known = np.array(seen, dtype=np.float64).reshape(-1, 2).T
    return times_ns, known


def within(
    telemetry: Telemetry, values: Sequence[Any], span_ns: int, begin_ns: int = 0
) -> list[Any]:
    """Return the values that were read in the timed span, or from another beginning on."""
    rows = zip(telemetry.get("t_ns", ()), values, strict=False)
    return [value for t_ns, value in rows if value is not None and begin_ns <= t_ns <= span_ns]


def share(
    telemetry: Telemetry, values: Sequence[Any], mask: int, span_ns: int
) -> tuple[float, float]:
    """Return the share of the timed span in which one of these bits was set, and the share that is
    known at all. A reading holds until the next row.
    """
    times_ns = [*telemetry.get("t_ns", ())]
    ends_ns = [*times_ns[1:], span_ns]
    set_ns = known_ns = 0
    for t_ns, end_ns, value in zip(times_ns, ends_ns, values, strict=False):
        length_ns = max(min(end_ns, span_ns) - max(t_ns, 0), 0)
        known_ns += length_ns * (value is not None)
        set_ns += length_ns * bool((value or 0) & mask)
    return (set_ns / span_ns, known_ns / span_ns) if span_ns > 0 else (0.0, 0.0)
