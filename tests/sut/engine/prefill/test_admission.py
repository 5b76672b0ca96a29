"""Who is fed in a step, by lengths of prompts alone."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sut.engine.batching import Engine, Request
from sut.engine.prefill.admission import packed, padded
from tests.sut.engine.test_batching import EOS, Counting, Events


def waiting(*lengths):
    return deque(Request(i, [9] * length, 4) for i, length in enumerate(lengths))


def fed(calls):
    return [
        [(part.request.sample_id, part.request.fed, part.end) for part in call] for call in calls
    ]


def test_prompts_of_all_lengths_fill_a_step():
    queue = waiting(3, 9, 1, 5, 7)
    assert fed(packed(None, queue, 8, 20)) == [[(0, 0, 3), (1, 0, 9), (2, 0, 1), (3, 0, 5)]]
    assert [request.sample_id for request in queue] == [4]


def test_others_go_with_the_last_piece_of_a_long_prompt_and_a_long_one_behind_them():
    queue = waiting(45, 4, 50)
    long = queue.popleft()
    long.fed = 40
    assert fed(packed(long, queue, 8, 20)) == [[(0, 40, 45), (1, 0, 4), (2, 0, 11)]]


def test_a_piece_of_a_long_prompt_takes_the_whole_step():
    queue = waiting(45, 4)
    long = queue.popleft()
    assert fed(packed(long, queue, 8, 20)) == [[(0, 0, 20)]]
    assert len(queue) == 1


def test_nobody_is_admitted_without_a_row():
    queue = waiting(3, 3, 3)
    assert fed(packed(None, queue, 2, 20)) == [[(0, 0, 3), (1, 0, 3)]]


def test_prompts_that_are_padded_share_a_call_with_those_alike():
    queue = waiting(100, 3, 96, 4, 100)
    calls = padded(None, queue, 8, 512)
    assert fed(calls) == [[(0, 0, 100), (2, 0, 96), (4, 0, 100)], [(1, 0, 3), (3, 0, 4)]]


def test_a_few_tokens_of_padding_cost_less_than_another_call():
    assert len(padded(None, waiting(20, 5, 12), 8, 512)) == 1


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30),
    st.integers(1, 6),
    st.integers(1, 50),
    st.booleans(),
)
def test_every_prompt_is_fed_once_and_in_the_order_of_arrival(lengths, rows, budget, packs):
    class Watched(Counting):
        def prefill(self, first_row, prompts, start):
            assert packs or start == 0 or len(prompts) == 1
            most = budget if packs else 2 * budget + 32 * len(prompts)
            assert sum(map(len, prompts)) <= most
            assert first_row + len(prompts) <= self.max_rows
            for row, prompt in enumerate(prompts, first_row):
                begin = start if row == first_row else 0
                assert begin == 0 or self.rows[row][1] == begin
                self.rows[row] = (prompt[-1], begin + len(prompt))
            return [prompt[-1] - 1 for prompt in prompts]

    runner, events = Watched(rows), Events()
    runner.packs = packs
    engine = Engine(runner, events, {EOS}, budget)
    for i, length in enumerate(lengths):
        engine.add(Request(i, [30 + i % 3] * length, 1 + i % 5))
    while engine.busy:
        engine.step()
    assert sorted(events.done) == list(range(len(lengths)))
    if packs:
        assert list(events.first) == list(range(len(lengths)))


@pytest.mark.parametrize("packs", [False, True])
def test_a_long_prompt_does_not_stop_those_that_run(packs):
    runner, events = Counting(4), Events()
    runner.packs = packs
    engine = Engine(runner, events, {EOS}, 12)
    for request in (Request(0, [60], 100), Request(1, [60], 6), Request(2, [30] * 60, 2)):
        engine.add(request)
    for _ in range(8):
        before = len(events.rest.get(0, []))
        engine.step()
        assert len(events.rest.get(0, [])) - before <= 1
    assert {1, 2} <= set(events.done)
    assert len(events.rest[0]) == 7
