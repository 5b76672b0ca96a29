"""Order statistics as MLPerf defines them: value `v[int(n * p)]` of the sorted values, no
interpolation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (0.50, 0.90, 0.95, 0.97, 0.99, 0.999)


def percentile(values: NDArray[Any], p: float) -> float | None:
    """The value at 0 <= p < 1; None if there are no values (LoadGen, results.cc)."""
    n = len(values)
    if n == 0:
        return None
    k = int(n * p)
    return float(np.partition(values, k)[k])


def percentile_name(p: float) -> str:
    """0.999 -> "p99.9"."""
    return f"p{100 * p:.6g}"


def summary_ms(values_ns: NDArray[Any]) -> dict[str, float | int | None]:
    """Mean, percentiles, maximum in milliseconds, and n. Empty input gives None, never 0."""
    ordered = np.sort(values_ns) / 1e6
    n = len(ordered)
    row: dict[str, float | int | None] = {"mean": float(ordered.mean()) if n else None}
    for p in PERCENTILES:
        row[percentile_name(p)] = float(ordered[int(n * p)]) if n else None
    return row | {"max": float(ordered[-1]) if n else None, "n": n}
