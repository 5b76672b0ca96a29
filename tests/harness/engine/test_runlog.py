import dataclasses
import errno
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engine.runlog import (
    RunFacts,
    check_room,
    create,
    read_log,
    read_telemetry,
    write_log,
    write_telemetry,
)
from harness.kernel.errors import BadInput
from harness.kernel.files import write_json
from harness.kernel.log import Anomaly, RunLog
from harness.kernel.stats import summary_ms
from harness.kernel.types import FINISHES, NEVER
from tests.helpers import MS, S, open_loop, simulated, virtual_run

FACTS = RunFacts(
    "r1",
    "2026-01-01T00:00:00Z",
    sut={"model": "m"},
    memory={"rss_peak_bytes": 7},
    driver={"issue_lag_p99_ms": 0.5},
    target_qps_origin="given",
)


def assert_equal(read: RunLog, written: RunLog) -> None:
    """Every field: values, shapes and types."""
    for field in dataclasses.fields(RunLog):
        a, b = getattr(read, field.name), getattr(written, field.name)
        if isinstance(b, np.ndarray):
            assert (field.name, a.dtype, a.tolist()) == (field.name, b.dtype, b.tolist())
        else:
            assert (field.name, a) == (field.name, b)


def round_trip(log: RunLog, facts: RunFacts = FACTS) -> RunLog:
    with TemporaryDirectory() as folder:
        write_log(Path(folder), log, facts)
        assert [path.name for path in Path(folder).iterdir()] == ["samples.parquet"]
        read, read_facts = read_log(Path(folder))
    assert read_facts == facts
    return read


def starts(lists):
    return np.concatenate(([0], np.cumsum([len(x) for x in lists]))).astype(np.int64)


def flat(lists, dtype):
    return np.array([x for inner in lists for x in inner], dtype)


@st.composite
def run_logs(draw) -> RunLog:
    """Any log at all: it need not make sense, it must come back."""
    n = draw(st.integers(0, 6))
    int32s, int64s = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
    column = lambda of, dtype: np.array(draw(st.lists(of, min_size=n, max_size=n)), dtype)  # noqa: E731
    ids, stamps = (
        draw(st.lists(st.lists(of, max_size=5), min_size=n, max_size=n)) for of in (int32s, int64s)
    )
    texts = st.dictionaries(st.integers(0, n - 1), st.text(max_size=9)) if n else st.just({})
    order = draw(st.permutations(range(n)))[: draw(st.integers(0, n))]
    return RunLog(
        **{
            name: column(int32s, np.int32)
            for name in ("query_id", "index", "first_token", "reported_tokens")
        },
        **{
            name: column(int64s, np.int64)
            for name in ("due_ns", "issued_ns", "first_ns", "done_ns")
        },
        finish=column(st.integers(0, len(FINISHES) - 1), np.int8),
        token_start=starts(ids),
        token_ids=flat(ids, np.int32),
        stamp_start=starts(stamps),
        stamp_ns=flat(stamps, np.int64),
        completion_order=np.array(order, np.int32),
        texts=draw(texts),
        errors=draw(texts),
        anomalies=draw(
            st.lists(
                st.builds(Anomaly, st.integers(), st.text(max_size=9), st.text(max_size=9)),
                max_size=3,
            )
        ),
        end=draw(st.sampled_from(["completed", "interrupted", "error"])),
        end_reason=draw(st.text(max_size=9)),
    )


def steady_log(n: int, tokens: int) -> RunLog:
    """A server run of `n` samples, `tokens` tokens each, with times that vary."""
    due = np.arange(n, dtype=np.int64) * 10 * MS
    first = due + 100 * MS + np.random.default_rng(1).integers(0, 50 * MS, n)
    stamps = (first[:, None] + np.arange(tokens) * 20 * MS).ravel()
    start = np.arange(n + 1, dtype=np.int64) * tokens
    return RunLog(
        query_id=np.arange(n, dtype=np.int32),
        index=np.arange(n, dtype=np.int32) % 1000,
        due_ns=due,
        issued_ns=due + 1000,
        first_ns=first,
        done_ns=stamps[tokens - 1 :: tokens].copy(),
        first_token=np.full(n, 3, np.int32),
        reported_tokens=np.full(n, tokens, np.int32),
        finish=np.ones(n, np.int8),
        token_start=start,
        token_ids=np.random.default_rng(2).integers(0, 50_000, n * tokens).astype(np.int32),
        stamp_start=start,
        stamp_ns=stamps,
        completion_order=np.arange(n, dtype=np.int32),
    )


# ---- samples.parquet


@settings(deadline=None)
@given(run_logs())
def test_any_log_comes_back_exactly_as_it_was(log):
    assert_equal(round_trip(log), log)


def test_a_run_with_losses_comes_back_exactly_as_it_was():
    log = virtual_run(
        open_loop(30, every_ns=10 * MS),
        simulated(fault="lost_sample", fault_at=4, slots=3),
        sample_timeout_ns=S,
    )
    assert 4 in log.errors
    assert_equal(round_trip(log), log)


def test_an_interrupted_run_of_no_samples_comes_back():
    log = virtual_run([])
    assert len(round_trip(log)) == 0
    assert_equal(round_trip(log), log)


def test_one_row_per_sample_for_other_programs(tmp_path):
    log = virtual_run(open_loop(5, every_ns=10 * MS), simulated(tokens=4))
    write_log(tmp_path, log, FACTS)
    table = pq.read_table(tmp_path / "samples.parquet")
    assert {
        "sample_id",
        "due_ns",
        "issued_ns",
        "first_ns",
        "done_ns",
        "tokens",
        "finish",
        "error",
        "token_ids",
        "text",
    } <= set(table.column_names)
    assert table["tokens"].to_pylist() == [4] * 5
    assert table["token_ids"].to_pylist()[2] == log.record(2).token_ids.tolist()
    assert table["token_ns"].to_pylist()[2] == log.record(2).chunk_ns.tolist()


def test_texts_in_any_script_come_back():
    log = virtual_run(open_loop(3, every_ns=10 * MS))
    log.texts = {0: "naïve 漢字 🙂\x00\n", 2: ""}
    assert round_trip(log).texts == log.texts


def test_a_broken_surrogate_in_a_text_does_not_cost_the_run():
    log = virtual_run(open_loop(3, every_ns=10 * MS))
    log.texts, log.errors = {0: "half an emoji: \ud83d", 1: "fine"}, {2: "\udc00"}
    read = round_trip(log)
    assert read.texts[0].startswith("half an emoji: ")
    assert (read.texts[1], list(read.errors)) == ("fine", [2])


def test_a_full_disk_costs_the_tokens_but_not_the_run(tmp_path, monkeypatch):
    """The first attempt fails as Linux does; `pyarrow` is patched because no small disk is at
    hand.
    """
    write_table, attempts = pq.write_table, []

    def no_room_at_first(table, path, **options):
        attempts.append(path)
        if len(attempts) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_table(table, path, **options)

    monkeypatch.setattr(pq, "write_table", no_room_at_first)
    log = virtual_run(open_loop(3, every_ns=10 * MS), simulated(tokens=4))
    log.texts = {0: "text"}
    write_log(tmp_path, log, FACTS)
    read, _ = read_log(tmp_path)
    assert (len(read.token_ids), len(read.stamp_ns), read.texts) == (0, 0, {})
    assert (read.token_start.tolist(), read.tokens.tolist()) == ([0] * 4, [4] * 3)
    assert read.latency_ns.tolist() == log.latency_ns.tolist()


def test_another_write_error_is_not_hidden(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_log(tmp_path / "missing", virtual_run([]), FACTS)


def test_writing_again_replaces_the_file(tmp_path):
    for n in (5, 3):
        write_log(tmp_path, virtual_run(open_loop(n, every_ns=MS)), FACTS)
    assert len(read_log(tmp_path)[0]) == 3


def not_there(folder):
    pass


def garbage(folder):
    (folder / "samples.parquet").write_bytes(b"not parquet at all")


def cut_off(folder):
    write_log(folder, virtual_run(open_loop(5, every_ns=MS)), FACTS)
    path = folder / "samples.parquet"
    path.write_bytes(path.read_bytes()[:-100])


def somebody_elses(folder):
    pq.write_table(pa.table({"a": [1]}), folder / "samples.parquet")


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (not_there, "it is an empty folder; expected the folder of a finished run"),
        (garbage, "its samples.parquet is damaged"),
        (cut_off, "its samples.parquet is damaged"),
        (somebody_elses, "its samples.parquet is damaged"),
    ],
)
def test_a_folder_without_a_readable_run_is_bad_input(tmp_path, damage, found):
    damage(tmp_path)
    with pytest.raises(BadInput, match=found):
        read_log(tmp_path)


def test_a_million_samples_take_ten_times_as_long_as_a_tenth_of_them(tmp_path):
    spent_s = []
    for count in (100_000, 1_000_000):
        log = steady_log(count, tokens=10)
        start_s = time.process_time()
        write_log(tmp_path, log, FACTS)
        read, _ = read_log(tmp_path)
        rows = [summary_ms(values) for values in (read.ttft_ns, read.latency_ns, read.tpot_ns)]
        spent_s.append(time.process_time() - start_s)
    assert spent_s[1] < 25 * spent_s[0]
    assert [row["n"] for row in rows] == [1_000_000] * 3
    assert 100 <= rows[0]["p50"] < 150
    assert rows[1]["p99"] == pytest.approx(rows[0]["p99"] + 180)
    assert rows[2]["max"] == 20.0


# ---- the folder


def test_run_folders_of_one_name_do_not_collide(tmp_path):
    folders = {create(tmp_path / "runs", "now_server") for _ in range(20)}
    assert len(folders) == 20
    assert all(folder.is_dir() and folder.name.startswith("now_server_") for folder in folders)
    assert not any(list(folder.iterdir()) for folder in folders)


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        BadInput, match=r"--output-dir .*file' is a file, not a folder; expected a folder"
    ):
        create(tmp_path / "file", "x")


def test_room_is_checked_before_measuring(tmp_path):
    check_room(tmp_path, 1)
    with pytest.raises(BadInput, match=r"MiB are free; this run may write 1099511627776 MiB"):
        check_room(tmp_path, 2**60)


def test_json_is_written_whole_and_readable(tmp_path):
    path = tmp_path / "settings.json"
    write_json(path, {"a": [1, None], "title": "漢", "path": Path("x")})
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "a": [1, None],
        "title": "漢",
        "path": "x",
    }
    assert list(tmp_path.iterdir()) == [path]


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "settings.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {(1, 2): "no JSON key"})
    assert json.loads(path.read_text()) == {"a": 1}


# ---- telemetry.parquet


def test_telemetry_lines_become_columns_counted_from_the_start(tmp_path):
    lines = tmp_path / "telemetry.jsonl"
    lines.write_text(
        '{"t_ns": 1000, "rss": 5}\n{"t_ns": 2000, "rss": 6, "watts": 1.5}\n{"t_ns": 30'
    )
    write_telemetry(tmp_path, lines, start_ns=900)
    assert read_telemetry(tmp_path) == {"t_ns": [100, 1100], "rss": [5, 6], "watts": [None, 1.5]}
    assert not lines.exists()


def test_no_telemetry_is_an_empty_table(tmp_path):
    write_telemetry(tmp_path, tmp_path / "never_written.jsonl", start_ns=0)
    assert read_telemetry(tmp_path) == {"t_ns": []}


def test_telemetry_of_a_folder_without_the_file_is_empty(tmp_path):
    assert read_telemetry(tmp_path) == {}


def test_never_is_kept_as_never():
    log = virtual_run(open_loop(2, every_ns=10 * MS), simulated(fault="crash", fault_at=1))
    log.first_ns[:] = NEVER
    assert round_trip(log).first_ns.tolist() == [NEVER, NEVER]
