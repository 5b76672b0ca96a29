"""Order statistics as MLPerf defines them: value `v[int(n * p)]` of the sorted values, no
interpolation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (0.50, 0.90, 0.95, 0.97, 0.99, 0.999)


def percentile(values: NDArray[Any], p: float) -> float | None:
    """Return the value at 0 <= p < 1; None if there are no values (LoadGen, results.cc)."""
    n = len(values)
    if n == 0:
        return None
    k = int(n * p)
    return float(np.partition(values, k)[k])


def percentile_name(p: float) -> str:
    """Name a percentile: 0.999 -> "p99.9"."""
    return f"p{100 * p:.6g}"


def share(percent: float) -> float:
    """Return 0.9999 for 99.99: the double nearest to it, as if it had been written that way."""
    return float(Decimal(repr(percent)) / 100)


def summary_ms(
    values_ns: NDArray[Any], percents: Iterable[float] = ()
) -> dict[str, float | int | None]:
    """Return mean, percentiles (PERCENTILES and `percents`) and maximum in milliseconds, and n.
    Empty input gives None, never 0.
    """
    ordered = np.sort(values_ns) / 1e6
    n = len(ordered)
    row: dict[str, float | int | None] = {"mean": float(ordered.mean()) if n else None}
    for p in sorted({*PERCENTILES, *map(share, percents)}):
        row[percentile_name(p)] = float(ordered[int(n * p)]) if n else None
    return row | {"max": float(ordered[-1]) if n else None, "n": n}


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number: with these, at least one false alarm among all comes as
    often as the significance says (Holm, Scandinavian Journal of Statistics 6, 1979).
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, largest = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected
