"""Is it known what a table takes before memory has to take it?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from accuracy.datasets.files import load_dataset
from harness.kernel.errors import BadInput
from harness.kernel.foreign import arrays, tables
from harness.kernel.foreign.arrays import read_arrays
from harness.kernel.foreign.tables import read_table

ROWS = 300_000


def written(folder, **columns):
    file = folder / "t.parquet"
    pq.write_table(pa.table(columns), file, compression="zstd")
    return file


def refused(act, *given, **named):
    with pytest.raises(BadInput) as error:
        act(*given, **named)
    return str(error.value)


def test_a_table_is_read_as_it_was_written(tmp_path):
    columns = {
        "id": pa.array([1, 2, 3], pa.int32()),
        "text": pa.array(["a", None, "b" * 100], pa.large_string()),
        "none": pa.nulls(3, pa.large_string()),
        "ids": pa.array([[1], [], [2, 3]], pa.large_list(pa.int32())),
        "words": pa.array([["a", "a"], None, []], pa.list_(pa.string())),
        "pair": pa.array([{"x": "a", "y": 1.0}] * 3),
        "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
    }
    file = written(tmp_path, **columns)
    assert read_table(file).equals(pq.read_table(file))
    assert read_table(file, ["ids", "id"]).column_names == ["ids", "id"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["x" * 1000] * ROWS),
        pa.array([["x" * 1000]] * ROWS),
        pa.array([{"a": "x" * 1000}] * ROWS),
        pa.array(np.zeros(ROWS * 300, np.int64)),
    ],
    ids=["text", "texts in lists", "texts in records", "numbers"],
)
def test_a_file_of_some_kib_that_would_take_all_memory_is_refused(tmp_path, column):
    file = written(tmp_path, a=column)
    assert file.stat().st_size < 1 << 20
    said = refused(read_table, file, at_most=1 << 26)
    assert "MiB of memory; at most 64 MiB would be fine" in said


def test_the_limit_is_a_share_of_the_memory_that_is_free(tmp_path, monkeypatch):
    file = written(tmp_path, a=["x" * 1000] * ROWS)
    monkeypatch.setattr(tables, "available_bytes", lambda: 1 << 27)
    assert "at most 64 MiB" in refused(read_table, file)


def test_a_dataset_that_would_take_all_memory_is_refused_unless_fewer_rows_are_asked_for(
    tmp_path, monkeypatch
):
    file = tmp_path / "t.parquet"
    table = pa.table({"prompt": ["x" * 1000] * ROWS})
    pq.write_table(table, file, compression="zstd", row_group_size=1000)
    monkeypatch.setattr(tables, "available_bytes", lambda: 1 << 27)
    assert "MiB of memory" in refused(load_dataset, str(file), 4)
    assert len(load_dataset(str(file), 4, num_samples=50).samples) == 50


def test_arrays_that_would_take_all_memory_are_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1 << 24))
    assert read_arrays(tmp_path / "a.npz")["a"].shape == (1 << 24,)
    monkeypatch.setattr(arrays, "available_bytes", lambda: 1 << 26)
    assert "its table takes 128 MiB" in refused(read_arrays, tmp_path / "a.npz")


@pytest.mark.parametrize("data", [b"", b"PK\3\4 cut", b"\x80\x04."])
def test_arrays_that_are_damaged_or_pickled_are_a_value_error(tmp_path, data):
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ValueError, match=r"damaged|pickle"):
        read_arrays(tmp_path / "a.npz")
