"""How does `python -m harness serve` start and end, as a process?"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import psutil
import pytest
from typer.testing import CliRunner

from harness.cli import app
from tests import ROOT
from tests.conftest import tiny_llama_in
from tests.harness.serve.fake import events

KNOWN = """
import sys
from tests.harness.serve.fake import *
from harness.serve.server import run
from harness.kernel.process import stopping
stopping.listen()
engine = FakeEngine(step_s=0.3)
house = known_house(engine)
bound = listener("127.0.0.1", 0)
sys.exit(run(house, engine, bound, lambda: print(bound.getsockname()[1], flush=True)))
"""


@contextmanager
def started(*words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, *words], stdout=pipe, stderr=pipe, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def ask(url, **fields):
    body = json.dumps({"prompt": "a b c", "stream": True, "max_tokens": 8, **fields}).encode()
    return urllib.request.urlopen(f"{url}/completions", body, timeout=60)


def test_a_real_model_is_served_until_ctrl_c_and_then_to_the_end(tmp_path):
    model = tiny_llama_in(tmp_path / "tiny")
    words = ["-m", "harness", "serve", "--model", str(model), "--port", "0", "--json"]
    with started(*words) as process:
        told = json.loads(process.stdout.readline())
        assert told["models"] == [str(model)]
        assert told["context"] == 64
        answer = ask(
            told["url"], model="tiny", ignore_eos=True, return_token_ids=True, temperature=0
        )
        process.send_signal(signal.SIGINT)
        chunks = events(answer.read().decode())
        assert sum(len(chunk["choices"][0]["token_ids"]) for chunk in chunks) == 8
        assert process.wait(60) == 130
        assert not psutil.pid_exists(told["pid"])
        assert "Traceback" not in process.stderr.read()


def test_a_polite_kill_waits_for_what_is_open_and_a_second_one_does_not():
    with started("-c", KNOWN) as process:
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        answer = ask(url, max_tokens=20)
        process.send_signal(signal.SIGTERM)
        assert process.stderr.readline() == (
            "stopping: 1 answer to finish; Ctrl-C again ends them now\n"
        )  # fmt: skip
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert b"[DONE]" not in answer.fp.read()
        assert process.stderr.read() == ""


def test_a_server_without_a_model_sends_known_tokens(monkeypatch):
    words = ["-m", "harness", "serve", "--sut", "simulated", "--port", "0", "--json"]
    options = ["--sut-option", "tokens=5", "--sut-option", "fault=aborted", "--sut-option"]
    with started(*words, *options, "fault_at=1") as process:
        told = json.loads(process.stdout.readline())
        finishes = [
            chunk["choices"][0]["finish_reason"]
            for _ in range(2)
            for chunk in events(ask(told["url"]).read().decode())
        ]
        assert finishes[4] != "abort"
        assert finishes[-1] == "abort"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


REFUSED = {
    "--sut null": (2, "known: local, simulated"),
    "--sut-option ttft_ms=5": (2, "those of --sut simulated"),
    "--sut simulated --sut-option ttft=5": (2, "known: model, like, tokens"),
    "--sut simulated --sut-option fault=hiccup": (2, "'hiccup' is not known"),
    "--port {taken}": (3, "expected a free port"),
    "--host nowhere.invalid": (3, "expected an address of this machine"),
    "--host a..b": (3, "it is no name of a machine"),
    "--variant fp99": (2, "'fp99' is not known"),
    "--model ./nope": (2, "no such file or folder"),
    "--api-key-env NOT_SET_ANYWHERE": (2, "export NOT_SET_ANYWHERE"),
    "--max-concurrency 0": (2, "--max-concurrency"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_served_is_said_before_anything_is_loaded(words):
    with socket.create_server(("127.0.0.1", 0)) as other:
        line = words.format(taken=other.getsockname()[1])
        done = CliRunner().invoke(app, ["serve", *line.split()])
    code, found = REFUSED[words]
    assert done.exit_code == code
    (error,) = re.findall(r"^error: .+$", done.stderr, re.M)
    assert found in error
    assert "loading" not in done.stderr
