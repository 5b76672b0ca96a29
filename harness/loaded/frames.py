"""Columns as what a notebook works with: a DataFrame where pandas is there, else the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def frame(columns: Mapping[str, Any]) -> Any:
    """Return a pandas.DataFrame of columns; without pandas a dict of numpy arrays."""
    try:
        import pandas
    except ImportError:
        return dict(columns)
    return pandas.DataFrame(dict(columns))


def frame_of_rows(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return a pandas.DataFrame of rows, of their plain values; without pandas a list of dicts."""
    flat = [{name: value for name, value in row.items() if _is_plain(value)} for row in rows]
    try:
        import pandas
    except ImportError:
        return flat
    return pandas.DataFrame(flat)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
