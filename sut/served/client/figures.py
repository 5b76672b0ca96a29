"""Was the client the limit? What the workers say of themselves, in one record."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sut.served.client.calibration.kept import known

_COUNTS = ("answers", "reads", "connections", "opened", "sent_again", "retries")


def summary(figures: Sequence[Mapping[str, Any]], lags_ns: array[int]) -> dict[str, Any]:
    """Return the sums and the worst of several workers."""
    wall_s = max((row["wall_s"] for row in figures), default=0.0)
    found: dict[str, Any] = {"workers": len(figures), "wall_s": round(wall_s, 3)}
    for name in _COUNTS:
        found[name] = sum(row.get(name, 0) for row in figures)
    found["busy_percent"] = _worst(figures, "busy_share", 100.0)
    if (capacity := known()) is not None:
        found["capacity"] = capacity._asdict()
    found["cpu_s"] = round(sum(row["cpu_s"] for row in figures), 3)
    found["scheduler_wait_s"] = _worst(figures, "scheduler_wait_s", 1.0)
    delays_ns = b"".join(row.get("delays_ns", b"") for row in figures)
    return found | _spread("lag", lags_ns) | _spread("stamp_delay", delays_ns)


def _spread(name: str, values_ns: array[int] | bytes) -> dict[str, float]:
    """Return the median and the tail, in microseconds; nothing of nothing."""
    if not len(values_ns):
        return {}
    p50, p99 = np.percentile(np.frombuffer(values_ns, np.int64), (50, 99)) / 1e3
    return {f"{name}_p50_us": round(float(p50), 1), f"{name}_p99_us": round(float(p99), 1)}


def _worst(figures: Sequence[Mapping[str, Any]], name: str, unit: float) -> float:
    return round(max((unit * row[name] for row in figures), default=0.0), 3)
