"""The batching policy, with a runner of arithmetic instead of a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.kernel.errors import RunBroke
from sut.engine.batching import NOT_FINITE, Engine, Request, StaticEngine

EOS = 0


class Counting:
    """Continues each prompt's last token by counting down; 0 is EOS. Checks that rows are used as
    promised.
    """

    def __init__(self, max_rows: int) -> None:
        self.max_rows, self.max_len = max_rows, 10**6
        self.rows: list[tuple[int, int] | None] = [
            None
        ] * max_rows  # (last token fed, next position)
        self.most = 0
        self.prefilled: list[list[int]] = []

    def prefill(self, first_row, prompts, start):
        self.prefilled.append([len(p) for p in prompts])
        assert start == 0 or len(prompts) == 1
        for row, prompt in enumerate(prompts, first_row):
            assert start == 0 or self.rows[row][1] == start, "a piece continues its own row"
            self.rows[row] = (prompt[-1], start + len(prompt))
        return [prompt[-1] - 1 for prompt in prompts]

    def decode(self, tokens, positions):
        self.most = max(self.most, len(tokens))
        for row, (token, position) in enumerate(zip(tokens, positions, strict=True)):
            assert self.rows[row] == (token + 1, position), "each row continues its own request"
            self.rows[row] = (token, position + 1)
        return [token - 1 for token in tokens]

    def move(self, source, target):
        self.rows[target] = self.rows[source]


class Events:
    def __init__(self) -> None:
        self.first: dict[int, int] = {}
        self.rest: dict[int, list[int]] = {}
        self.done: dict[int, object] = {}

    def first_token(self, sample_id, token):
        assert sample_id not in self.first
        self.first[sample_id] = token

    def tokens(self, sample_id, ids):
        self.rest.setdefault(sample_id, []).extend(ids)

    def complete(self, output):
        assert output.sample_id not in self.done
        self.done[output.sample_id] = output


def serve(requests, max_rows=3, prefill_tokens=512):
    runner, events = Counting(max_rows), Events()
    engine = Engine(runner, events, {EOS}, prefill_tokens)
    for request in requests:
        engine.add(request)
    steps = 0
    while engine.busy:
        engine.step()
        steps += 1
    return runner, events, steps


def test_a_request_ends_with_eos_and_says_so():
    _, events, _ = serve([Request(0, [9, 4], 100)])
    assert events.done[0].token_ids == [3, 2, 1, 0]
    assert events.done[0].finish == "eos"


def test_a_request_ends_at_its_limit_without_eos():
    _, events, _ = serve([Request(0, [9, 50], 3)])
    assert (events.done[0].token_ids, events.done[0].finish) == ([49, 48, 47], "length")


def test_a_request_may_end_with_its_first_token():
    _, events, _ = serve([Request(0, [1], 5), Request(1, [3], 1)])
    assert events.done[0].token_ids == [0]
    assert events.done[1].token_ids == [2]


def test_waiting_requests_join_as_soon_as_a_row_is_free():
    runner, events, steps = serve([Request(i, [40], 2 if i else 10) for i in range(5)], max_rows=2)
    assert len(events.done) == 5
    assert runner.most == 2
    assert steps <= 10  # static batches would need 10 for the first pair and more for the rest


def test_long_prompts_join_in_several_steps():
    runner, _, _ = serve([Request(i, [30] * 6, 4) for i in range(4)], max_rows=4, prefill_tokens=12)
    assert runner.prefilled == [[6, 6], [6, 6]]


def test_a_prompt_above_the_budget_is_fed_in_pieces():
    runner, events, _ = serve([Request(0, [30] * 50, 2), Request(1, [30], 2)], prefill_tokens=12)
    assert runner.prefilled == [[12], [12], [12], [12], [2], [1]]
    assert len(events.done) == 2


def test_a_long_prompt_does_not_stop_those_that_run():
    runner, events = Counting(4), Events()
    engine = Engine(runner, events, {EOS}, 12)
    for request in (Request(0, [60], 100), Request(1, [60], 6), Request(2, [30] * 60, 2)):
        engine.add(request)
    for _ in range(6):
        before = len(events.rest.get(0, []))
        engine.step()
        assert len(events.rest.get(0, [])) - before <= 1
    assert 1 in events.done  # its row was taken while the long prompt stood behind it
    assert 2 in events.first
    assert len(events.rest[0]) == 5


class ByItself(Counting):
    """Goes on from its own last tokens, as a static batch does, whatever it is told."""

    def decode(self, tokens, positions):
        self.rows = [row and (row[0] - 1, row[1] + 1) for row in self.rows]
        return [self.rows[i][0] - 1 for i in range(len(tokens))]


def test_without_rows_of_its_own_nobody_joins_a_static_batch():
    runner, events = ByItself(2), Events()
    engine = StaticEngine(runner, events, {EOS})
    for i, limit in enumerate([3, 5, 2]):
        engine.add(Request(i, [40] * (i + 1), limit))
    while engine.busy:
        engine.step()
    assert runner.prefilled == [[1, 2], [3]]
    assert {i: len(events.done[i].token_ids) for i in range(3)} == {0: 3, 1: 5, 2: 2}
    assert all(
        [events.first[i], *events.rest.get(i, [])] == events.done[i].token_ids for i in range(3)
    )


def test_a_static_batch_ends_within_the_length_of_a_row():
    runner, events = ByItself(3), Events()
    runner.max_len = 12
    engine = StaticEngine(runner, events, {EOS})
    for i, (prompt, limit) in enumerate([(2, 10), (8, 4), (6, 6)]):
        engine.add(Request(i, [40] * prompt, limit))
    while engine.busy:
        engine.step()
    assert runner.prefilled == [[2], [8], [6]]  # 8 and 10 would be 18 long


def test_logits_that_are_no_numbers_end_the_run_with_the_sample_and_the_token():
    class Broken(Counting):
        def decode(self, tokens, positions):
            return [NOT_FINITE if position == 7 else 9 for position in positions]

    engine = Engine(Broken(2), Events(), {EOS})
    engine.add(Request(0, [40] * 5, 9, name=12))
    for _ in range(3):
        engine.step()
    with pytest.raises(RunBroke, match="sample 12: the logits of its token 4 are not finite"):
        engine.step()


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.integers(1, 12), st.integers(1, 9)),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 8),
    st.integers(1, 40),
)
def test_batched_answers_equal_the_answers_one_at_a_time(shapes, max_rows, prefill_tokens):
    requests = [
        Request(i, [last] * length, limit) for i, (last, limit, length) in enumerate(shapes)
    ]
    _, events, _ = serve(requests, max_rows, prefill_tokens)
    for i, (last, limit, _) in enumerate(shapes):
        expected = list(range(last - 1, -1, -1))[:limit]
        assert events.done[i].token_ids == expected
        assert [events.first[i], *events.rest.get(i, [])] == expected
        assert events.done[i].finish == ("eos" if expected[-1] == EOS else "length")
