"""Does a server come up, say what went wrong, and leave nothing running, however the run ends?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness.kernel.errors import BadInput, SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process import children
from harness.study.cells import deployment_flags
from sut.started import health, memory, server, table
from sut.started.server import Server
from tests.harness.kernel.process.test_children import gone

RUN = """
import sys, time
from pathlib import Path
from sut.started.order import Order
from sut.started.server import Server
order = Order("tiny", "/", variant="bf16", python=Path(sys.argv[1]))
server = Server("vllm", order, Path(sys.argv[2]), lambda words: None)
print("up", server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def start(order, tmp_path):
    """start(*arguments, kind, **fields) -> a server that is up; it is gone after the test."""
    begun = []

    def call(*arguments, kind="vllm", **fields):
        made = Server(kind, order(*arguments, **fields), tmp_path / "sut.log", lambda words: None)
        begun.append(made)
        return made

    yield call
    for made in begun:
        made.close()


def told(text, word):
    """Return what a line of the server's that begins with a word goes on with."""
    return next(line for line in text.splitlines() if line.startswith(word)).partition(" ")[2]


def pids_of(keeper):
    return [each.pid for each in psutil.Process(keeper).children(recursive=True)]


def test_a_server_comes_up_and_all_of_it_is_gone_afterwards(start, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-it")
    made = start("--flag", "1")
    pids = pids_of(made.pid)
    assert made.model == "tiny"
    assert len(pids) == 2
    assert memory.of(made.pid).rss_peak_bytes > 1_000_000
    made.close()
    assert gone([made.pid, *pids])
    words = (tmp_path / "sut.log").read_text()
    arguments = json.loads(told(words, "arguments"))
    assert arguments[-2:] == ["--flag", "1"]
    assert arguments == made.facts()["command"][1:]
    assert told(words, "path").startswith(os.path.dirname(made.command[0]))
    assert told(words, "ours") == "[]"


def test_a_server_that_hears_nothing_is_killed(start, monkeypatch):
    monkeypatch.setattr(waits, "LEAVING_S", 0.2)
    made = start("--deaf")
    pids = pids_of(made.pid)
    made.close()
    assert gone(pids)


@pytest.mark.parametrize(
    ("argument", "how"),
    [
        ("--dies", "it ended with exit code 1, last words: CUDA out of memory, or so"),
        ("--killed", r"it was killed by SIGKILL \(out of memory\?\)"),
    ],
)
def test_one_that_does_not_come_up_says_its_last_words(start, argument, how, tmp_path):
    with pytest.raises(SetupFailed, match=f"starting vllm: {how}"):
        start(argument)
    assert "arguments" in (tmp_path / "sut.log").read_text()


def test_one_that_never_answers_is_given_up(start, monkeypatch):
    monkeypatch.setattr(waits, "LOADING", waits.Limit(1.5, 60))
    monkeypatch.setattr(waits.Wait, "pause_s", 0.2)
    with pytest.raises(SetupFailed, match="no sign of life for"):
        start("--elsewhere")


def test_another_port_is_taken_where_somebody_else_was_faster(start, monkeypatch, golden):
    free = server._free_port
    ports = iter([golden.port])
    monkeypatch.setattr(server, "_free_port", lambda: next(ports, None) or free())
    assert f":{golden.port}/" not in start().url


def test_a_server_of_somebody_else_is_not_taken_for_ours(golden):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        assert not health.is_good(golden.port, other.pid)
        other.kill()


@pytest.mark.parametrize("whom", ["run", "keeper"])
def test_whoever_is_killed_nothing_keeps_running(environment, tmp_path, whom):
    command = [sys.executable, "-c", RUN, str(environment), str(tmp_path / "sut.log")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=children.variables()
    ) as run:
        keeper = int(run.stdout.readline().split()[1])
        pids = pids_of(keeper)
        os.kill({"run": run.pid, "keeper": keeper}[whom], signal.SIGKILL)
        direct = pids if whom == "run" else pids[:1]  # whose keeper is killed is not looked after
        assert len(pids) == 2
        assert gone([keeper, *direct])
        run.kill()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("arguments", "fields", "words"),
    [
        (("--port=80",), {}, "--server-arg --port=80: the harness chooses it"),
        ((), {"variant": "int3"}, "variant of --sut vllm: 'int3' is not known"),
        ((), {"device": "cuda"}, "CUDA_VISIBLE_DEVICES"),
        ((), {"adapter": "somewhere"}, "lora-bf16"),
        ((), {"python": Path("nowhere")}, "there is no"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_starts(start, arguments, fields, words):
    with pytest.raises(BadInput, match=words):
        start(*arguments, **fields)


def test_without_the_package_it_says_where_to_get_it(start):
    with pytest.raises(SetupFailed, match="Pass --server-python PATH"):
        start(python=None)


def test_an_argument_may_be_for_one_server_of_several():
    given = ("--all", "vllm:--eager", "llama-server:--threads", "llama-server:8", "x:y")
    assert table.arguments_for("vllm", given) == ("--all", "--eager", "x:y")
    assert table.arguments_for("llama-server", given) == ("--all", "--threads", "8", "x:y")


def test_in_a_gate_only_servers_get_what_is_for_servers():
    given = {"server_python": Path("p"), "server_args": ("--x",), "max_queries": 3}
    assert deployment_flags("fp32", given).keys() == {"variant", "max_queries"}
    assert "server_args" not in deployment_flags("http://host:1", given)
    assert deployment_flags("vllm:bf16", given)["server_python"] == Path("p")
    assert "server_python" not in deployment_flags("llama-server:Q4_K_M", given)
    assert deployment_flags("llama-server:Q4_K_M", given)["server_args"] == ("--x",)
