"""What does Endpoints say of many values? Sums, percentiles and a histogram, under its names.

Percentiles are values that occurred: the one at floor(p (n - 1)) of the sorted ones, where LoadGen
takes the one at floor(p n). Estimates of early stopping bound a percentile from above, with
LoadGen's confidence; null where there are too few values for one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID = (99.9, 99.0, 97.0, 95.0, 90.0, 80.0, 75.0, 50.0, 25.0, 10.0, 5.0, 1.0)
_MEDIAN = 50.0
_BUCKETS = 30
Rank = Callable[[int, float], int | None]  # (values, share) -> position in the sorted ones


def rollup(values: NDArray[Any], rank: Rank | None = None) -> dict[str, Any]:
    """Return the figures of integers; of none {}. With `rank` (of early stopping) also what it
    allows to claim.
    """
    if not len(values):
        return {} if rank is None else {"early_stopping_percentiles": _estimates(values, rank)}
    ordered = np.sort(values.astype(np.int64))
    figures = {
        "total": int(ordered.sum()),
        "min": int(ordered[0]),
        "max": int(ordered[-1]),
        "median": _at(ordered, _MEDIAN),
        "avg": float(ordered.mean()),
        "std_dev": float(ordered.std(ddof=1)) if len(ordered) > 1 else 0.0,
        "percentiles": {str(p): _at(ordered, p) for p in GRID},
    }
    claims = {} if rank is None else {"early_stopping_percentiles": _estimates(ordered, rank)}
    return figures | claims | {"histogram": _histogram(ordered)}


def _at(ordered: NDArray[Any], percent: float) -> float:
    return float(np.percentile(ordered, percent, method="lower"))


def _estimates(ordered: NDArray[Any], rank: Rank) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for p in GRID:
        if p >= _MEDIAN:
            position = rank(len(ordered), p / 100)
            found[str(p)] = None if position is None else float(ordered[position])
    return found


def _histogram(ordered: NDArray[Any]) -> dict[str, Any]:
    """Return counts between edges that are even on a logarithmic scale."""
    low = max(float(ordered[0]), 1.0)
    high = max(float(ordered[-1]), low + 1.0)
    edges = np.geomspace(low, high, _BUCKETS + 1)
    edges[0], edges[-1] = low, high  # whatever rounding made of them
    counts, _ = np.histogram(np.clip(ordered, low, high), edges)
    buckets = np.column_stack((edges[:-1], edges[1:])).tolist()
    return {"buckets": buckets, "counts": counts.tolist()}
