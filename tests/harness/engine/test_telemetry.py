import errno
import json
import os
import re
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import psutil
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.engine import telemetry as telemetry_module
from harness.engine.recorder import Recorder
from harness.engine.telemetry import Telemetry, read_rows
from harness.kernel.clock import RealClock, VirtualClock
from harness.kernel.errors import SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process import children
from harness.kernel.types import Output
from tests.helpers import query


def recorder_with(issued: int, done: int, failed: int = 0) -> Recorder:
    """Some samples issued, of which some are done (with two tokens each) and some failed."""
    r = Recorder(VirtualClock())
    for i in range(issued):
        r.issue(query(i, i), 0, 0)
    for i in range(done):
        r.first_token(i, 1)
        r.tokens(i, [2])
        r.complete(Output(i))
    for i in range(done, done + failed):
        r.fail(i, "lost")
    return r


def helpers():
    return [
        p
        for p in psutil.Process().children()
        if "harness.engine.telemetry" in " ".join(p.cmdline())
    ]


@contextmanager
def stderr_to(fd: int):
    """A helper started meanwhile inherits this stderr."""
    ours = os.dup(2)
    os.dup2(fd, 2)
    try:
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A helper that watched this very process, and one that is gone, for 1.8 s; told at once of 9
    samples.
    """
    folder = tmp_path_factory.mktemp("telemetry")
    started = RealClock.now_ns()
    with (folder / "stderr").open("w+") as stderr:
        with stderr_to(stderr.fileno()):
            telemetry = Telemetry(
                folder / "rows.jsonl", {"driver": os.getpid(), "gone": 2**22 + 1}, 20, progress=True
            )
        process = helpers()[0]
        niceness = process.nice()
        telemetry.on_idle(recorder_with(issued=9, done=5, failed=1))
        time.sleep(1.8)
        stopping = time.perf_counter()
        telemetry.stop()
        stop_s = time.perf_counter() - stopping
        stderr.seek(0)
        lines = stderr.read().splitlines()
    return SimpleNamespace(
        rows=read_rows(folder / "rows.jsonl", 0),
        started=started,
        ended=RealClock.now_ns(),
        lines=lines,
        stop_s=stop_s,
        process=process,
        niceness=niceness,
    )


def test_there_is_a_row_at_the_start_one_a_second_and_one_at_the_end(watched):
    assert 3 <= len(watched.rows) <= 4
    moments = [row["t_ns"] for row in watched.rows]
    assert 0.9e9 < moments[1] - moments[0] < 1.8e9


def test_rows_are_stamped_on_the_drivers_own_clock(watched):
    moments = [row["t_ns"] for row in watched.rows]
    assert moments == sorted(moments)
    assert watched.started < moments[0]
    assert moments[-1] < watched.ended


def test_rows_hold_memory_and_cpu_of_the_watched_process(watched):
    for row in watched.rows:
        assert row["driver_rss_bytes"] > 10 * 2**20
        assert row["driver_cpu_percent"] >= 0
        assert row["machine_available_bytes"] > 0


def test_a_process_that_does_not_exist_does_no_harm(watched):
    assert not [
        key
        for row in watched.rows
        for key, value in row.items()
        if key.startswith("gone") and value is not None
    ]


def test_rows_hold_the_counts_that_the_driver_left(watched):
    assert [(row["issued"], row["done"]) for row in watched.rows[1:]] == [(9, 6)] * (
        len(watched.rows) - 1
    )


def test_progress_is_plain_lines_when_stderr_is_no_terminal(watched):
    assert len(watched.lines) == 2  # one at the start and every five seconds, one at the end
    assert all(re.match(r"run +\d+\.\d s  \d+/20 samples  ", line) for line in watched.lines)
    assert re.fullmatch(
        r"run    [12]\.\d s  6/20 samples  3 open  \d+ tokens/s  1 failed", watched.lines[-1]
    )


def test_the_helper_stands_back_for_the_driver(watched):
    assert watched.niceness == min(os.nice(0) + 10, 19)


def test_the_helper_ends_when_it_is_stopped(watched):
    assert watched.stop_s < 2
    assert not watched.process.is_running()
    assert helpers() == []


def test_without_progress_nothing_is_said(tmp_path, capfd):
    telemetry = Telemetry(tmp_path / "rows.jsonl", {}, None, progress=False)
    telemetry.stop()
    assert capfd.readouterr() == ("", "")
    assert len(read_rows(tmp_path / "rows.jsonl", 0)) >= 1


def test_a_terminal_gets_a_progress_bar(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    screen, terminal = os.openpty()
    with stderr_to(terminal):
        telemetry = Telemetry(tmp_path / "rows.jsonl", {}, 20, progress=True)
    telemetry.on_idle(recorder_with(issued=9, done=5, failed=1))
    telemetry.stop()
    shown = os.read(screen, 65536).decode()
    os.close(screen)
    os.close(terminal)
    assert "\x1b[" in shown
    assert "6/20 samples" in shown
    assert "1 failed" in shown


def test_a_process_that_ends_in_the_run_gives_none(tmp_path):
    telemetry = Telemetry(tmp_path / "rows.jsonl", {}, None, progress=False)
    victim = helpers()[0]
    second = Telemetry(tmp_path / "second.jsonl", {"sut": victim.pid}, None, progress=False)
    time.sleep(0.3)  # its first row is written
    telemetry.stop()
    second.stop()
    rows = read_rows(tmp_path / "second.jsonl", 0)
    assert rows[0]["sut_rss_bytes"] > 0
    assert (rows[-1]["sut_rss_bytes"], rows[-1]["sut_cpu_percent"]) == (None, None)


def test_rows_are_counted_from_the_start_and_a_cut_line_is_left_out(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"t_ns": 500, "a": 1}\n{"t_ns": 700, "a": 2}\n{"t_ns": 9')
    assert read_rows(path, 400) == [{"t_ns": 100, "a": 1}, {"t_ns": 300, "a": 2}]


# ---- what may break


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSTOP)", "stopped (SIGSTOP)"),
        ("time.sleep(1000)", "no sign of life"),
        ("sys.exit(7)", "ended with exit code 7"),
    ],
)
def test_a_helper_that_is_never_ready_is_given_up_and_gone(tmp_path, monkeypatch, code, words):
    program = [sys.executable, "-c", f"import os, signal, sys, time; {code}"]
    monkeypatch.setattr(children, "command", lambda *_: program)
    monkeypatch.setattr(waits, "STOPPED_S", 0.5)
    monkeypatch.setattr(waits, "READYING", waits.Limit(1.0, 60.0))
    monkeypatch.setattr(waits.Wait, "pause_s", 0.1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SetupFailed, match=re.escape(words)):
        Telemetry(tmp_path / "rows.jsonl", {}, None, progress=False)
    assert not psutil.Process().children()
    assert not list(tmp_path.iterdir())


def test_a_run_goes_on_without_a_helper_that_is_stopped(tmp_path, monkeypatch):
    program = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"]
    monkeypatch.setattr(children, "command", lambda *_: program)
    monkeypatch.setattr(waits, "STOPPED_S", 0.5)
    words = ["run", "--sut", "null", "--in-process", "--scenario", "single-stream", "--json"]
    words += ["--output-dir", str(tmp_path), "--min-duration", "0s"]
    done = CliRunner().invoke(app, words)
    result = json.loads(done.stdout)
    assert (done.exit_code, result["status"]) == (0, "VALID")
    (row,) = [row for row in result["missing"] if row["name"] == "telemetry"]
    assert "stopped (SIGSTOP)" in row["reason"]


def test_without_room_for_its_counts_there_is_no_helper_and_no_file(tmp_path, monkeypatch):
    """A mapped file with a hole would end the driver by SIGBUS when the disk is full."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    named = telemetry_module.tempfile.NamedTemporaryFile

    def full(**options):
        file = named(**options)
        file.write = breaks
        return file

    def breaks(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(telemetry_module.tempfile, "NamedTemporaryFile", full)
    with pytest.raises(OSError, match="No space left"):
        Telemetry(tmp_path / "rows.jsonl", {}, None, progress=False)
    assert not list(tmp_path.iterdir())


def test_a_row_that_does_not_fit_is_left_out_and_the_next_one_written():
    with open("/dev/full", "wb", buffering=0) as full:
        telemetry_module._write(full, {"t_ns": 1}, dict)


def test_whatever_a_power_cut_leaves_of_the_lines_the_whole_ones_are_read(tmp_path):
    lines = b'{"t_ns": 5}\n\x00\x00\xff\n7\n{"done": 1}\n[]\n{"t_ns": 6}\n{"t_ns'
    (tmp_path / "rows.jsonl").write_bytes(lines)
    assert [row["t_ns"] for row in read_rows(tmp_path / "rows.jsonl", 5)] == [0, 1]


def test_a_row_that_cannot_be_sampled_is_left_out(tmp_path):
    """No descriptor may be left to look at a process with: the next row may have one."""
    rows = iter([OSError(24, "Too many open files"), {"sut_rss_bytes": 7}])

    def sample():
        row = next(rows)
        if isinstance(row, OSError):
            raise row
        return row

    with (tmp_path / "lines").open("wb", buffering=0) as out:
        telemetry_module._write(out, {"t_ns": 1}, sample)
        telemetry_module._write(out, {"t_ns": 2}, sample)
    assert read_rows(tmp_path / "lines", 0) == [{"t_ns": 2, "sut_rss_bytes": 7}]
