"""What is kept of single answers? Columns in the folder of a row, so that two runs can be compared
answer by answer.

    answers.parquet    index of the question, metric, value: figures that are a mean over answers
    draws.parquet      draw, metric, value: other figures, computed again over drawn answers
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from accuracy.resampling import Floats
from harness.kernel import files
from harness.kernel.errors import BadInput, first_line
from harness.kernel.foreign.tables import read_table
from harness.kernel.types import Int64s

ANSWERS, DRAWS = "answers.parquet", "draws.parquet"
SEED = 20_261_128  # of draws, and of metrics that draw themselves: the same answers for two runs


class Columns(NamedTuple):
    """Values by metric: `alone` of each of the `questions`, `draws` of each draw."""

    questions: Int64s  # their indexes
    alone: Mapping[str, Floats]
    draws: Mapping[str, Floats]


def write(
    folder: Path,
    questions: Sequence[int],
    alone: Mapping[str, Sequence[float]],
    draws: Mapping[str, Sequence[float]],
) -> None:
    """Write what there is. Raises OSError."""
    _write(folder / ANSWERS, "index", [(questions, name, values) for name, values in alone.items()])
    numbered = [(range(len(values)), name, values) for name, values in draws.items()]
    _write(folder / DRAWS, "draw", numbered)


def _write(
    path: Path, key: str, columns: Sequence[tuple[Sequence[int], str, Sequence[float]]]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not columns:
        return
    keys = [one for numbers, _, _ in columns for one in numbers]
    names = [name for _, name, values in columns for _ in values]
    numbers = [value for _, _, values in columns for value in values]
    table = pa.table({key: keys, "metric": names, "value": numbers})
    with files.replacing(path) as file:
        pq.write_table(table, file)


def kept(place: Path) -> dict[str, Columns]:
    """Return the columns of an evaluation by the folder of the row. Raises BadInput."""
    paths = [path for name in (ANSWERS, DRAWS) for path in place.glob(f"*/*/{name}")]
    folders = dict.fromkeys(path.parent for path in paths)
    return {folder.relative_to(place).as_posix(): _read(folder) for folder in folders}


def _read(folder: Path) -> Columns:
    questions, alone = _values(folder / ANSWERS, "index")
    return Columns(questions, alone, _values(folder / DRAWS, "draw")[1])


def _values(path: Path, key: str) -> tuple[Int64s, dict[str, Floats]]:
    """Return the keys, and the values of each metric in their order. Raises BadInput."""
    import pyarrow as pa

    if not path.is_file():
        return np.empty(0, np.int64), {}
    fine, todo = "expected it as it was written", "Restore it, or evaluate again."
    try:
        table = read_table(path, [key, "metric", "value"])
        keys = table[key].to_numpy().astype(np.int64)
        names = np.array(table["metric"].to_pylist())
        values = table["value"].to_numpy().astype(np.float64)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise BadInput(f"reading {path}", first_line(error), fine, todo) from None
    found = {str(name): values[names == name] for name in dict.fromkeys(names.tolist())}
    first = keys[: len(next(iter(found.values()), ()))]
    if any(len(one) != len(first) for one in found.values()) and key == "index":
        raise BadInput(f"reading {path}", "its columns are of unequal length", fine, todo)
    return first, found
