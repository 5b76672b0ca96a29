"""Is Ctrl-C the same as a polite kill and as a terminal that closes, from the first moment on?"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.engine.runlog import read_log
from harness.kernel.errors import RunBroke
from harness.kernel.process import children, stopping
from harness.options.settings import RunConfig
from harness.study.executors import child

STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
VIRTUAL = "--scenario server --clock virtual --target-qps 20 --min-queries 64 --min-duration 0s"

# Each of these SUTs sends the signals itself, at a moment that nobody could meet from outside.
SUTS = """
import os, signal
from sut.simulated import Simulated

class Stopped(Simulated):
    real_time = ""
    presses, at = 1, 20
    def __init__(self, clock, number=2, **options):
        super().__init__(clock, **options)
        self.number = number
    def press(self):
        for _ in range(self.presses):
            signal.raise_signal(self.number)
    def issue(self, query):
        super().issue(query)
        if query.id == self.at:
            self.press()

class FiveTimes(Stopped):
    presses = 5

class Hangs(Stopped):
    def press(self):
        while True:
            signal.raise_signal(self.number)

class Leaves(Stopped):
    def press(self):
        raise SystemExit(3)

class InLoad(Stopped):
    def load(self, samples, sink):
        self.press()
        super().load(samples, sink)

class Swallows(Stopped):
    def load(self, samples, sink):
        try:
            self.press()
        except BaseException:
            raise ImportError("a library was half imported")

class InDecode(Stopped):
    at, presses = None, 5
    def decode(self, outputs):
        self.press()
        return super().decode(outputs)

class Telling(Stopped):
    at = None
    presses = 4
    def memory(self):
        self.press()
        return super().memory()
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(SUT, signal, *words) -> (exit code, stderr, folders of the runs)."""
    (tmp_path / "stopping_suts.py").write_text(SUTS)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("stopping_suts", None)

    def call(sut, number=signal.SIGINT, *more):
        words = f"run {VIRTUAL} --sut stopping_suts:{sut} --in-process --warmup 0"
        given = ["--sut-option", f"number={int(number)}", "--output-dir", str(tmp_path / "runs")]
        done = CliRunner().invoke(app, [*words.split(), *given, *more])
        assert isinstance(done.exception, SystemExit | None)

        return done.exit_code, done.stderr, list(tmp_path.glob("runs/*"))

    return call


def completed(folder):
    return int(read_log(folder)[0].completed.sum())


@pytest.mark.parametrize("number", STOPS)
def test_every_way_to_stop_keeps_what_was_measured(run, number):
    code, _, (folder,) = run("Stopped", number)
    assert code == 130
    assert 0 < completed(folder) <= 21
    assert (folder / "result.json").is_file()


@pytest.mark.parametrize("sut", ["FiveTimes", "Hangs"])
def test_however_often_she_presses_what_the_recorder_holds_is_written(run, sut):
    code, said, (folder,) = run(sut)
    assert (code, (folder / "result.json").is_file()) == (130, True), said
    assert completed(folder) > 0


def test_a_sut_that_ends_the_interpreter_ends_its_run_alone(run):
    code, _, (folder,) = run("Leaves")
    assert code == 4
    assert read_log(folder)[0].end_reason == "the SUT raised SystemExit: 3"
    assert completed(folder) > 0


@pytest.mark.parametrize("number", STOPS)
def test_before_anything_is_measured_nothing_is_left_and_said_so(run, number):
    code, said, folders = run("InLoad", number)
    assert (code, folders) == (130, [])
    assert "stopped before anything was measured" in said


def test_a_stop_that_a_library_makes_another_error_of_is_a_stop(run):
    code, said, _ = run("Swallows", signal.SIGTERM)
    assert code == 130, said
    assert "This is a bug" not in said


def test_in_a_comparison_such_a_stop_is_no_row_and_the_run_is_made_later(run, tmp_path):
    number = ["--sut-option", f"number={int(signal.SIGHUP)}"]
    words = f"compare {VIRTUAL} --sut stopping_suts:Swallows --in-process --warmup 0"
    words = f"{words} --max-concurrency 4,8 --output-dir {tmp_path / 'runs'}"
    done = CliRunner().invoke(app, [*words.split(), *number])
    (place,) = tmp_path.glob("runs/*")
    assert (done.exit_code, f"harness resume {place}" in done.stderr) == (130, True), done.stderr
    assert not (place / "rows.jsonl").exists()


def test_a_child_that_is_stopped_before_it_can_hear_is_no_failure(monkeypatch):
    config = RunConfig(scenario="server", sut="simulated")
    monkeypatch.setattr(child, "_wait_for", lambda *arguments: (-signal.SIGTERM, True))
    with pytest.raises(KeyboardInterrupt):
        child.child(config, lambda text: None)
    monkeypatch.setattr(child, "_wait_for", lambda *arguments: (-signal.SIGTERM, False))
    with pytest.raises(RunBroke, match="killed by SIGTERM"):
        child.child(config, lambda text: None)


def test_whoever_insists_while_the_outputs_are_read_is_told_where_the_run_is(run):
    code, said, (folder,) = run("Telling")
    assert code == 130
    assert f"harness report {folder}" in said
    assert completed(folder) == 64
    assert CliRunner().invoke(app, ["report", str(folder)]).exit_code in (0, 1)


@pytest.mark.parametrize("mode", ["find-peak", "submission"])
def test_a_run_in_parts_that_is_stopped_in_its_load_goes_on(run, tmp_path, monkeypatch, mode):
    code, said, (folder,) = run("InLoad", signal.SIGHUP, "--mode", mode)
    assert (code, f"harness resume {folder}" in said) == (130, True), said
    (tmp_path / "stopping_suts.py").write_text(
        SUTS.replace("presses, at = 1, 20", "presses, at = 0, -1")
    )
    sys.modules.pop("stopping_suts")
    done = CliRunner().invoke(app, ["resume", str(folder), "--trust-folder", "--json"])
    assert "it is damaged" not in done.stderr
    assert done.exit_code in (0, 1), done.stderr


# ---- the program as a process

WAITS = """
import sys, time
from harness.kernel.process import stopping
stopping.listen()
try:
    print("ready", flush=True)
    exec("import time; time.sleep(30)")  # as an import of a dataclass does
except KeyboardInterrupt:
    code = stopping.exit_code(1)
    stopping.over()
    print("tidying", flush=True)
    time.sleep(0.2)
    sys.exit(code)
"""


@pytest.fixture
def started(tmp_path, monkeypatch):
    """started(what comes before) -> a program that waits to be stopped."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def call(before):
        (tmp_path / "waits.py").write_text(before + WAITS)
        process = subprocess.Popen(
            children.command("waits"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=children.variables(),
        )
        assert process.stdout.readline() == "ready\n"
        return process

    return call


@pytest.mark.parametrize("number", STOPS)
def test_once_the_exit_code_is_known_nothing_changes_it(started, number):
    process = started("import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n")
    process.send_signal(number)
    assert process.stdout.readline() == "tidying\n"
    for other in STOPS:
        process.send_signal(other)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "")


def test_nohup_is_heeded(started):
    process = started("import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_a_program_that_calls_a_command_keeps_its_own_handlers():
    before = [signal.getsignal(number) for number in STOPS]
    assert CliRunner().invoke(app, ["list", "rules"]).exit_code == 0
    assert [signal.getsignal(number) for number in STOPS] == before


def test_a_stop_that_was_swallowed_is_found_by_the_next_look():
    with stopping.listening():
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            stopping.check()
    with stopping.listening():
        stopping.check()
