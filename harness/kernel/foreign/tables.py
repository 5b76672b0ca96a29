"""What is in a Parquet file that somebody else may have written? Never more than memory takes.

A file of some KiB may say of a column that it is one text a hundred million times: read as it is,
it takes all memory. So what the columns will take is counted before they are made: numbers by how
many there are, texts as a dictionary (each different one once) and how often each stands there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import open_own
from harness.kernel.machine.memory import available_bytes

FEW_BYTES = 1 << 28  # of a table whose cells become Python's objects: 256 MiB
_SHARE = 0.5  # of the memory that is free
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}  # bytes
_TEXT, _INDEX_BYTES = "BYTE_ARRAY", 4
_TEXTS = ("STRING", "NONE", "JSON", "ENUM")  # others are numbers in as many bytes
_BATCH_ROWS = 1 << 16


def read_table(
    path: Path,
    columns: Sequence[str] | None = None,
    at_most: int = 0,
    data: bytes | None = None,
) -> Any:
    """Return a pyarrow.Table of a file of a folder, all columns or those that are named; of `data`
    where the bytes of the file are known.

    It may take `at_most` bytes; 0: half of the memory that is free. Raises BadInput if the file is
    none of its own or takes more, OSError and pyarrow.ArrowException if it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    limit = at_most or int(_SHARE * available_bytes())
    with open_own(path) if data is None else BytesIO(data) as file:
        with pq.ParquetFile(file) as parquet:
            metadata, schema = parquet.metadata, parquet.schema_arrow
            texts = text_columns(parquet)
        check_size(path, declared_bytes(metadata), limit)
        file.seek(0)
        with pq.ParquetFile(file, metadata=metadata, read_dictionary=texts) as parquet:
            table = parquet.read(None if columns is None else list(columns))
    check_size(path, sum(map(text_bytes, table.columns)), limit)
    fields = [schema.field(name) for name in table.column_names]
    return table.cast(pa.schema(fields, schema.metadata))


def check_texts(path: Path, group: int, known: Counter[str]) -> None:
    """Refuse a group of rows of a file that the user named if a column of texts, those of the
    groups before (`known`, which grows) included, takes more than half of the memory that is free.
    Raises BadInput, pyarrow.ArrowException.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as parquet:
        texts = text_columns(parquet)
        declared = _chunks(parquet.metadata.row_group(group))
    if unknown := set(texts) - declared.keys():
        raise pa.ArrowInvalid(f"a group of its rows has no column {min(unknown)}")
    with pq.ParquetFile(path, read_dictionary=texts) as parquet:
        for name in texts:
            check_size(path, declared[name], int(_SHARE * available_bytes()))
            for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=[group], columns=[name]):
                known[name] += sum(map(text_bytes, batch.columns))
            check_size(path, known[name], int(_SHARE * available_bytes()))


def _chunks(group: Any) -> dict[str, int]:
    """Return what the columns of a group of rows take, texts as a dictionary."""
    columns = (group.column(i) for i in range(group.num_columns))
    return {column.path_in_schema: _chunk_bytes(column) for column in columns}


def text_columns(parquet: Any) -> list[str]:
    """Return the paths of the columns of texts, those inside lists and structs too."""
    columns = [parquet.schema.column(i) for i in range(len(parquet.schema))]
    texts = (column for column in columns if column.physical_type == _TEXT)
    return [column.path for column in texts if column.logical_type.type in _TEXTS]


def declared_bytes(metadata: Any) -> int:
    """Return what the values of a file take in memory, its texts as a dictionary."""
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    return sum(_chunk_bytes(group.column(i)) for group in groups for i in range(group.num_columns))


def _chunk_bytes(chunk: Any) -> int:
    if chunk.physical_type == _TEXT:
        return int(chunk.num_values * _INDEX_BYTES + chunk.total_uncompressed_size)
    width = _WIDTHS.get(chunk.physical_type, 0)
    return int(max(chunk.num_values * width, chunk.total_uncompressed_size))


def text_bytes(values: Any) -> int:
    """Return what the texts of a column take once each is written out, however deep they stand."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(values, pa.ChunkedArray):
        return sum(map(text_bytes, values.chunks))
    if pa.types.is_dictionary(values.type) and not pa.types.is_integer(values.dictionary.type):
        lengths = pc.binary_length(values.dictionary)
        return int(pc.sum(pc.cast(lengths.take(values.indices), pa.int64())).as_py() or 0)
    if pa.types.is_struct(values.type):
        return sum(map(text_bytes, values.flatten()))
    is_list = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
    return text_bytes(values.flatten()) if is_list else 0


def check_size(path: Path, needed: int, limit: int) -> None:
    """Refuse a table that takes more than `limit` bytes. Raises BadInput."""
    if needed > limit:
        found = f"its table takes {needed / 2**20:,.0f} MiB of memory"
        fine = f"at most {limit / 2**20:,.0f} MiB would be fine"
        raise BadInput(f"reading {path}", found, fine, "Check what wrote it.")
