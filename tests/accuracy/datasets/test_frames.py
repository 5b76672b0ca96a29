"""Do pandas' own pickles come back as pandas would read them, without pandas taking part?"""

import pickle
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accuracy.datasets import frames
from accuracy.datasets.files import load_dataset
from harness.kernel.errors import BadInput

pd = pytest.importorskip("pandas")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.lists(st.integers(0, 2**31 - 1), max_size=5)
tables = st.lists(
    st.tuples(
        texts, st.integers(-(2**63), 2**63 - 1), ids, st.floats(allow_nan=False), st.booleans()
    ),
    max_size=6,
)
with_folder = hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


@pytest.fixture
def back(tmp_path):
    def back(value, protocol=5, name="a.pkl"):
        path = tmp_path / name
        if isinstance(value, bytes):
            path.write_bytes(value)
        elif isinstance(value, pd.DataFrame):
            value.to_pickle(path, protocol=protocol)
        else:
            path.write_bytes(pickle.dumps(value, protocol))
        return list(frames.rows(path))

    return back


@with_folder
@given(tables, st.integers(2, 5), st.sampled_from(["object", "str", "string"]))
def test_a_frame_comes_back_as_it_was_written(back, table, protocol, kind):
    rows = [dict(zip("abcde", row, strict=True)) for row in table]
    frame = pd.DataFrame({name: [row[name] for row in rows] for name in "abcde"})
    frame["a"] = pd.Series([row["a"] for row in rows], dtype=kind)
    frame["c"] = pd.Series([row["c"] for row in rows], dtype=object)
    assert back(frame, protocol) == rows


@pytest.mark.parametrize("version", ["15.pkl", "22.pkl", "22.pkl.gz"])
def test_frames_of_older_pandas_are_read(request, version):
    """Written by pandas 1.5.3 with numpy 1.24, and by pandas 2.2.3 with numpy 2.0, by `to_pickle`
    and nothing else.
    """
    loaded = load_dataset(
        str(request.config.rootpath / "tests" / "data" / f"openorca_pandas{version}"), 8
    )
    assert [(s.prompt, s.reference, s.prompt_ids, s.labels) for s in loaded.samples] == [
        ("What?", "That.", (1, 2, 3), (("origin", "cot"),)),
        ("You are kind.\n\nWhy é?", "So.", (4, 5), (("origin", "flan"),)),
    ]
    assert loaded.source["format"] == "openorca"


def test_rows_keep_their_order_whatever_their_index_says(back):
    frame = pd.DataFrame({"a": list("wxyz"), "b": range(4)})
    assert [row["a"] for row in back(frame.iloc[[2, 0, 3]])] == ["y", "w", "z"]
    assert [row["a"] for row in back(frame.set_index("b").sort_values("a", ascending=False))] == [
        "z",
        "y",
        "x",
        "w",
    ]
    assert [row["a"] for row in back(pd.concat([frame, frame]))] == [*"wxyz", *"wxyz"]


def test_columns_of_many_kinds_and_orders(back):
    frame = pd.DataFrame(
        {"a": [1, 2], "x": [1.5, 2], "b": [3, 4], "y": [0.5, 1], "z": ["q", None]}
    )[["y", "b", "z", "a"]]
    frame["tiny"], frame["yes"] = np.array([-1, 7], np.int8), [True, False]
    assert back(frame) == [
        {"y": 0.5, "b": 3, "z": "q", "a": 1, "tiny": -1, "yes": True},
        {"y": 1.0, "b": 4, "z": None, "a": 2, "tiny": 7, "yes": False},
    ]


def test_arrays_laid_out_by_column_and_columns_without_names(back):
    assert back(pd.DataFrame(np.asfortranarray(np.arange(6).reshape(3, 2)))) == [
        {"0": 0, "1": 1}, {"0": 2, "1": 3}, {"0": 4, "1": 5}
    ]  # fmt: skip


def test_cells_that_are_arrays_tuples_and_numbers_of_numpy(back):
    cells = [np.array([1, 2], np.int32), (3, 4), np.int64(5), np.float32(0.5), float("nan"), None]
    assert [row["a"] for row in back(pd.DataFrame({"a": pd.Series(cells, dtype=object)}))] == [
        [1, 2],
        [3, 4],
        5,
        0.5,
        None,
        None,
    ]


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("kind", ["str", "string[python]", "string[pyarrow]", "object"])
def test_texts_of_every_kind_and_what_is_missing(back, kind, protocol):
    frame = pd.DataFrame({"a": pd.array(["", "é\n", None, "z"] * 5, dtype=kind)})
    assert [row["a"] for row in back(frame, protocol)] == ["", "é\n", None, "z"] * 5
    assert [row["a"] for row in back(frame.iloc[3:9], protocol)] == ["z", "", "é\n", None, "z", ""]


def test_a_list_of_dicts_is_a_table_too(back):
    assert back([{"prompt": "x", "n": 1}, {"prompt": "y"}]) == [
        {"prompt": "x", "n": 1},
        {"prompt": "y"},
    ]


def test_pandas_is_not_needed(back, monkeypatch):
    frame = pd.DataFrame({"a": ["x"]})
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert back(pickle.dumps([{"a": "x"}])) == [{"a": "x"}]
    monkeypatch.undo()
    data = pickle.dumps(frame)
    for name in [name for name in sys.modules if name.split(".")[0] in ("pandas", "pyarrow")]:
        monkeypatch.setitem(sys.modules, name, None)
    assert back(data) == [{"a": "x"}]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (pd.DataFrame({"a": pd.to_datetime(["2026-01-01"])}), "DatetimeArray"),
        (pd.DataFrame({"a": pd.Categorical(["x"])}), "Categorical"),
        (pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([("p", 1)])), "MultiIndex"),
        (pd.Series(["a"]), "Series"),
        (np.arange(3), "neither a pandas frame nor a list of dicts"),
        ("text", "neither a pandas frame nor a list of dicts"),
        ([1], "neither a pandas frame nor a list of dicts"),
    ],
)
def test_what_is_no_plain_table_is_refused_by_name(back, value, found):
    with pytest.raises(BadInput, match=found) as caught:
        back(value)
    assert "save it as Parquet" in str(caught.value)


# ---- frames that lie


def test_a_frame_with_any_byte_changed_is_read_or_refused(back):
    """Every byte of two frames, changed in one of three ways: never anything but rows or
    BadInput.
    """
    frame = pd.DataFrame({"a": ["x", None], "b": [1, 2], "c": pd.Series([[1], [2]], dtype=object)})
    for data in (pickle.dumps(frame, 5), pickle.dumps(frame.astype({"a": object}), 2)):
        for at in range(len(data)):
            changed = data[at] ^ (0x01, 0x80, 0xFF)[at % 3]
            try:
                assert len(back(data[:at] + bytes([changed]) + data[at + 1 :])) < 1000
            except BadInput:
                continue


def test_a_frame_cut_anywhere_is_refused(back):
    data = pickle.dumps(pd.DataFrame({"a": ["x"], "b": [1]}))
    for end in range(len(data)):
        with pytest.raises(BadInput):
            back(data[:end])


def test_one_array_used_a_thousand_times_is_counted_every_time(back, monkeypatch):
    monkeypatch.setattr(frames, "MOST_VALUES", 10_000)
    shared = np.arange(100)
    assert len(back([{"a": shared}] * 99)) == 99
    for cell in (shared, list(range(100)), "x" * 1600):
        with pytest.raises(BadInput, match="a table of more than 10000 values"):
            back([{"a": cell}] * 101)


def test_rows_and_columns_have_a_limit(back, monkeypatch):
    monkeypatch.setattr(frames, "MOST_ROWS", 3)
    with pytest.raises(BadInput, match="more than 3 rows"):
        back([{"a": 1}] * 4)
    with pytest.raises(BadInput, match="more than 10000 columns"):
        back(pd.DataFrame(np.zeros((0, 10_001)), columns=[f"c{i}" for i in range(10_001)]))
