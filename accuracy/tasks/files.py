"""The file of a task's marks: `scores.parquet` in the run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.kernel import files
from harness.kernel.foreign.tables import read_table

SCORES = "scores.parquet"
Row = dict[str, Any]


def write(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the marks, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    with files.replacing(folder / SCORES) as file:
        pq.write_table(table, file)


def read(folder: Path) -> list[Row]:
    """Return the marks of a run; none if it has no such file. Raises OSError, ArrowException."""
    path = folder / SCORES
    found: list[Row] = read_table(path).to_pylist() if path.is_file() else []
    return found
