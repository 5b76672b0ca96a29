"""Servers that stand in for vLLM and llama.cpp: small programs of our own that take their flags."""

from __future__ import annotations

import os
import stat
import sys

import pytest

from sut.started.order import Order
from tests import ROOT

# It answers /health once it was asked a few times, tells its version as vLLM does, starts a process
# in a session of its own, and does what its extra arguments say.
SERVER = """#!{python}
import http.server, json, os, signal, subprocess, sys, time
arguments = sys.argv[1:]
def of(flag):
    return arguments[arguments.index(flag) + 1]
print("arguments", json.dumps(arguments), flush=True)
print("path", os.environ["PATH"], flush=True)
ours = "PYTHONPATH", "OPENAI", "TOUCHSTONE"
print("ours", [name for name in os.environ if name.startswith(ours)], flush=True)
if "--dies" in arguments:
    sys.exit("CUDA out of memory, or so")
if "--killed" in arguments:
    os.kill(os.getpid(), signal.SIGKILL)
if "--deaf" in arguments:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
far = [sys.executable, "-c", "import time; time.sleep(600)"]
far = subprocess.Popen(far, start_new_session=True)
print("pids", os.getpid(), far.pid, flush=True)
asked = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += 1
        body = {{"/version": {{"version": "9.9"}}, "/props": {{"build_info": "b1"}},
                "/v1/models": {{"data": [{{"id": "tiny"}}]}}}}.get(self.path, {{}})
        self.send_response(503 if asked < 3 else 200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def log_message(self, *words):
        pass
port = int(of("--port"))
if "--elsewhere" in arguments:
    port += 1
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


# The golden server under vLLM's flags, with the model's name as it is told.
GOLDEN = """#!{python}
import json, os, sys
def of(flag):
    return sys.argv[sys.argv.index(flag) + 1]
settings = json.dumps({{"model": of("--served-model-name"), "tokens": 6, "per_token_ms": 2}})
os.environ["PYTHONPATH"] = {root!r}
words = ["-m", "sut.golden.server", settings, "--port", of("--port")]
os.execv({python!r}, [{python!r}, *words])
"""


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def environment(tmp_path):
    """A virtual environment, as --server-python takes it, whose Python is the server itself."""
    executable(tmp_path / "venv" / "bin" / "python", SERVER.format(python=sys.executable))
    return tmp_path / "venv"


@pytest.fixture
def golden_environment(tmp_path):
    """The same, whose server has known answers."""
    text = GOLDEN.format(python=sys.executable, root=str(ROOT))
    executable(tmp_path / "golden" / "bin" / "python", text)
    return tmp_path / "golden"


# It writes what it was asked for into the file that it was asked for.
QUANTIZE = """#!/bin/sh
[ "$4" = Q2_K ] && echo "no such luck" >&2 && exit 1
echo "$@" > "$3"
"""


@pytest.fixture
def llama(tmp_path, monkeypatch):
    """llama.cpp's programs, on the PATH."""
    executable(tmp_path / "llama" / "llama-server", SERVER.format(python=sys.executable))
    executable(tmp_path / "llama" / "llama-quantize", QUANTIZE)
    monkeypatch.setenv("PATH", f"{tmp_path / 'llama'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TOUCHSTONE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "llama"


@pytest.fixture
def order(environment, tmp_path):
    """order(*arguments of the server, **what else) -> what is asked of it."""

    def call(*arguments, **fields):
        given = {"path": str(tmp_path), "python": environment, "variant": "bf16"} | fields
        return Order("owner/tiny", arguments=arguments, **given)

    return call
