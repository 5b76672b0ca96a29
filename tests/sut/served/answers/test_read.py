"""Is every answer read as what it is: its tokens at their moments, or a failure of its class?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from harness.kernel.answers import FAILURES, TOKEN_SOURCES
from harness.kernel.types import NEVER
from sut.served.answers import classes
from sut.served.answers import read as reading
from sut.served.answers.read import Options, answer
from tests.sut.served.answers.wire import (
    JSON,
    MS,
    STREAMS,
    chunk,
    event,
    exchange,
    split,
    stream,
    text,
    usage,
)

PLAIN = Options()


def read(*chunks, options=PLAIN, **other):
    return answer(stream(*chunks, **other), options)


def of(name, options=PLAIN):
    return read(*STREAMS[name], options=options)


# ---- tokens and their moments


def test_ids_are_tokens_each_with_the_stamp_of_its_read():
    found = of("vllm chat")
    assert found.failure == ""
    assert found.token_ids == [11, 12, 13, 14, 2]
    assert list(found.stamps_ns) == [2 * MS, 3 * MS, 3 * MS, 4 * MS, 4 * MS]
    assert (found.first_ns, found.done_ns) == (2 * MS, 4 * MS)
    assert found.text == "Hello wörld"
    assert found.reported_tokens == 5
    assert found.seen.chunks == 3
    assert found.seen.token_source == "ids"
    assert (found.seen.prompt_tokens, found.seen.cached_tokens) == (5, 4)


def test_a_chunk_with_the_role_alone_is_no_token():
    assert read(chunk("", role="assistant"), chunk("a"), chunk("", "stop")).first_ns == 2 * MS


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_is_the_first_token_and_no_part_of_the_visible_answer(name):
    found = read(chunk(None, **{name: "hm"}), chunk(None, **{name: "m"}), chunk("yes", "stop"))
    assert found.first_ns == 1 * MS
    assert found.seen.first_content_ns == 3 * MS
    assert found.text == "yes"
    assert found.seen.chunks == 3


def test_a_tool_call_is_a_token_and_an_end():
    found = of("tool calls")
    assert (found.failure, found.finish, found.first_ns) == ("", "stop", 1 * MS)
    assert found.text == "f{}"
    assert found.reported_tokens == 6


def test_an_entry_of_log_probabilities_is_a_token():
    entries = {"content": [{"token": "a"}, {"token": "b"}]}
    found = read(chunk("ab", logprobs=entries), chunk("", "stop"))
    assert (found.token_ids, found.reported_tokens) == (None, 2)
    assert list(found.stamps_ns) == [1 * MS] * 2
    assert found.seen.token_source == "logprobs"


def test_ids_are_read_from_log_probabilities_that_name_them():
    assert of("logprobs").token_ids == [5, 6]
    old = text("ab", "stop", logprobs={"tokens": ["token_id:8", "token_id:9"]})
    assert read(old).token_ids == [8, 9]


def test_log_probabilities_that_are_far_from_the_count_are_none():
    found = read(chunk("abc", logprobs={"content": [{"token": "a"}]}), chunk("", "stop"), usage(9))
    assert (found.seen.token_source, found.reported_tokens) == ("text", 9)


def test_what_a_running_count_grew_by_came_with_that_chunk():
    found = of("continuous usage")
    assert list(found.stamps_ns) == [1 * MS, 2 * MS, 2 * MS, 3 * MS]
    assert (found.seen.token_source, found.reported_tokens) == ("usage", 4)


@pytest.mark.parametrize("last", [usage(5), {"choices": []}])
def test_the_running_count_of_llama_cpp_is_one(last):
    """Two tokens may make one letter."""
    told = [chunk(word, timings={"predicted_n": n}) for word, n in (("a", 1), ("本", 3), ("b", 4))]
    found = read(*told, chunk(None, "stop", timings={"predicted_n": 5, "cache_n": 2}), last)
    assert list(found.stamps_ns) == [1 * MS, 2 * MS, 2 * MS, 3 * MS, 4 * MS]
    assert (found.seen.token_source, found.reported_tokens) == ("usage", 5)
    assert found.seen.cached_tokens == 2


def test_a_count_at_the_end_says_nothing_of_when():
    found = read(chunk("a b"), chunk(" c", "stop"), usage(7))
    assert (found.seen.token_source, found.reported_tokens) == ("text", 7)
    assert list(found.stamps_ns) == [1 * MS, 2 * MS]


def word_ends(said):
    ends = [i for i, letter in enumerate(said) if letter == " "]
    return [*ends, len(said)] if said else []


def test_our_own_tokenizer_counts_where_the_server_does_not():
    options = Options(ends=word_ends)
    found = read(chunk("one tw"), chunk("o th"), chunk("ree", "stop"), options=options)
    assert list(found.stamps_ns) == [1 * MS, 2 * MS, 3 * MS]
    assert (found.seen.token_source, found.reported_tokens) == ("tokenizer", 3)


def test_our_own_tokenizer_never_overrules_a_total_of_the_server():
    found = read(chunk("a b", "stop"), usage(9), options=Options(ends=word_ends))
    assert (found.seen.token_source, found.reported_tokens) == ("tokenizer", 9)


@pytest.mark.parametrize("name", STREAMS)
def test_every_source_of_tokens_has_words(name):
    assert of(name).seen.token_source in TOKEN_SOURCES


def test_usage_is_read_from_any_chunk():
    with_choices = chunk("a", "stop") | {"usage": {"completion_tokens": 1, "prompt_tokens": 3}}
    assert read(with_choices).reported_tokens == 1
    found = of("llama.cpp completions")
    assert (found.reported_tokens, found.seen.cached_tokens, found.finish) == (2, 3, "length")


def test_what_servers_tell_beside_is_kept():
    told = chunk("a", "stop", metrics={"queue_time_ms": 1.5}, token_ids=[4])
    assert read(told).seen.queue_ns == 1_500_000
    assert read(text("a", "stop", prompt_token_ids=[1, 2, 3])).seen.prompt_tokens == 3
    assert read(chunk("a", "stop") | {"prompt_token_ids": [1, 2]}).seen.prompt_tokens == 2


def test_an_end_at_once_is_an_answer_whose_first_token_is_its_end():
    found = read(chunk("", role="assistant"), chunk("", "stop"), usage(0))
    assert (found.failure, found.first_ns, found.reported_tokens) == ("", 2 * MS, 0)
    assert read(chunk("", "stop", token_ids=[2])).token_ids == [2]
    found = read(chunk("", "stop"), usage(1))
    assert (found.first_ns, found.done_ns, found.reported_tokens) == (1 * MS, 1 * MS, 1)


def test_text_after_the_end_is_part_of_the_answer():
    found = read(chunk("", "stop"), chunk("late"))
    assert (found.text, found.first_ns, found.done_ns) == ("late", 2 * MS, 2 * MS)


def test_events_of_one_read_share_its_stamp():
    body = b"".join(event(chunk(word, token_ids=[i])) for i, word in enumerate("abc"))
    found = answer(exchange([body, event(chunk("", "length"))]), PLAIN)
    assert list(found.stamps_ns) == [1 * MS] * 3
    assert found.done_ns == 2 * MS


def test_an_answer_that_is_not_streamed_is_read_too():
    message = {"role": "assistant", "content": "hi", "reasoning": None}
    body = {"object": "chat.completion", "usage": {"completion_tokens": 2},
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip
    found = answer(exchange(json.dumps(body).encode(), headers=JSON), PLAIN)
    assert (found.failure, found.text, found.reported_tokens) == ("", "hi", 2)
    assert found.first_ns == found.done_ns == 1 * MS


def test_content_in_parts_is_text():
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, "b", 3]
    assert read(chunk(parts, "stop")).text == "ab"


@pytest.mark.parametrize(
    ("how", "finish"),
    [
        ({"finish": "stop", "stop_reason": None}, "stop"),
        ({"finish": "stop", "stop_reason": 128009}, "eos"),
        ({"finish": "stop", "matched_stop": 2}, "eos"),
        ({"finish": "stop", "matched_stop": "\n"}, "stop"),
        ({"finish": "stop", "token_ids": [9, 2]}, "eos"),
        ({"finish": "length", "token_ids": [9, 2]}, "length"),
        ({"finish": "eos_token"}, "eos"),
    ],
)
def test_an_end_token_is_told_from_a_stop_string_where_that_can_be_known(how, finish):
    assert read(chunk("a", **how), options=Options(eos_ids=frozenset([2]))).finish == finish


def test_only_the_first_of_several_choices_counts():
    other = chunk("no")
    other["choices"][0]["index"] = 1
    both = chunk("yes", "stop")
    both["choices"] = other["choices"] + both["choices"]
    assert read(other, both).text == "yes"


def test_numbers_that_json_has_not_are_read_as_python_writes_them():
    found = read(chunk("a\ud83d", "stop", logprobs={"content": [
        {"token": "a", "logprob": float("-inf")}]}))  # fmt: skip
    assert (found.failure, found.text) == ("", "a\ufffd")


# ---- delimiters


@pytest.mark.parametrize("delimiter", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n"])
@pytest.mark.parametrize("name", STREAMS)
def test_delimiters_change_nothing(name, delimiter):
    """A line end alone is no delimiter by the standard, but it is by some servers."""
    assert answer(exchange([event(each, delimiter) for each in STREAMS[name]]), PLAIN) == of(name)


def test_comments_change_nothing():
    body = b": ping\n\n".join(event(each) for each in STREAMS["vllm chat"])
    assert answer(exchange(body), PLAIN).token_ids == of("vllm chat").token_ids


# ---- failures


def failure(*chunks, **other):
    found = read(*chunks, **other)
    assert (found.finish == "error") == bool(found.failure)
    return found.failure


@pytest.mark.parametrize("ending", ["refused", "unresolved", "no_connection", "tls"])
def test_no_connection_is_a_class_of_its_own(ending):
    assert failure(status=0, headers={}, ending=ending, detail="words") == ending


@pytest.mark.parametrize(
    ("ending", "name"),
    [("closed", "cut"), ("reset", "reset"), ("stalled", "stalled"), ("overdue", "overdue"),
     ("malformed", "malformed"), ("whole", "unfinished")],
)  # fmt: skip
def test_an_answer_that_breaks_off_is_classed_by_how(ending, name):
    assert failure(chunk("a"), ending=ending) == name
    if ending != "whole":
        assert failure(status=0, headers={}, ending=ending) == name


@pytest.mark.parametrize("ending", ["closed", "reset", "stalled", "overdue"])
def test_an_answer_that_was_finished_is_good_whatever_became_of_the_connection(ending):
    assert failure(chunk("a", "stop"), ending=ending) == ""


def test_a_mark_of_the_end_proves_nothing():
    assert failure(chunk("a"), "[DONE]") == "unfinished"
    assert failure("[DONE]") == "empty"


@pytest.mark.parametrize("reason", ["abort", "error", "content_filter", "who knows"])
def test_an_answer_that_the_server_gave_up_is_aborted(reason):
    found = read(chunk("a", reason))
    assert (found.failure, reason in found.detail) == ("aborted", True)


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "no blocks", "type": "internal", "code": 500}},
        {"object": "error", "message": "no blocks", "type": "internal", "code": 500},
        {"error": "no blocks"},
        {"message": "no blocks", "code": 1},
    ],
)
def test_an_error_in_the_stream_is_one_in_each_shape(error):
    found = read(chunk("a"), error, "[DONE]")
    assert (found.failure, "no blocks" in found.detail) == ("error_event", True)
    assert failure(chunk("a"), error, chunk("", "stop")) == "error_event"
    body = json.dumps(error).encode()
    assert answer(exchange(body, headers=JSON), PLAIN).failure == "error_event"


def test_an_event_that_is_named_error_is_one_whatever_it_holds():
    body = event(chunk("a")) + b"event: error\ndata: it broke\n\n"
    found = answer(exchange(body), PLAIN)
    assert (found.failure, found.detail) == ("error_event", "it broke")


@pytest.mark.parametrize(
    ("status", "name"),
    [(301, "redirected"), (307, "redirected"), (400, "client_error"), (401, "client_error"),
     (404, "client_error"), (429, "overloaded"), (503, "overloaded"), (500, "server_error"),
     (502, "server_error"), (101, "malformed"), (999, "malformed")],
)  # fmt: skip
def test_a_status_is_a_class(status, name):
    body = json.dumps({"error": {"message": "why", "type": "t", "code": 7}}).encode()
    found = answer(exchange(body, status=status, headers=JSON), PLAIN)
    assert found.failure == name
    assert found.detail == f"HTTP {status}: why (t, 7)"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:07 GMT",
          "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 7),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:07 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "٣"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_how_long_a_server_asks_to_wait_is_read(headers, seconds):
    found = answer(exchange(b"", status=429, headers=headers), PLAIN)
    assert found.seen.retry_after_ns == (NEVER if seconds is None else seconds * 1e9)


@pytest.mark.parametrize(
    "body", [b"<html><body>Sorry</body></html>", b"data: <html>\n\n", b"data: 7\n\n", b"[]", b"x",
             b'data: {"choices": "many"}\n\n', b'data: {"choices": [{"token_ids": [-1]}]}\n\n',
             b"data: " + b"[" * 100_000 + b"\n\n"],
)  # fmt: skip
def test_what_is_no_json_of_this_api_is_said_to_be_none(body):
    kind = "event-stream" if body.startswith(b"data") else "html"
    assert answer(exchange(body, headers={"content-type": kind}), PLAIN).failure == "not_json"


def test_a_page_of_html_is_shown_by_its_words():
    body = b"<html><style>b {}</style><h1>502</h1><p>Bad Gateway</p></html>"
    found = answer(exchange(body, status=502, headers={"content-type": "text/html"}), PLAIN)
    assert found.detail == "HTTP 502: 502 Bad Gateway"


def test_a_redirect_says_where_to():
    headers = {"location": "https://other/v1"}
    assert "https://other/v1" in answer(exchange(b"", status=302, headers=headers), PLAIN).detail


@pytest.mark.parametrize("body", [b"", b"\n", b": ping\n\n", b'{"choices": []}', b"{}"])
def test_no_token_and_no_end_is_empty(body):
    assert answer(exchange(body), PLAIN).failure == "empty"


@pytest.mark.parametrize(("total", "name"), [(2, ""), (3, ""), (4, "count_differs"),
                                             (1, "count_differs")])  # fmt: skip
def test_a_server_that_counts_other_tokens_than_it_sent_is_not_believed(total, name):
    """One more is the end token, which some servers count and leave out."""
    assert failure(chunk("ab", "stop", token_ids=[1, 2]), usage(total)) == name


def test_an_end_token_that_came_is_not_missing():
    good = chunk("a", token_ids=[1]), chunk("", "stop", token_ids=[2])
    assert failure(*good, usage(2)) == ""
    assert failure(*good, usage(3)) == "count_differs"
    lump = chunk("a", "stop", token_ids=[1, 2])
    assert failure(lump, usage(3), options=Options(eos_ids=frozenset([2]))) == "count_differs"


def test_an_answer_that_was_cut_for_its_length_leaves_no_token_out():
    assert failure(chunk("ab", "length", token_ids=[1, 2]), usage(3)) == "count_differs"


def test_an_end_token_that_was_left_out_is_not_counted_by_us():
    assert read(chunk("ab", "stop", token_ids=[1, 2]), usage(3)).reported_tokens is None


def test_a_key_that_a_server_repeats_is_in_no_detail(monkeypatch):
    monkeypatch.setenv("TOUCHSTONE_API_KEY", "plain-words-for-a-key")
    body = b'{"error": {"message": "wrong key: plain-words-for-a-key"}}'
    assert "plain" not in answer(exchange(body, status=401, headers=JSON), PLAIN).detail


def test_words_of_servers_are_kept_short():
    body = json.dumps({"error": {"message": "x" * 10_000, "type": "y" * 10_000}}).encode()
    assert len(answer(exchange(body, status=500, headers=JSON), PLAIN).detail) < 500


def test_a_sample_that_was_withdrawn_has_no_class():
    found = answer(stream(chunk("a"), ending="withdrawn"), PLAIN)
    assert (found.failure, found.finish) == ("", "error")


def test_what_came_before_a_failure_is_kept():
    found = read(chunk("a", token_ids=[4]), ending="reset")
    assert (found.token_ids, found.text, found.first_ns) == ([4], "a", 1 * MS)
    assert found.done_ns == 2 * MS


# ---- whatever the bytes


def same(found):
    """Return what may not depend on how the bytes came."""
    return replace(found, done_ns=0, first_ns=0, stamps_ns=[0] * len(found.stamps_ns),
                   seen=found.seen._replace(first_content_ns=0))  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("name", STREAMS)
def test_any_split_of_the_same_bytes_is_the_same_answer(name, seed):
    rng = Random(seed)
    delimiter = rng.choice((b"\n\n", b"\r\n\r\n", b"\r\r"))
    body = b"".join(event(each, delimiter) for each in STREAMS[name])
    whole = answer(exchange(body, end_ns=9), PLAIN)
    parts = answer(exchange(split(body, rng), end_ns=9), PLAIN)
    assert same(parts) == same(whole)


def test_the_same_exchange_is_the_same_answer_twice():
    assert of("vllm chat") == of("vllm chat")


def test_every_class_can_be_reached():
    sources = (Path(module.__file__).read_text() for module in (classes, reading))
    named = "".join(sources)
    assert [name for name in FAILURES if f'"{name}"' not in named] == []
