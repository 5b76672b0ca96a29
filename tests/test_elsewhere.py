"""Without what Windows lacks: a simulated run, a null run behind the channel, a tiny real model.

A whole Windows cannot be had here. `tests/elsewhere/sitecustomize.py` takes its missing parts away
from every process of a run; what it cannot take away (drive letters, files that are locked while
they are open, the grain of its timers) stays untried, and README.md says so.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading

import pytest
from pyarrow import parquet

from harness.kernel.clock import RealClock, _SocketPair
from sut.border import channel
from tests import ROOT

PATHS = os.pathsep.join((str(ROOT / "tests" / "elsewhere"), str(ROOT)))


def elsewhere(words, cwd):
    command = [sys.executable, "-m", "harness", *words.split()]
    env = {**os.environ, "PYTHONPATH": PATHS}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=env, timeout=200, check=False
    )


def test_the_parts_are_really_missing(tmp_path):
    code = "import os, socket\nassert not hasattr(os, 'fork')\nimport fcntl"
    env = {**os.environ, "PYTHONPATH": PATHS}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False
    )
    assert done.stderr.strip().endswith("No module named 'fcntl'")


@pytest.mark.parametrize("clock", ["virtual", "real"])
def test_a_simulated_run_is_made(clock, tmp_path):
    done = elsewhere(
        f"run --scenario server --sut simulated --clock {clock} --target-qps 40 --min-queries 20 "
        "--sut-option ttft_ms=5 --sut-option per_token_ms=1 --json",
        tmp_path,
    )
    assert done.returncode in (0, 1), done.stderr  # twenty queries are too few for early stopping
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["counts"]["completed"] >= 20
    if clock == "real":
        (run,) = (tmp_path / "runs").iterdir()
        assert len(parquet.read_table(run / "telemetry.parquet")) >= 2


def test_a_model_is_served_in_a_process_of_its_own(tiny_llama, tmp_path):
    done = elsewhere(
        f"run --scenario offline --model {tiny_llama} --num-samples 4 --max-new-tokens 4 "
        "--truncate --warmup 1 --min-queries 1 --json",
        tmp_path,
    )
    assert done.returncode in (0, 1), done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["counts"]["failed"] == 0
    assert result["memory"]["rss_peak_bytes"] > 2**20


@pytest.fixture
def unhanded(monkeypatch):
    """A system that hands no descriptor on."""
    monkeypatch.delattr(os, "fork")
    return channel.offer()


class Alive:
    pid = os.getpid()

    def poll(self):
        return None


class Gone:
    pid = os.getpid()

    def poll(self):
        return 1


def test_the_child_connects_and_is_told_from_others_by_its_word(unhanded):
    host, _, port = unhanded.argument.rpartition(":")
    assert host == "127.0.0.1"
    stranger = socket.create_connection((host, int(port)))
    stranger.sendall(b"x" * 32)

    def child():
        os.environ.update(unhanded.environment)
        with channel.connect(unhanded.argument) as connection:
            connection.sendall(b"hello")

    thread = threading.Thread(target=child)
    thread.start()
    with unhanded.accept(Alive()) as ours:
        assert ours.recv(5) == b"hello"
    thread.join()
    assert stranger.recv(1) == b""
    stranger.close()


def test_a_child_that_dies_before_it_connects_is_missed(unhanded):
    with pytest.raises(ConnectionError):
        unhanded.accept(Gone())


def test_a_full_socket_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(channel, "_DONT_WAIT", None)
    ours, theirs = socket.socketpair()
    much = memoryview(bytes(1 << 20))
    with ours, theirs:
        while channel.send_now(ours, much) == len(much):
            pass
        with pytest.raises(BlockingIOError):
            channel.send_now(ours, much)
        assert ours.getblocking()


def test_a_clock_of_sockets_wakes_as_one_of_a_pipe_does(monkeypatch):
    monkeypatch.delattr(os, "fork")
    clock = RealClock()
    assert isinstance(clock._waker, _SocketPair)
    heard = []
    threading.Timer(0.05, lambda: clock.post(lambda: heard.append(clock.now_ns()))).start()
    clock.wait(clock.now_ns() + 5_000_000_000)
    assert heard
    clock.close()
