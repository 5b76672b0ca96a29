"""Does the API key that clients must send stand anywhere but in the variable that holds it?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import psutil
import pytest

from harness.kernel.errors import BadInput
from harness.serve.house import House
from harness.serve.settings import settings
from tests import ROOT
from tests.conftest import tiny_llama_in
from tests.harness.serve.fake import serving

KEY = "melon colly 7"  # has neither the form of a secret nor the name of one
PAGES = ["/v1/models", "/version", "/health", "/metrics", "/tokenizer_info", "/v1/nothing"]
BODIES = [
    {"prompt": "a b", "max_tokens": 2},
    {"prompt": "a b", "max_tokens": 2, "stream": True, "unheard_of": 1},
    {"prompt": "a b", "temperature": "hot"},
]
HEADERS = [
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": f"Bearer {KEY}"},
    {"X-Api-Key": KEY},
]


@contextmanager
def program(scratch, *words):
    """Yield a server that asks for the key, and what it said once it was ready."""
    scratch.mkdir()
    own = {"MY_DOOR": KEY, "TMPDIR": str(scratch), "TOUCHSTONE_DEBUG": "1"}
    command = [sys.executable, "-m", "harness", "serve", "--port", "0", "--json", *words]
    with subprocess.Popen(
        [*command, "--api-key-env", "MY_DOOR"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **own},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def answers(url, pages):
    """Yield status, head and body of everything that can be asked, with and without the key."""
    root = url.removesuffix("/v1")
    bodies = [json.dumps(body).encode() for body in BODIES]
    asked = [*((root + page, None) for page in pages), *((f"{url}/completions", b) for b in bodies)]
    for address, data in asked:
        for headers in HEADERS:
            request = urllib.request.Request(address, data, headers)
            try:
                answer = urllib.request.urlopen(request, timeout=60)
            except urllib.error.HTTPError as refusal:
                answer = refusal
            with answer:
                yield answer.status, str(answer.headers), answer.read().decode()


def written(folder):
    return "".join(p.read_text(errors="replace") for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("sut", ["local", "simulated"])
def test_the_key_stands_in_no_answer_log_error_metric_or_list_of_processes(tmp_path, sut):
    model = ["--model", str(tiny_llama_in(tmp_path / "tiny"))] if sut == "local" else []
    with program(tmp_path / "scratch", "--sut", sut, *model) as (process, told):
        ready = json.loads(told)
        found = list(answers(ready["url"], [*PAGES, "/golden/settings", "/golden/stamps"]))
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(True)]
        listed = [word for one in family for word in one.cmdline()]
        logs = written(tmp_path / "scratch")
        if sut == "local":
            os.kill(ready["pid"], signal.SIGKILL)  # what it says of that is an error
        else:
            process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=60)
    assert {status for status, _, _ in found} >= {200, 401, 404}
    assert process.returncode == (4 if sut == "local" else 0), error
    assert len(family) > (sut == "local")
    seen = [told, out, error, logs, written(tmp_path / "scratch"), *listed]
    seen += [text for _, head, body in found for text in (head, body)]
    assert [text for text in seen if KEY in text] == []


def test_the_words_of_a_fault_lose_the_key(monkeypatch, capsys):
    monkeypatch.setenv("MY_DOOR", KEY)
    made = settings({"sut": "simulated", "sut_options": {}, "model": "smollm2-135m"}, "MY_DOOR")
    monkeypatch.setattr(House, "check_model", lambda house, _: {}[house.key])
    with serving(key=made.key) as client:
        body = json.dumps({"prompt": "a"}).encode()
        headers = {"Authorization": f"Bearer {KEY}"}
        status, _, told = client.ask("/v1/completions", body, headers=headers)
        assert status == 500
        assert KEY not in f"{told} {made} {client.house}"
    assert "KeyError: '(hidden)'" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["caffè latte", " before", "behind\n", "in\nside", "\udcff"])
def test_a_key_that_no_client_can_send_is_refused_and_not_shown(monkeypatch, key):
    monkeypatch.setenv("MY_DOOR", key)
    with pytest.raises(BadInput) as refused:
        settings({"sut": "simulated", "sut_options": {}, "model": "smollm2-135m"}, "MY_DOOR")
    assert (
        refused.value.facts[1]
        == "the key begins or ends with white space, or is not all printable ASCII"
    )
    assert key not in str(refused.value)
