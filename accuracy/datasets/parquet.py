"""The rows of a Parquet file.

Writers store one thing in many types: Polars writes texts as string views or large strings, Spark
and ClickHouse may leave the mark of text out (binary), pandas stores few values as a dictionary. A
cell is read as what it holds: bytes are texts in UTF-8, all kinds of lists are lists, JSON is what
it says. Cells are made when they are asked for: a date beyond our calendar is none of our business.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from accuracy.datasets.rows import NotRead, Row, malformed
from harness.kernel.foreign.parsed import loads
from harness.kernel.foreign.tables import check_texts

ENDING = ".parquet"


def rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file. Raises BadInput."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if twice := {name for name in names if names.count(name) > 1}:
                found, fine = f"column {min(twice)!r} twice", "columns of different names"
                raise malformed(path.name, "the file", found, fine)
            number = 0
            for batch in _batches(path, file):
                columns = dict(zip(names, map(_Column, batch.columns), strict=True))
                for i in range(len(batch)):
                    number += 1
                    where = f"row {number}"
                    yield Row(path.name, where, _Cells(path.name, where, columns, i))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # a name may be no text
        found = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise malformed(path.name, "the file", found, "a Parquet table") from None


def _batches(path: Path, file: Any) -> Iterator[Any]:
    """Yield the rows in batches, each group of rows once it is known that memory takes its texts.
    Raises BadInput.
    """
    texts: Counter[str] = Counter()
    for group in range(file.num_row_groups):
        check_texts(path, group, texts)
        yield from file.iter_batches(batch_size=256, row_groups=[group])


# ---- cells


class _Cells(Mapping[str, Any]):
    def __init__(self, file: str, where: str, columns: dict[str, _Column], row: int) -> None:
        self._place, self._columns, self._row = (file, where), columns, row

    def __getitem__(self, name: str) -> Any:
        try:
            return self._columns[name].cell(self._row)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            file, where = self._place
            found = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "no JSON"
            fine = "UTF-8 text" if isinstance(error, UnicodeDecodeError) else "JSON"
            raise malformed(file, f"{where}, column {name!r}", found, fine) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


class _Column:
    """A column of a batch of rows, made into values when the first of its cells is asked for."""

    def __init__(self, array: Any) -> None:
        self._array, self._values = array, list[Any]()

    def cell(self, row: int) -> Any:
        """Return a value; raise ValueError for one that is broken, and for no other."""
        kind = self._array.type
        if not self._values and not _is_plain(kind):
            self._values = [NotRead(f"a value of type {kind}")] * len(self._array)
        try:
            if not self._values:
                self._values = [_plain(value, kind) for value in self._array.to_pylist()]
            return self._values[row]
        except ValueError:  # somewhere in the batch
            return _plain(self._array[row].as_py(), kind)


def _is_plain(kind: Any) -> bool:
    """Tell whether texts and numbers can be made of a type."""
    import pyarrow.types as is_a

    if _extension(kind):
        return _extension(kind) in ("arrow.json", "arrow.uuid", "arrow.bool8")
    if _is_list(kind) or is_a.is_dictionary(kind):
        return _is_plain(kind.value_type)
    if is_a.is_struct(kind):
        return all(_is_plain(kind.field(i).type) for i in range(kind.num_fields))
    tests = (
        is_a.is_string, is_a.is_large_string, is_a.is_string_view, is_a.is_binary,
        is_a.is_large_binary, is_a.is_binary_view, is_a.is_fixed_size_binary, is_a.is_integer,
        is_a.is_floating, is_a.is_decimal, is_a.is_boolean, is_a.is_null,
    )  # fmt: skip
    return any(test(kind) for test in tests)


def _is_list(kind: Any) -> bool:
    import pyarrow.types as is_a

    tests = (
        is_a.is_list, is_a.is_large_list, is_a.is_fixed_size_list, is_a.is_list_view,
        is_a.is_large_list_view,
    )  # fmt: skip
    return any(test(kind) for test in tests)


def _extension(kind: Any) -> str:
    """Return the name of an extension type; "" for a plain one."""
    return str(getattr(kind, "extension_name", ""))


def _plain(value: Any, kind: Any) -> Any:
    """Return a cell of texts, numbers, lists and dicts. Raises ValueError for broken ones."""
    if value is None or type(value) in (int, float, bool):
        return value
    if isinstance(value, str) and not _extension(kind):
        return value
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [_plain(item, kind.value_type) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item, kind.field(name).type) for name, item in value.items()}
    return loads(value) if _extension(kind) == "arrow.json" else str(value)
