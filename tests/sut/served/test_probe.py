"""Is a server known for what it does before the clock starts, and refused in a line where it is of
no use?
"""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.errors import SetupFailed
from harness.kernel.types import Draw, Sample
from sut.served import once
from sut.served.address import address
from sut.served.probe import probe, try_one
from sut.served.probing import who
from sut.served.served import Served


def table(found):
    return {row["what"]: row["found"] for row in found.rows}


def of(golden, wants_ids=True, endpoint="auto", model="", **settings):
    golden.set(**({"tokens": 8} | settings))
    return probe(address(golden.url), model, endpoint, wants_ids)


# ---- what a server does


def test_a_server_with_all_of_it_is_asked_for_its_ids(golden):
    found = of(golden, like="vllm", context=2048)
    assert (found.model, found.endpoint, found.takes_ids) == ("golden", "completions", True)
    assert found.fields == {"return_token_ids": True, "stream_options": {"include_usage": True}}
    assert (found.server, found.context, found.token_source) == ("vLLM", 2048, "ids")
    assert found.connect_ms > 0
    told = table(found)
    for what in ("usage", "ignore_eos", "min_tokens", "prompt as token ids", "log-probabilities",
                 "log-probabilities of the prompt (echo)", "[DONE] ends the stream"):  # fmt: skip
        assert told[what] == "yes", what
    assert told["tokens in a chunk"] == "1.0 (8 in 8)"
    assert told["shape of errors"] == "HTTP 400, an object in `error`"
    assert told["refused fields"] == "none"


def test_a_field_that_the_server_refuses_is_left_out(golden):
    found = of(golden, like="trt-llm")
    assert "return_token_ids" not in found.fields
    assert table(found)["refused fields"] == "return_token_ids, timings_per_token"
    assert table(found)["shape of errors"] == "HTTP 400, flat"


def test_a_field_that_is_taken_without_effect_is_left_out(golden):
    found = of(golden, like="ollama")
    assert found.token_source == "usage"
    assert found.fields == {
        "stream_options": {"include_usage": True, "continuous_usage_stats": True}
    }
    assert table(found)["ignore_eos"] == "taken, without effect"


def test_ids_are_sent_where_they_are_taken_and_wanted(golden):
    assert of(golden, like="ollama").takes_ids is False
    assert of(golden, like="ollama").endpoint == "chat"
    found = of(golden, like="vllm", wants_ids=False)
    assert (found.takes_ids, found.endpoint) == (True, "chat")


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_an_endpoint_that_was_chosen_is_kept(golden, endpoint):
    assert of(golden, endpoint=endpoint).endpoint == endpoint


def test_a_first_chunk_with_the_role_alone_is_seen(golden):
    assert table(of(golden, like="vllm", endpoint="chat"))["first chunk"] == "the role alone"


def test_lumps_are_seen(golden):
    assert table(of(golden, tokens_per_chunk=4))["tokens in a chunk"] == "4.0 (8 in 2)"


def test_a_prefix_cache_is_seen(golden):
    assert table(of(golden, prefix_cache=True))["keeps prompts (prefix cache)"].startswith("yes")
    without = table(of(golden, like="llama-server"))["keeps prompts (prefix cache)"]
    assert without == "not seen"


def test_a_missing_mark_of_the_end_is_seen(golden):
    assert table(of(golden, faults={"*": "no_done"}))["[DONE] ends the stream"] == "no"


def test_the_longest_sample_is_tried_before_the_clock(golden):
    found = of(golden, context=64)
    words = {"model": "golden", "prompt": "a " * 100, "max_tokens": 8, "stream": True}
    with pytest.raises(SetupFailed, match="maximum context length is 64 tokens"):
        try_one(address(golden.url), found, json.dumps(words).encode())
    words["prompt"] = "a"
    try_one(address(golden.url), found, json.dumps(words).encode())


# ---- one line where it is of no use


def test_no_server_is_said(golden):
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with pytest.raises(SetupFailed, match=r"no server answers there .*Start the server"):
        probe(address(f"http://127.0.0.1:{port}"))


def test_a_port_that_takes_connections_and_says_nothing_is_said(monkeypatch):
    monkeypatch.setattr(who, "LISTING_S", 0.3)
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        pytest.raises(SetupFailed, match=r"connection was taken, and nothing came.*right port"),
    ):
        probe(address(f"http://127.0.0.1:{mute.getsockname()[1]}"))


def test_an_unknown_model_is_said_with_those_that_are_known(golden):
    with pytest.raises(SetupFailed, match=r"no model 'gold'; it has golden.*--model golden"):
        of(golden, model="gold")


def test_a_missing_key_is_said_without_being_shown(golden, monkeypatch):
    golden.set(key="sesame-open-4711")
    with pytest.raises(SetupFailed, match=r"wants an API key .*export TOUCHSTONE_API_KEY"):
        probe(address(golden.url))
    monkeypatch.setenv("TOUCHSTONE_API_KEY", "wrong-key-0815")
    with pytest.raises(SetupFailed, match="does not accept the key") as failed:
        probe(address(golden.url))
    assert "0815" not in str(failed.value)
    monkeypatch.setenv("TOUCHSTONE_API_KEY", "sesame-open-4711")
    assert probe(address(golden.url)).model == "golden"


def test_a_server_that_does_not_stream_is_said(golden):
    with pytest.raises(SetupFailed, match="not as a stream"):
        of(golden, stream=False)


def test_a_certificate_that_nobody_vouches_for_is_said(golden_tls):
    with pytest.raises(SetupFailed, match=r"not trusted: self.signed certificate.*--ca-file"):
        probe(address(golden_tls.url))
    assert probe(address(golden_tls.url, ca_file=golden_tls.ca_file)).model == "golden"
    assert probe(address(golden_tls.url, is_checked=False)).model == "golden"


def test_tls_where_there_is_none_is_said(golden, odd, monkeypatch):
    with pytest.raises(SetupFailed, match=r"does not speak TLS.*http://"):
        probe(address(odd.url.replace("http:", "https:")))
    monkeypatch.setattr(once, "CONNECT_S", 0.3)
    with pytest.raises(SetupFailed, match=r"no handshake.*http://"):
        probe(address(golden.url.replace("http:", "https:")))  # it waits for more


@pytest.mark.parametrize(
    ("fault", "words"),
    [("busy", "no room"), ("server_error", "it broke"), ("redirect", "/elsewhere"),
     ("html", "not what the API promises"), ("garbage", "no HTTP"), ("error_event", "engine died"),
     ("unfinished", "without a finish_reason")],
)  # fmt: skip
def test_a_server_that_fails_is_said_with_its_own_words(golden, fault, words):
    with pytest.raises(SetupFailed, match=words):
        of(golden, faults={"*": fault})


def test_a_wrong_path_is_said(odd):
    odd.answer = lambda path, body: (404, {"detail": "Not Found"})
    with pytest.raises(SetupFailed, match="Correct --base-url"):
        probe(address(odd.url), "m")


# ---- servers of another kind


class Odd(BaseHTTPRequestHandler):
    """Answers as `server.answer` says: (path, body or None) -> (status, value or SSE text)."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.say(*self.server.answer(self.path, None))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.say(*self.server.answer(self.path, json.loads(body)))

    def say(self, status, value):
        kind = "text/event-stream" if isinstance(value, str) else "application/json"
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def odd():
    """Return a server whose `answer` a test sets, and its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield server
        server.shutdown()


def plain(path, body, words="one two"):
    if body is None or path != "/v1/chat/completions":
        return 404, {"error": {"message": "no such page"}}
    choice = {"index": 0, "delta": {"content": words}, "finish_reason": "length"}
    return 200, f"data: {json.dumps({'choices': [choice]})}\n\n"


def test_a_server_without_lists_and_without_completions_is_asked_by_chat(odd):
    odd.answer = plain
    found = probe(address(odd.url), "m", wants_ids=True)
    assert (found.endpoint, found.takes_ids, found.model) == ("chat", False, "m")
    assert (found.context, found.server, found.token_source) == (None, "", "text")
    assert found.fields == {}
    assert table(found)["[DONE] ends the stream"] == "no"
    with pytest.raises(SetupFailed, match=r"does not list its models.*--model"):
        probe(address(odd.url))


def test_a_server_that_does_not_say_what_it_refuses_is_asked_field_by_field(odd):
    def answer(path, body):
        if body and {"return_token_ids", "seed"} & set(body):
            return 400, {"detail": "no"}
        return plain(path, body)

    odd.answer = answer
    assert table(probe(address(odd.url), "m"))["refused fields"] == "return_token_ids, seed"


def test_a_server_that_has_another_name_for_the_length_is_asked_by_it(odd):
    def answer(path, body):
        if body and "max_tokens" in body:
            return 400, {"error": {"message": "Use 'max_completion_tokens' instead."}}
        return plain(path, body)

    odd.answer = answer
    assert probe(address(odd.url), "m").limit == "max_completion_tokens"


def test_a_running_count_of_llama_cpp_is_asked_for(odd):
    def answer(path, body):
        if not (body and body.get("timings_per_token")):
            return plain(path, body)
        chunks = [
            {"choices": [{"delta": {"content": "a"}, "finish_reason": reason}],
             "timings": {"predicted_n": n}}
            for n, reason in ((1, None), (2, "length"))
        ]  # fmt: skip
        return 200, "".join(f"data: {json.dumps(each)}\n\n" for each in chunks)

    odd.answer = answer
    found = probe(address(odd.url), "m")
    assert found.token_source == "usage"
    assert found.fields["timings_per_token"] is True
    assert "continuous_usage_stats" not in found.fields["stream_options"]


def test_ids_that_are_read_as_text_are_not_taken_for_ids(odd):
    def answer(path, body):
        if body is None:
            return plain(path, body)
        count = 3 if isinstance(body.get("prompt"), str) else 31
        _, stream = plain("/v1/chat/completions", body)
        return 200, stream + f'data: {{"choices":[],"usage":{{"prompt_tokens":{count}}}}}\n\n'

    odd.answer = answer
    found = probe(address(odd.url), "m", wants_ids=True)
    assert found.takes_ids is False
    assert "8 ids were read as 31 tokens" in table(found)["prompt as token ids"]


@pytest.mark.parametrize(
    ("asked", "names", "model"),
    [("", ["a"], "a"), ("llama", ["llama:latest", "b"], "llama:latest"),
     ("x.gguf", ["/models/x.gguf"], "/models/x.gguf"), ("b", ["a", "b"], "b")],
)  # fmt: skip
def test_a_model_is_found_under_the_names_that_servers_have_for_it(odd, asked, names, model):
    def answer(path, body):
        if path == "/v1/models":
            return 200, {"data": [{"id": name} for name in names]}
        return plain(path, body)

    odd.answer = answer
    assert probe(address(odd.url), asked).model == model


@pytest.mark.parametrize("models", [[], {}, {"data": 3}, {"data": [3, {"id": 4}]}, "x"])
def test_a_list_of_models_that_is_none_is_no_trouble(odd, models):
    def answer(path, body):
        return (200, models) if path == "/v1/models" else plain(path, body)

    odd.answer = answer
    assert probe(address(odd.url), "m").model == "m"


def test_a_server_that_takes_no_seed_is_sent_none(odd):
    def answer(path, body):
        if body and "seed" in body:
            return 400, {"error": {"message": "seed: extra fields not permitted"}}
        return plain(path, body)

    odd.answer = answer
    sut = Served(RealClock(), base_url=odd.url, model="m", endpoint="chat")
    drawn = Sample(0, "hello", max_new_tokens=2, draw=Draw(0.8, 0.9, 7))
    try:
        sut.announce("accuracy")
        sut.load([drawn], Recorder(RealClock()))
        sent = json.loads(sut._terms.body(drawn, sut._prompts, None))
        assert (sent["temperature"], sent["top_p"]) == (0.8, 0.9)
        assert "seed" not in sent
        assert any("takes no seed" in note for note in sut.facts()["notes"])
    finally:
        sut.close()
