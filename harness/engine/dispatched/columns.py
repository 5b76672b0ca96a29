"""How does what an answer over HTTP told stand in samples.parquet? A column per fact, in runs that
have any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.kernel.answers import Seen


def seen_columns(seen: Mapping[int, Seen], n: int) -> dict[str, Any]:
    """Return (n,) int64 (or texts) of each of its facts; what is not known as in a Seen of its
    own.
    """
    found = {name: _column(of_none, n) for name, of_none in Seen()._asdict().items()}
    for i, facts in seen.items():
        for name, value in facts._asdict().items():
            found[name][i] = value
    return found


def _column(of_none: int | str, n: int) -> Any:
    return [of_none] * n if isinstance(of_none, str) else np.full(n, of_none, np.int64)


def seen_of(table: Any) -> dict[int, Seen]:
    """Return what the answers told, of the samples that told anything."""
    if not set(Seen._fields) <= set(table.column_names):
        return {}
    rows = zip(*(table[name].to_pylist() for name in Seen._fields), strict=True)
    nothing = Seen()
    return {i: Seen(*row) for i, row in enumerate(rows) if row != nothing}
