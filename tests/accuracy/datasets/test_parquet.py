"""Texts and lists are read whatever type of Parquet's their writer chose; a folder of shards is one
table.
"""

from __future__ import annotations

import datetime
import decimal
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from accuracy.datasets.files import load_dataset
from harness.cli import app
from harness.kernel.errors import BadInput
from tests import ROOT

TEXTS = ["What is this?", "Größe – 世界"]
JSON = pa.json_(pa.string())


def load(path, **columns):
    return load_dataset(str(path), 8, **columns)


def complaint(path, **columns):
    with pytest.raises(BadInput) as caught:
        load(path, **columns)
    return str(caught.value)


def dictionary(texts, kind, index="int32"):
    places = pa.array(range(len(texts)), index)
    return pa.DictionaryArray.from_arrays(places, pa.array(texts, kind))


def in_bytes(texts, kind):
    return pa.array([text.encode() for text in texts], kind)


def test_a_file_that_polars_wrote_is_read():
    samples = load(ROOT / "tests/data/polars_1_38.parquet").samples
    assert [sample.prompt for sample in samples][:2] == ["What is 0? ", "What is 1? ü"]
    assert [sample.reference for sample in samples] == list("01234567")


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TEXTS, pa.string()),
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS, pa.string_view()),
        in_bytes(TEXTS, pa.binary()),
        in_bytes(TEXTS, pa.large_binary()),
        in_bytes(TEXTS, pa.binary_view()),
        dictionary(TEXTS, pa.string()),
        dictionary(TEXTS, pa.large_string(), "int64"),
        dictionary(TEXTS, pa.string(), "uint8"),
        dictionary([text.encode() for text in TEXTS], pa.binary()),
        pa.ExtensionArray.from_storage(JSON, pa.array(['"What is this?"', '"Größe – 世界"'])),
    ],
    ids=lambda column: str(column.type)[:40],
)
def test_texts_of_every_type_are_read(tmp_path, column):
    pq.write_table(pa.table({"prompt": column}), tmp_path / "a.parquet")
    assert [sample.prompt for sample in load(tmp_path / "a.parquet").samples] == TEXTS


def test_bytes_of_one_length_are_texts_too(tmp_path):
    column = pa.array([b"abc", b"xyz"], pa.binary(3))
    pq.write_table(pa.table({"prompt": column}), tmp_path / "a.parquet")
    assert [sample.prompt for sample in load(tmp_path / "a.parquet").samples] == ["abc", "xyz"]


CHOICES = [["one", "two"], ["three", "four"]]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.string_view()),
        pa.list_(pa.binary()),
        pa.list_(pa.string(), 2),
        pa.large_list(pa.dictionary(pa.int32(), pa.string())),
        pa.list_view(pa.string()),
        pa.large_list_view(pa.string()),
        JSON,
    ],
    ids=str,
)
def test_choices_of_every_kind_of_list_are_read(tmp_path, kind):
    if kind == JSON:
        texts = ['["one", "two"]', '["three", "four"]']
        column = pa.ExtensionArray.from_storage(JSON, pa.array(texts))
    elif pa.types.is_large_list(kind) and pa.types.is_dictionary(kind.value_type):
        column = pa.LargeListArray.from_arrays(
            pa.array([0, 2, 4], pa.int64()), dictionary([*CHOICES[0], *CHOICES[1]], pa.string())
        )
    else:
        column = pa.array(CHOICES, kind)
    table = pa.table({"question": ["a?", "b?"], "choices": column, "answer": [1, 0]})
    pq.write_table(table, tmp_path / "a.parquet")
    samples = load(tmp_path / "a.parquet").samples
    assert [sample.prompt.splitlines()[1:3] for sample in samples] == [
        ["A. one", "B. two"],
        ["A. three", "B. four"],
    ]
    assert [sample.reference for sample in samples] == ["B", "A"]


def test_whole_decimals_are_numbers(tmp_path):
    answers = pa.array([decimal.Decimal(1), decimal.Decimal(0)], pa.decimal128(3, 0))
    table = pa.table({"question": ["a?", "b?"], "choices": CHOICES, "answer": answers})
    pq.write_table(table, tmp_path / "a.parquet")
    assert [sample.reference for sample in load(tmp_path / "a.parquet").samples] == ["B", "A"]


def test_ids_may_be_uuids(tmp_path):
    identity = uuid.UUID(int=5)
    ids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([identity.bytes], pa.binary(16)))
    pq.write_table(pa.table({"prompt": ["a"], "id": ids}), tmp_path / "a.parquet")
    found = load(tmp_path / "a.parquet", prompt_column="id").samples
    assert [sample.prompt for sample in found] == [str(identity)]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([b"\xff\xfe"], pa.binary()), "not UTF-8; expected UTF-8 text"),
        (pa.array([datetime.date(2026, 1, 1)]), "a value of type date32[day]; expected text"),
        (pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string())), "a value of type map<"),
        (pa.array([None], pa.null()), "nothing; expected text"),
        (pa.array([None], pa.string_view()), "nothing; expected text"),
        (pa.array([["x"]]), "a value of type list; expected text"),
        (pa.array([{"a": "x"}]), "a value of type dict; expected text"),
        (pa.array([7]), "a value of type int; expected text"),
        (pa.ExtensionArray.from_storage(JSON, pa.array(["{broken"])), "no JSON; expected JSON"),
    ],
)
def test_what_is_no_text_is_named_with_its_type(tmp_path, column, said):
    pq.write_table(pa.table({"prompt": column}), tmp_path / "a.parquet")
    found = complaint(tmp_path / "a.parquet")
    assert found.startswith("dataset a.parquet, row 1, column 'prompt': ")
    assert said in found


# ---- folders


def put(folder, **shards):
    folder.mkdir(exist_ok=True)
    for name, texts in shards.items():
        pq.write_table(pa.table({"prompt": texts}), folder / f"{name}.parquet")
    return folder


def test_a_folder_of_shards_is_one_table_in_the_order_of_the_numbers(tmp_path):
    folder = put(
        tmp_path / "data", **{"part-10": ["e"], "part-2": ["c", "d"], "part-1": ["a", "b"]}
    )
    (folder / "README.md").write_text("about")
    (folder / "_SUCCESS").write_text("")
    (folder / "dataset_info.json").write_text("{}")
    loaded = load(folder)
    assert [sample.prompt for sample in loaded.samples] == list("abcde")
    assert loaded.source["file"] == "data"
    assert loaded.source["rows"] == 5
    whole = loaded.source["sha256"]
    put(folder, **{"part-10": ["f"]})
    assert load(folder).source["sha256"] != whole


def test_a_folder_whose_own_name_is_that_of_a_file_is_read(tmp_path):
    folder = put(tmp_path / "data.parquet", **{"part-00000-a.snappy": ["a"]})
    assert [sample.prompt for sample in load(folder).samples] == ["a"]


def test_a_complaint_names_the_shard_and_its_row(tmp_path):
    folder = put(tmp_path / "data", a=["x"], b=["y", None])
    assert complaint(folder).startswith("dataset b.parquet, row 2, column 'prompt': ")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train-00000-of-00001", "test-00000-of-00001"], "several splits: test, train"),
        (["train", "validation"], "several splits: train, validation"),
        (["train-00000-of-00003", "train-00002-of-00003"], "lacks shard 00001 of 00003"),
        (["00001-of-00002"], "lacks shard 00002 of 00002"),
    ],
)
def test_a_folder_that_is_not_one_whole_table_is_refused(tmp_path, names, said):
    folder = put(tmp_path / "data", **{name: ["x"] for name in names})
    assert said in complaint(folder)


@pytest.mark.parametrize(
    "names", [["train-00000-of-00002", "train-00001-of-00002"], ["training", "testament"]]
)
def test_a_folder_of_one_split_is_read(tmp_path, names):
    folder = put(tmp_path / "data", **{name: ["x"] for name in names})
    assert len(load(folder).samples) == 2


def test_shards_of_other_columns_and_files_of_other_kinds_are_refused(tmp_path):
    folder = put(tmp_path / "data", a=["x"])
    pq.write_table(pa.table({"text": ["y"]}), folder / "b.parquet")
    assert "b.parquet, the file: its columns are text; expected those of a.parquet" in complaint(
        folder
    )
    (folder / "c.jsonl").write_text('{"prompt": "z"}')
    assert "Parquet files and others, such as c.jsonl" in complaint(folder)


def test_a_folder_around_a_folder_of_shards_points_to_it(tmp_path):
    put(tmp_path / "data", a=["x"])
    assert complaint(tmp_path).endswith(f"Pass what is in it, such as {tmp_path / 'data'}.")


def test_what_datasets_saved_to_disk_is_named(tmp_path):
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(b"")
    assert "it was saved by datasets' save_to_disk" in complaint(tmp_path)


def test_the_command_line_takes_a_folder(tmp_path):
    folder = put(tmp_path / "data", a=["x"], b=["y"])
    words = ["plan", "--scenario", "offline", "--dataset", str(folder), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
