"""What does a client get that asks for what cannot be, leaves early, or asks too much?"""

from __future__ import annotations

import json
import random
import time
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.kernel.errors import RunBroke
from harness.serve.telling.shapes import Shape
from tests.harness.serve.fake import TEMPLATE, FakeEngine, byte_tokenizer, events, serving


@pytest.fixture(scope="module")
def client():
    with serving() as made:
        yield made


def test_a_refusal_is_an_object_of_openais(client):
    status, headers, told = client.complete("Hi", temperature="hot")
    assert status == 400
    assert told == {
        "error": {
            "message": "temperature is 'hot'; expected a number from 0 to 1000.",
            "type": "invalid_request_error", "param": "temperature", "code": 400,
        }
    }  # fmt: skip
    assert headers["x-request-id"]


@pytest.mark.parametrize(
    ("fields", "words"),
    {
        "max_tokens": ({"max_tokens": 0}, "at least 1"),
        "min": ({"min_tokens": 5, "max_tokens": 2}, "more than max_tokens"),
        "n": ({"n": 200}, "from 1 to 128"),
        "many": ({"prompt": ["a"] * 100, "n": 100}, "at most 1024 answers"),
        "long": ({"max_tokens": 999}, "2 tokens and max_tokens is 999; the context is 1000"),
        "ids": ({"prompt": [1, 700]}, "ids are below 300"),
        "none": ({"prompt": []}, "prompt is a text"),
        "empty": ({"prompt": ""}, "no tokens"),
        "mixed": ({"prompt": [[1], 2]}, "prompt is a text"),
        "bool": ({"prompt": [True]}, "prompt is a text"),
        "stop": ({"stop": [1]}, "a list of texts"),
        "bias": ({"logit_bias": {"a": 1}}, "token ids"),
        "json": ({"response_format": {"type": "json_object"}}, "of type text"),
        "tools": ({"tools": [{"type": "function"}]}, "tools are not supported"),
        "top_p": ({"top_p": 0}, "above 0"),
        "stream": ({"stream": "yes"}, "true or false"),
        "model": ({"model": 7}, "a text"),
    }.values(),
)
def test_what_cannot_be_followed_is_refused_in_a_sentence(client, fields, words):
    status, _, told = client.ask("/v1/completions", {"prompt": "Hi", **fields})
    assert status == 400
    assert words in told["error"]["message"]


def test_an_unknown_model_is_not_found_and_the_known_are_named(client):
    status, _, told = client.complete(model="gpt-5")
    assert status == 404
    assert told["error"]["message"] == "the model 'gpt-5' does not exist here; known: known."
    with serving(aliases=("*",)) as anything:
        assert anything.complete(model="gpt-5")[2]["model"] == "gpt-5"
        assert [card["id"] for card in anything.ask("/v1/models")[2]["data"]] == ["known"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"a":NaN}', b"1"]
)
def test_what_is_no_json_object_is_refused(client, body):
    status, _, told = client.ask("/v1/completions", body)
    assert status == 400
    assert "JSON" in told["error"]["message"]


@pytest.mark.parametrize(
    "messages",
    [None, [], "Hi", [1], [{"content": "a"}], [{"role": "user", "content": 5}],
     [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]],
)  # fmt: skip
def test_messages_are_checked(client, messages):
    status, _, told = client.ask("/v1/chat/completions", {"messages": messages})
    assert status == 400
    assert told["error"]["param"].startswith("messages")


def test_a_template_refuses_in_its_own_words_and_a_model_without_one_says_so():
    template = "{{ raise_exception('roles must alternate') }}"
    with serving(tokenizer=byte_tokenizer(template)) as client:
        status, _, told = client.chat()
        assert status == 400
        assert "roles must alternate" in told["error"]["message"]
        assert client.chat(chat_template="{% bad")[0] == 400
    with serving(tokenizer=byte_tokenizer(None)) as client:
        status, _, told = client.chat()
        assert status == 400
        assert "no chat template" in told["error"]["message"]
        assert client.chat(chat_template=TEMPLATE)[0] == 200


def test_paths_and_methods_that_are_not_there_are_answered_in_json(client):
    assert client.ask("/v1/nothing")[0] == 404
    status, _, told = client.ask("/v1/completions")
    assert status == 405
    assert told["error"]["message"] == "/v1/completions does not take GET."


def test_a_body_may_be_so_large_and_no_larger():
    with serving(most_bytes=1000) as client:
        assert client.complete("x" * 900)[0] == 200
        status, _, told = client.complete("x" * 1001)
        assert status == 413
        assert "1,000 bytes" in told["error"]["message"]


def test_the_key_is_asked_for_where_there_is_one():
    with serving(key="sesame") as client:
        assert client.complete()[0] == 401
        assert client.ask("/v1/models")[0] == 401
        status, headers, told = client.ask("/tokenizer_info", headers={"Authorization": "Bearer x"})
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert "sesame" not in json.dumps(told)
        assert client.ask("/v1/models", headers={"Authorization": "Bearer sesame"})[0] == 200
        assert client.ask("/health")[0] == client.ask("/metrics")[0] == 200


def test_a_full_queue_refuses_and_says_when_to_come_again():
    with serving(FakeEngine(step_s=0.02, rows=1), most_waiting=2) as client:
        connections = [client.connect() for _ in range(3)]
        for connection in connections:
            connection.request("POST", "/v1/completions", json.dumps({"prompt": "a"}))
        until(lambda: client.engine.open_requests == 3)
        status, headers, told = client.complete()
        assert status == 429
        assert int(headers["retry-after"]) >= 1
        reason = "2 answers wait already; at most 2 may (--max-queue)."
        assert told["error"]["message"] == reason
        assert [one.getresponse().status for one in connections] == [200] * 3
        for connection in connections:
            connection.close()
        assert client.complete()[0] == 200
        rejected = 'touchstone:requests_rejected_total{model_name="known"} 1'
        assert rejected in client.ask("/metrics")[2]


def test_the_queue_holds_no_more_where_bodies_come_slowly():
    with (
        serving(FakeEngine(step_s=0.02, rows=1), most_waiting=0) as client,
        slowly(client, 3) as end,
    ):
        assert sorted(end()) == [200, 429, 429]


def test_an_engine_that_dies_while_a_body_comes_is_not_waited_for():
    with serving() as client, slowly(client, 1) as end:
        fault = RunBroke("the model", "it was killed")
        client.engine._loop.call_soon_threadsafe(client.engine.lost, fault)
        until(lambda: client.house.desk.fault)
        assert end() == [503]


@contextmanager
def slowly(client, count):
    """Send so many requests but for the last byte; yield what sends that and returns statuses."""
    connections, body = [client.connect() for _ in range(count)], b'{"prompt": "a"}'
    for one in connections:
        one.putrequest("POST", "/v1/completions")
        one.putheader("content-length", str(len(body)))
        one.endheaders(body[:-1])
    time.sleep(0.2)  # they are let in meanwhile; if not, there is less to see

    def end():
        for one in connections:
            one.send(body[-1:])
        return [one.getresponse().status for one in connections]

    yield end
    for one in connections:
        one.close()


@pytest.mark.parametrize("place", ["whole", "chunk", "last"])
def test_a_fault_of_ours_is_told_to_the_client_and_in_the_log(monkeypatch, capsys, place):
    monkeypatch.setattr(Shape, place, lambda *_: 1 / 0)
    with serving() as client:
        fields = (
            {} if place == "whole" else {"stream": True, "stream_options": {"include_usage": True}}
        )
        status, _, told = client.complete("Hi", **fields)
        if place == "last":
            *_, told = events(told)
        assert status == (200 if place == "last" else 500)
        assert told["error"]["code"] == 500
        until(lambda: client.engine.open_requests == 0)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: unexpected ZeroDivisionError: division by zero. This is a bug."


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_client_that_leaves_frees_its_row(is_stream):
    with serving(FakeEngine(step_s=0.05, rows=1)) as client:
        connection = client.connect()
        body = json.dumps({"prompt": "a", "stream": is_stream, "n": 2})
        connection.request("POST", "/v1/completions", body)
        until(lambda: client.engine.running)
        if is_stream:
            connection.getresponse().read(10)
        connection.close()
        until(lambda: len(client.engine.cancelled) == 2)
        until(lambda: client.engine.open_requests == 0)
        assert 'finished_reason="abort"} 2' in client.ask("/metrics")[2]


def test_an_engine_that_dies_in_a_stream_is_told_in_it():
    with serving(FakeEngine(step_s=0.05)) as client:
        connection = client.connect()
        body = json.dumps({"prompt": "a", "stream": True})
        connection.request("POST", "/v1/completions", body)
        answer = connection.getresponse()
        assert answer.status == 200
        fault = RunBroke("the model", "it was killed")
        client.engine._loop.call_soon_threadsafe(client.engine.lost, fault)
        *_, last = events(answer.read().decode())
        assert last["error"]["code"] == 500
        connection.close()


def until(is_true, seconds=20):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_finishes_what_is_open_before_it_stops():
    with serving(FakeEngine(step_s=0.05)) as client:
        connection = client.connect()
        connection.request("POST", "/v1/completions", json.dumps({"prompt": "a", "stream": True}))
        answer = connection.getresponse()
        client.server.stop()
        chunks = events(answer.read().decode())
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        connection.close()


# ---- whatever comes

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
_NAMES = [
    "model", "prompt", "messages", "max_tokens", "max_completion_tokens", "min_tokens", "n", "stop",
    "temperature", "top_p", "top_k", "seed", "logprobs", "top_logprobs", "prompt_logprobs", "echo",
    "stream", "stream_options", "stream_interval", "logit_bias", "chat_template", "stop_token_ids",
    "chat_template_kwargs", "response_format", "tools", "continue_final_message", "tokens", "n",
    "add_generation_prompt", "repetition_penalty", "ignore_eos", "return_token_ids", "\ud800", "",
]  # fmt: skip
_PATHS = ["/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(_PATHS),
    fields=st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=5),
    is_right=st.booleans(),
)
def test_no_body_is_answered_with_a_failure_of_ours(client, path, fields, is_right):
    right = {"prompt": "Hi", "messages": [{"role": "user", "content": "a"}], "tokens": [1]}
    body = {**right, **fields} if is_right else fields
    status, _, told = client.ask(path, json.dumps(body).encode())
    assert status < 500, (told, body)
    if status >= 400:
        assert told["error"]["message"].endswith(".")


def test_no_mutation_of_a_good_body_is_answered_with_a_failure_of_ours(client):
    draw = random.Random(0)
    good = json.dumps(
        {"prompt": ["a", "b"], "max_tokens": 3, "stop": ["x"], "logprobs": 1}
    ).encode()
    for _ in range(150):
        body = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        status, _, told = client.ask(draw.choice(_PATHS), bytes(body))
        assert status < 500, (told, body)


def test_refused_requests_for_answers_are_counted_by_their_status():
    """Not those of other paths; `harness evaluate` asks how many there were."""
    from harness.evaluators.served import Server

    with serving() as client:
        ours = Server(f"http://127.0.0.1:{client.port}/v1", "known", {}, is_ours=True)
        assert ours.refused() == 0
        client.complete("Hi", temperature="hot")
        client.complete("Hi", max_tokens=100_000)
        client.chat("Hi", model="another")
        client.ask("/tokenize", {"prompt": 3})
        assert ours.refused() == 3
        page = client.ask("/metrics")[2]
        assert 'touchstone:requests_refused_total{model_name="known",status="400"} 2' in page
