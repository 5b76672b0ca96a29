"""Is the golden server what clients can be judged against: known tokens, at known moments?"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from functools import partial
from time import monotonic

import pytest

from sut.golden.answers.asks import answer_ids, key_of
from sut.golden.answers.faults import TABLE
from tests import ROOT


def events(body: bytes) -> list[dict]:
    """Return the objects of a stream, [DONE] left out."""
    lines = [line[6:] for line in body.decode().split("\n\n") if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return list(map(json.loads, lines))


def exchanged(port: int, patience_s: float = 5.0, closes: bool = False) -> tuple[bytes, str]:
    """Return the bytes that a stream of completions brings and how it ends; "" = it is open."""
    body = json.dumps({"prompt": "why is the sky blue", "stream": True}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n" % len(body)
    head += b"connection: close\r\n\r\n" if closes else b"\r\n"
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(head + body)
        return _all_of(sock, patience_s)


def _all_of(sock: socket.socket, patience_s: float) -> tuple[bytes, str]:
    data, until = b"", monotonic() + patience_s
    while not data.endswith(b"0\r\n\r\n") and monotonic() < until:
        sock.settimeout(max(until - monotonic(), 0.001))
        try:
            piece = sock.recv(1 << 16)
        except TimeoutError:
            break
        except ConnectionResetError:
            return data, "reset"
        if not piece:
            return data, "closed"
        data += piece
    return data, ""


def test_the_tokens_follow_from_the_prompt(golden):
    said = golden.ask(prompt="a b", stream=True, return_token_ids=True, max_tokens=5)
    ids = [token for event in events(said) for token in event["choices"][0]["token_ids"]]
    assert ids == answer_ids(key_of("a b"), 5, has_eos=False)
    assert golden.stamps()[0].ids == ids


def test_an_answer_ends_by_itself_unless_that_is_forbidden(golden):
    golden.set(tokens=4)
    short = json.loads(golden.ask(prompt=[5, 6, 7], max_tokens=9))
    assert short["choices"][0]["finish_reason"] == "stop"
    assert short["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    long = json.loads(golden.ask(prompt=[5, 6, 7], max_tokens=9, ignore_eos=True))
    assert long["choices"][0]["finish_reason"] == "length"
    assert long["usage"]["completion_tokens"] == 9


def test_tokens_are_sent_when_they_are_due_and_stamped(golden):
    golden.set(tokens=6, ttft_ms=30, per_token_ms=10)
    golden.ask(prompt="a b", stream=True)
    row = golden.stamps()[0]
    due_ms = [30, 40, 50, 60, 70, 80]
    sent_ms = [(sent - row.received_ns) / 1e6 for sent in row.sent_ns]
    assert row.tokens == [1] * 6
    assert all(sent >= due for sent, due in zip(sent_ms, due_ms, strict=True)), sent_ms
    assert sent_ms == sorted(sent_ms)


def test_a_whole_answer_can_come_in_one_write(golden):
    golden.set(tokens=6, one_write=True)
    assert len(events(golden.ask(prompt="a b", stream=True))) == 6
    assert golden.stamps()[0].tokens == [6]


def test_a_chat_begins_with_its_role_and_counts_when_asked(golden):
    golden.set(tokens=3, prefix_cache=True)
    question = [{"role": "user", "content": [{"type": "text", "text": "a " * 40}]}]
    asked = {"messages": question, "stream": True, "stream_options": {"include_usage": True}}
    first, *_, last = events(golden.ask("/chat/completions", **asked))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert last["choices"] == []
    assert "prompt_tokens_details" not in last["usage"]
    again = events(golden.ask("/chat/completions", **asked))[-1]
    assert again["usage"]["prompt_tokens_details"] == {"cached_tokens": 32}
    assert b"vllm:prefix_cache_hits_total" in golden.get("/metrics")


def test_a_wait_in_its_queue_is_told_in_the_last_chunk(golden):
    golden.set(tokens=3, queue_ms=12.5)
    told = [event.get("metrics") for event in events(golden.ask(prompt="a", stream=True))]
    assert told == [None, None, {"queue_time_ms": 12.5, "time_to_first_token_ms": 0.0}]


@pytest.mark.parametrize(
    ("like", "refused"),
    [("trt-llm", {"return_token_ids": True}), ("ollama", {"prompt": [1, 2]})],
)
def test_each_server_refuses_what_it_does_not_know(golden, like, refused):
    golden.set(like=like)
    status, said = golden.fetch("/v1/completions", json.dumps({"prompt": "a"} | refused).encode())
    assert status == 400
    assert json.loads(said)["object" if like == "trt-llm" else "error"]
    assert golden.ask(prompt="a")


@pytest.mark.parametrize(
    "odd",
    [
        {"stream_options": [1]},
        {"prompt": [1 << 70]},
        {"min_tokens": [1]},
        {"min_tokens": "many"},
        {"max_tokens": True},
    ],
)
def test_fields_of_another_type_are_refused_and_the_server_lives(golden, odd):
    status, words = golden.fetch("/v1/completions", json.dumps({"prompt": "a", **odd}).encode())
    assert (status, b"error" in words) == (400, True)
    assert golden.fetch("/health")[0] == 200


def test_a_key_is_asked_for_and_said_by_nobody(golden):
    golden.set(key="sesame")
    assert golden.fetch("/v1/models")[0] == 401
    assert golden.fetch("/v1/models", authorization="Bearer sesame")[0] == 200
    assert b"sesame" not in golden.get("/golden/settings")


def test_tls_works_for_those_who_trust_its_certificate(golden_tls):
    assert b"choices" in golden_tls.ask(prompt="a b")


ENDINGS = {"cut": "closed", "closed": "closed", "unanswered": "closed", "reset": "reset"}
OPEN = {"stalled", "silent"}
NONE = {"silent", "unanswered", "garbage"}


@pytest.mark.parametrize("name", [*ENDINGS, *sorted(OPEN), "garbage", "bad_chunk", "die"])
def test_a_connection_ends_as_asked(golden, name):
    golden.set(tokens=8, faults={"1": name})
    whole, ending = exchanged(golden.port)
    assert ending == ""
    assert whole.count(b"data: ") == 9
    part, ending = exchanged(golden.port, 0.3 if name in OPEN else 5.0)
    assert ending == ENDINGS.get(name, "" if name in OPEN else "closed")
    assert part.count(b'"text"') == (0 if name in NONE else 3)


STEADY = sorted(set(TABLE) - set(ENDINGS) - OPEN - {"garbage", "bad_chunk", "die", "slow"})


def test_every_other_fault_leaves_a_response_that_is_whole_http(golden):
    for name in STEADY:
        golden.set(tokens=8, faults={"*": name})
        data, _ = exchanged(golden.port, closes=True)
        assert data.startswith(b"HTTP/1.1 "), name
        status = int(data.split(b" ")[1])
        assert status == (103 if name == "early_hints" else TABLE[name].status), name


def test_a_prompt_can_ask_for_a_fault_itself(golden):
    golden.set(tokens=8)
    assert (
        events(golden.ask(prompt="a [fault=aborted]", stream=True))[-1]["choices"][0][
            "finish_reason"
        ]
        == "abort"
    )


def test_two_requests_in_one_packet_are_answered_in_turn(golden):
    golden.set(tokens=2, per_token_ms=5)
    body = json.dumps({"prompt": "a b", "stream": True}).encode()
    one = b"POST /v1/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with socket.create_connection(("127.0.0.1", golden.port)) as sock:
        sock.sendall(one + one)
        first, _ = _all_of(sock, 5.0)
        second, _ = _all_of(sock, 5.0) if first.count(b"HTTP/1.1") == 1 else (b"", "")
    assert (first + second).count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["{"], "Input data was truncated"),
        (['{"tokens": "x"}'], "tokens"),
        (['{"like": "x"}'], "one of vllm"),
        (['{"faults": {"1": "x"}}'], "known: "),
        (['{"faults": {"x+": "cut"}}'], "no query"),
        (["--port", "1", "--host", "192.0.2.1"], "assign"),
    ],
)
def test_what_cannot_be_is_said_on_one_line(words, found):
    done = subprocess.run(
        [sys.executable, "-m", "sut.golden.server", *words], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert found in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_that_was_started_by_hand_can_be_stopped():
    command = [sys.executable, "-m", "sut.golden.server"]
    by_hand = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests may run in background
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": by_hand}
    with subprocess.Popen(command, **how) as process:
        assert process.stdout.readline().startswith(b"ready")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""


def test_every_fault_is_told_to_readers():
    page = (ROOT / "docs" / "golden-server.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | {fault.says} | {fault.class_} |" for name, fault in TABLE.items()]
    assert [row for row in rows if row not in page] == []
