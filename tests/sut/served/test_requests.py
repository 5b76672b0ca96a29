"""What is a server asked, and does a salt keep its prompts cold without changing their length?"""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from harness.kernel.types import Draw
from sut.served.requests import Shape, body
from sut.served.salt import MARK, of_ids, of_text, put

CHAT = Shape("chat", "m", {"stream_options": {"include_usage": True}})
COMPLETIONS = Shape("completions", "m", {}, limit="max_completion_tokens")
PROMPT = 'say "é" \x1f and \\ 😀'


def test_without_a_salt_the_prompt_is_what_it_is():
    asked = json.loads(body(CHAT, PROMPT, 7))
    assert asked["messages"] == [{"role": "user", "content": PROMPT}]
    assert (asked["max_tokens"], asked["temperature"], asked["stream"]) == (7, 0, True)
    assert asked["stream_options"] == {"include_usage": True}
    assert MARK not in body(CHAT, PROMPT, 7)


def test_ids_go_as_ids_under_the_name_that_the_server_has_for_the_limit():
    asked = json.loads(body(COMPLETIONS, [1, 2, 3], 7))
    assert asked["prompt"] == [1, 2, 3]
    assert asked["max_completion_tokens"] == 7


def test_a_salt_stands_in_front_of_a_text():
    salt = of_text()
    request = body(CHAT, PROMPT, 7, salt)
    first, second = (put(salt, request, number) for number in (0, 1))
    assert len(first) == len(second) == len(request)
    contents = [json.loads(each)["messages"][0]["content"] for each in (first, second)]
    assert contents == [f"{salt.of(number).decode()} {PROMPT}" for number in (0, 1)]
    assert contents[0][0] != contents[1][0], "they part with the first character"


@pytest.mark.parametrize("opens", [0, 1])
def test_a_salt_of_ids_stands_behind_what_opens_every_prompt(opens):
    salt = of_ids(49_152, without={17})
    request = body(COMPLETIONS, [1, 2, 3], 7, salt, opens)
    prompts = [json.loads(put(salt, request, number))["prompt"] for number in (0, 1)]
    for prompt in prompts:
        assert prompt[:opens] + prompt[opens + salt.length :] == [1, 2, 3]
    assert prompts[0][opens] != prompts[1][opens], "they part with the first token"


@pytest.mark.parametrize("rows", [11, 32, 100, 512, 10_000, 32_000, 49_152, 151_936])
def test_all_salts_have_one_length_and_no_two_are_equal(rows):
    special = {rows - 1}
    salt = of_ids(rows, special)
    found = [salt.of(number) for number in range(5_000)]
    assert len(set(found)) == len(found)
    assert {len(each) for each in found} == {len(salt.mark)}
    ids = {int(each) for one in found for each in one.split(b",")}
    assert max(ids) < rows
    assert not ids & special
    assert all(a.split(b",")[0] != b.split(b",")[0] for a, b in pairwise(found))


def test_another_run_begins_elsewhere():
    assert len({of_text().of(0) for _ in range(20)}) == 20


HISTORY = (("user", "Hi"), ("assistant", "Hello"))


def test_turns_before_the_prompt_are_messages_behind_one_salt():
    salt = of_text()
    made = body(CHAT, "Why?", 7, salt, history=HISTORY)
    first, second = (json.loads(put(salt, made, number))["messages"] for number in (1, 2))
    assert [one["role"] for one in first] == ["user", "assistant", "user"]
    assert first[0]["content"].endswith(" Hi")
    assert first[0] != second[0]
    assert (
        first[1:]
        == second[1:]
        == [
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Why?"},
        ]
    )


def test_a_server_without_chat_gets_the_turns_as_one_text():
    made = json.loads(body(COMPLETIONS, "Why?", 7, history=HISTORY))
    assert made["prompt"] == "Hi\n\nHello\n\nWhy?"


def test_a_drawn_answer_is_asked_with_its_own_settings():
    draw = Draw(0.7, 0.9, 31)
    asked = json.loads(body(CHAT, PROMPT, 7, draw=draw))
    assert (asked["temperature"], asked["top_p"], asked["seed"]) == (0.7, 0.9, 31)
    unseeded = json.loads(body(CHAT._replace(takes_seed=False), PROMPT, 7, draw=draw))
    assert unseeded == {name: value for name, value in asked.items() if name != "seed"}


def test_a_greedy_answer_has_no_settings_of_a_draw():
    assert not {"top_p", "seed"} & set(json.loads(body(CHAT, PROMPT, 7)))


def test_no_more_stops_are_asked_for_than_every_server_takes():
    asked = json.loads(body(COMPLETIONS, [1], 7, stop=("a", "b", "c", "d", "e")))
    assert asked["stop"] == ["a", "b", "c", "d"]
    assert "stop" not in json.loads(body(COMPLETIONS, [1], 7))
