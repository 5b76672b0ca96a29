"""What does a client get for what it asks?"""

from __future__ import annotations

import json
import socket

import pytest

from tests.harness.serve.fake import EOS, FakeEngine, events, serving


@pytest.fixture(scope="module")
def client():
    with serving(aliases=("gpt-4",)) as made:
        yield made


def test_a_chat_answer_has_the_shape_that_clients_read(client):
    status, headers, told = client.chat()
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert told["object"] == "chat.completion"
    assert told["model"] == "known"
    (choice,) = told["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hello there", "refusal": None}
    assert (choice["finish_reason"], choice["index"], choice["logprobs"]) == ("stop", 0, None)
    assert told["usage"] == {
        "prompt_tokens": len("[user]Hi[assistant]"),
        "completion_tokens": 12,
        "total_tokens": 31,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def test_a_stream_has_a_chunk_for_each_step_and_says_how_it_ends(client):
    options = {"include_usage": True}
    _, headers, text = client.chat(stream=True, stream_options=options, return_token_ids=True)
    assert headers["content-type"].startswith("text/event-stream")
    *chunks, last = events(text)
    assert len(chunks) == 12
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": "H"}
    assert all(delta.keys() == {"content"} for delta in deltas[1:])
    assert "".join(delta["content"] for delta in deltas) == "Hello there"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 11 + ["stop"]
    ids = [one for chunk in chunks for one in chunk["choices"][0]["token_ids"]]
    assert ids == [*b"Hello there", EOS]
    assert bytes(chunks[0]["prompt_token_ids"]) == b"[user]Hi[assistant]"
    assert not any("prompt_token_ids" in chunk or "usage" in chunk for chunk in chunks[1:])
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 12
    assert last["metrics"]["time_to_first_token_ms"] > 0


def test_usage_comes_in_every_chunk_if_asked_for(client):
    options = {"include_usage": True, "continuous_usage_stats": True}
    *chunks, last = events(client.complete(stream=True, stream_options=options)[2])
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == [*range(1, 13)]
    assert last["usage"]["completion_tokens"] == 12


def test_a_completion_continues_texts_and_ids_alike(client):
    for prompt in ("Hi", [72, 105], ["Hi"], [[72, 105]]):
        told = client.complete(prompt)[2]
        assert (told["object"], told["choices"][0]["text"]) == ("text_completion", "Hello there")
        assert told["usage"]["prompt_tokens"] == 2
        assert client.engine.asked[-1].prompt_ids == [72, 105]


def test_several_prompts_and_several_answers_to_each_are_numbered_in_order(client):
    told = client.complete(["a", "bc"], n=2, seed=5, temperature=1)[2]
    assert [choice["index"] for choice in told["choices"]] == [0, 1, 2, 3]
    asked = client.engine.asked[-4:]
    assert [bytes(one.prompt_ids) for one in asked] == [b"a", b"a", b"bc", b"bc"]
    assert [one.seed for one in asked] == [5, 6, 5, 6]
    assert told["usage"]["prompt_tokens"] == 3


def test_the_fields_reach_the_engine(client):
    fields = {
        "max_tokens": 7, "min_tokens": 3, "ignore_eos": True, "temperature": 0.5, "top_p": 0.9,
        "top_k": 40, "seed": 11, "stop_token_ids": [7], "repetition_penalty": 1.2,
        "presence_penalty": 0.1, "frequency_penalty": -0.1,
    }  # fmt: skip
    client.complete("Hi", **fields, logit_bias={"5": -100}, logprobs=2)
    asked = client.engine.asked[-1]
    assert {name: getattr(asked, name) for name in fields} == fields
    assert (asked.logit_bias, asked.logprobs, asked.prompt_logprobs) == ({5: -100.0}, 2, None)


def test_defaults_are_those_of_the_api(client):
    client.complete("Hi")
    assert (client.engine.asked[-1].max_tokens, client.engine.asked[-1].temperature) == (16, 1.0)
    client.chat(max_tokens=5, max_completion_tokens=9)
    assert client.engine.asked[-1].max_tokens == 9
    client.chat()
    assert client.engine.asked[-1].max_tokens == 1000 - len("[user]Hi[assistant]")


def test_parts_of_text_are_joined_and_nothing_is_null(client):
    parts = [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]
    told = client.chat(parts)[2]
    assert bytes(client.engine.asked[-1].prompt_ids) == b"[user]Hi[assistant]"
    assert told["choices"][0]["message"]["content"] == "Hello there"


def test_a_letter_that_is_spread_over_tokens_comes_whole():
    answer = "naïve 日本 🙂".encode()
    with serving(FakeEngine([*answer, EOS])) as client:
        chunks = events(client.chat(stream=True)[2])
        texts = [chunk["choices"][0]["delta"]["content"] for chunk in chunks]
        assert len(texts) == len(answer) + 1, "a chunk for each step"
        assert "".join(texts) == "naïve 日本 🙂"
        assert "\ufffd" not in "".join(texts)


def test_a_letter_that_stays_half_is_told_at_the_end():
    with serving(FakeEngine([*"é".encode()[:1], EOS])) as client:
        assert client.complete()[2]["choices"][0]["text"] == "\ufffd"


def test_a_stop_string_ends_the_answer_wherever_its_tokens_are_cut():
    for per_step in (1, 2, 3, 5):
        with serving(FakeEngine(per_step=per_step)) as client:
            told = client.complete(stop=["lo t", "x"], return_token_ids=True)[2]
            (choice,) = told["choices"]
            assert (choice["text"], choice["finish_reason"]) == ("Hel", "stop")
            assert choice["stop_reason"] == "lo t"
            chunks = events(client.complete(stop="lo t", stream=True)[2])
            texts = [chunk["choices"][0]["text"] for chunk in chunks]
            assert "".join(texts) == "Hel"
            assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
            assert client.engine.cancelled[-1] == client.engine.asked[-1].id


def test_what_only_began_like_a_stop_string_is_told():
    with serving() as client:
        choice = client.complete(stop=["there!", "ex"])[2]["choices"][0]
        assert (choice["text"], choice["finish_reason"]) == ("Hello there", "stop")
        assert choice["stop_reason"] is None


def test_a_stop_string_may_be_included_and_waits_for_the_least_number_of_tokens(client):
    told = client.complete(stop="llo", include_stop_str_in_output=True)[2]
    assert told["choices"][0]["text"] == "Hello"
    told = client.complete(stop="e", min_tokens=4)[2]
    assert told["choices"][0]["text"] == "Hello th"


def test_log_probabilities_of_a_completion_are_lists_of_one_length(client):
    told = client.complete("Hi", logprobs=1, max_tokens=3)[2]["choices"][0]["logprobs"]
    assert told["tokens"] == ["H", "e", "l"]
    assert told["token_logprobs"] == [-1.5] * 3
    assert told["top_logprobs"][0] == {"I": -1.0, "H": -1.5}
    assert told["text_offset"] == [0, 1, 2]


def test_echo_scores_the_prompt_as_lm_eval_reads_it(client):
    fields = {"max_tokens": 1, "logprobs": 1, "echo": True, "temperature": 0, "seed": 1234}
    told = client.complete([[*b"abc"], [*b"de"]], **fields)[2]["choices"]
    for choice, text in zip(told, ("abc", "de"), strict=True):
        found = choice["logprobs"]
        assert choice["text"] == text + "H"
        assert found["tokens"] == [*text, "H"]
        assert found["token_logprobs"] == [None] + [-1.5] * len(text)
        assert found["top_logprobs"][0] is None
        assert found["text_offset"] == [*range(len(text) + 1)]
        assert max(found["top_logprobs"][1].values()) != found["token_logprobs"][1]


def test_echo_alone_needs_no_answer(client):
    told = client.complete("abc", max_tokens=0, echo=True, logprobs=0)[2]["choices"][0]
    assert told["text"] == "abc"
    assert told["logprobs"]["tokens"] == ["a", "b", "c"]
    assert told["finish_reason"] == "length"


def test_tokens_of_one_text_do_not_hide_the_likelier_one():
    from harness.serve.telling.logprobs import _by_name
    from sut.serving.messages import Scored

    told = _by_name(lambda number: "same", Scored(5, -2.0, 2, [4], [-1.0]))
    assert told == {"same": -1.0}, "the token is not the model's choice, and must not seem so"


def test_log_probabilities_of_a_chat_are_objects(client):
    told = client.chat(logprobs=True, top_logprobs=2, max_tokens=1)[2]
    (entry,) = told["choices"][0]["logprobs"]["content"]
    assert entry == {
        "token": "H", "logprob": -1.5, "bytes": [72],
        "top_logprobs": [
            {"token": "I", "logprob": -1.0, "bytes": [73]},
            {"token": "H", "logprob": -1.5, "bytes": [72]},
        ],
    }  # fmt: skip


def test_prompt_log_probabilities_stand_where_vllm_has_them(client):
    told = client.complete("Hi", prompt_logprobs=1)[2]["choices"][0]["prompt_logprobs"]
    assert told[0] is None
    assert [*told[1]] == ["105", "106"], "the token itself comes first"
    assert told[1]["105"] == {"logprob": -1.5, "rank": 2, "decoded_token": "i"}
    assert len(client.chat(prompt_logprobs=0)[2]["prompt_logprobs"]) == len("[user]Hi[assistant]")


def test_a_token_that_is_half_a_letter_is_called_by_its_bytes():
    with serving(FakeEngine([*"é".encode(), EOS])) as client:
        told = client.complete(logprobs=0, max_tokens=1)[2]["choices"][0]["logprobs"]
        assert told["tokens"] == ["bytes:\\xc3"]
        told = client.complete(logprobs=0, return_tokens_as_token_ids=True)[2]
        assert told["choices"][0]["logprobs"]["tokens"][0] == "token_id:195"


def test_chunks_may_be_fewer(client):
    chunks = events(client.complete(stream=True, stream_interval=5)[2])
    texts = [chunk["choices"][0]["text"] for chunk in chunks]
    assert texts == ["H", "ello ", "there", ""]


def test_fields_that_nobody_knows_are_named(client):
    _, headers, _ = client.complete(guided_magic=1, user="me", zap=None, **{"né\n": 2})
    assert headers["x-ignored-fields"] == "guided_magic, ?"
    assert 'field="guided_magic"' in client.ask("/metrics")[2]


def test_a_request_keeps_its_name(client):
    _, headers, _ = client.ask("/v1/completions", {"prompt": "a"}, headers={"X-Request-ID": "q-7"})
    assert headers["x-request-id"] == "q-7"


def test_models_are_listed_with_their_aliases(client):
    told = client.ask("/v1/models")[2]["data"]
    assert [(card["id"], card["root"]) for card in told] == [("known", "known"), ("gpt-4", "known")]
    assert {card["max_model_len"] for card in told} == {1000}
    assert client.ask("/v1/models/gpt-4")[2]["id"] == "gpt-4"
    assert client.complete(model="gpt-4")[2]["model"] == "gpt-4"


def test_texts_become_ids_and_texts_again(client):
    told = client.ask("/tokenize", {"prompt": "Hé", "add_special_tokens": False})[2]
    assert told["tokens"] == [*"Hé".encode()]
    assert told["count"] == 3
    assert client.ask("/detokenize", {"tokens": told["tokens"]})[2] == {"prompt": "Hé"}
    asked = {"messages": [{"role": "user", "content": "Hi"}]}
    assert bytes(client.ask("/tokenize", asked)[2]["tokens"]) == b"[user]Hi[assistant]"
    told = client.ask("/tokenizer_info")[2]
    assert told["eos_token"] == "<eos>"
    assert "add_generation_prompt" in told["chat_template"]


def test_a_template_and_its_arguments_may_come_with_the_request(client):
    client.chat(chat_template="{{ word }}", chat_template_kwargs={"word": "yes"})
    assert bytes(client.engine.asked[-1].prompt_ids) == b"yes"
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "Be"}]
    fields = {"add_generation_prompt": False, "continue_final_message": True}
    client.ask("/v1/chat/completions", {"messages": messages, **fields})
    assert bytes(client.engine.asked[-1].prompt_ids) == b"[user]a[assistant]Be"


def test_metrics_have_the_names_that_clients_scrape(client):
    text = client.ask("/metrics")[2]
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    label = '{model_name="known"}'
    assert float(values[f"vllm:generation_tokens_total{label}"]) > 0
    assert float(values[f"vllm:time_to_first_token_seconds_count{label}"]) > 0
    assert values[f"vllm:num_requests_running{label}"] == "0"
    stop = 'vllm:request_success_total{model_name="known",finished_reason="stop"}'
    assert float(values[stop]) > 0
    assert json.dumps(values)


def test_small_pieces_leave_at_once(client):
    connection = client.connect()
    connection.request("GET", "/health")
    connection.getresponse().read()
    (ours,) = client.server.server_state.connections
    there = ours.transport.get_extra_info("socket")
    assert there.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    connection.close()
