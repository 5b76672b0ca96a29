"""Stepping ahead, with a device of arithmetic that answers late: the same answers and finishes as
the plain engine's, whatever ends, joins or is given up meanwhile.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.kernel.errors import RunBroke
from sut.engine.ahead.engine import AheadEngine
from sut.engine.batching import Engine, Request
from tests.sut.engine.ahead.late import EOS, Late
from tests.sut.engine.test_batching import Counting, Events

MANY = st.lists(
    st.tuples(
        st.integers(1, 30),  # tokens up to the end token
        st.integers(1, 12),  # most new tokens
        st.integers(1, 9),  # prompt tokens
        st.integers(0, 12),  # steps before it arrives
        st.one_of(st.none(), st.integers(0, 15)),  # steps before it is given up
    ),
    min_size=1,
    max_size=30,
)


def served(engine_of, runner, shapes, prefill_tokens=512):
    """Serve requests as they come and are given up; return what was heard, and the engine."""
    events = Events()
    engine = engine_of(runner, events, {EOS}, prefill_tokens)
    requests = [
        Request(i, [last] * length, limit) for i, (last, limit, length, *_) in enumerate(shapes)
    ]
    for now in range(10_000):
        for request, (*_, arrives, leaves) in zip(requests, shapes, strict=True):
            if arrives == now:
                engine.add(request)
            if leaves is not None and arrives + leaves == now:
                engine.drop(request)
        if engine.busy:
            engine.step()
        elif now > 30:
            return events, engine
    raise AssertionError("the engine does not come to its end")


def now(*shapes):
    return [(*shape, 0, None) for shape in shapes]


@given(
    MANY,
    st.integers(1, 8),
    st.integers(1, 40),
    st.booleans(),
    st.lists(st.booleans(), max_size=60) | st.just([True] * 99),
)
def test_answers_and_finishes_are_those_of_the_plain_engine(
    shapes, max_rows, prefill_tokens, packs, answered
):
    kept = [(*shape[:4], None) for shape in shapes]
    plain, _ = served(Engine, Counting(max_rows), kept, prefill_tokens)
    runner = Late(max_rows, packs=packs, answered=answered)
    ahead, _ = served(AheadEngine, runner, kept, prefill_tokens)
    assert ahead.first == plain.first
    assert ahead.rest == plain.rest
    assert ahead.done == plain.done


@given(MANY, st.integers(1, 8), st.integers(1, 40), st.booleans())
def test_requests_that_are_given_up_change_nobody_elses_answer_and_free_their_rows(
    shapes, max_rows, prefill_tokens, packs
):
    kept = [(*shape[:4], None) for shape in shapes]
    plain, _ = served(Engine, Counting(max_rows), kept, prefill_tokens)
    ahead, engine = served(AheadEngine, Late(max_rows, packs=packs), shapes, prefill_tokens)
    for i, shape in enumerate(shapes):
        if shape[4] is None:
            assert ahead.done[i] == plain.done[i]
        heard = [ahead.first[i], *ahead.rest.get(i, [])] if i in ahead.first else []
        assert heard == plain.done[i].token_ids[: len(heard)]
        assert (i in ahead.done) <= (heard == plain.done[i].token_ids)
    assert (engine.num_running, engine.num_waiting, engine.num_held) == (0, 0, 0)
    engine.add(Request(99, [5], 9))
    while engine.busy:
        engine.step()
    assert ahead.done[99].token_ids == [4, 3, 2, 1, 0]


def test_a_step_is_launched_before_the_tokens_of_the_last_are_read():
    runner = Late(4)
    served(AheadEngine, runner, now((30, 8, 3), (30, 8, 3)))
    assert runner.most_unheard == 2


def test_nothing_is_told_before_the_device_has_answered():
    runner, events = Late(2), Events()
    engine = AheadEngine(runner, events, {EOS})
    engine.add(Request(0, [30], 3))
    engine.step()
    assert events.first == {0: 29}
    assert events.rest == {}, "the second token is under way"
    assert len(runner.queue) == 1
    engine.step()
    assert events.rest == {0: [28]}
    engine.step()
    assert events.done[0].token_ids == [29, 28, 27]
    assert not engine.busy


def test_rows_that_end_by_length_compute_nothing_in_vain():
    runner = Late(4)
    steps = []
    launch = runner.launch
    runner.launch = lambda positions: steps.append(len(positions)) or launch(positions)
    served(AheadEngine, runner, now((30, 1, 2), (30, 2, 2), (30, 4, 2)))
    assert steps == [2, 1, 1]


def test_a_row_that_ends_by_an_end_token_computes_one_token_in_vain():
    runner = Late(2)
    served(AheadEngine, runner, now((4, 100, 2), (30, 100, 2)))
    assert runner.in_vain == 1


def test_what_is_under_way_for_nobody_is_not_waited_for():
    runner = Late(2)
    served(AheadEngine, runner, now((4, 100, 2), (4, 100, 2)))
    assert runner.in_vain == 0
    assert runner.queue


def test_a_row_that_is_free_is_taken_at_once_where_its_length_is_known():
    runner = Late(1)
    events, _ = served(AheadEngine, runner, now((30, 2, 1), (30, 2, 1), (30, 2, 1)))
    assert len(events.done) == 3
    assert runner.prefilled == [[1], [1], [1]]


def test_logits_that_are_no_numbers_end_the_run_with_the_sample_and_the_token():
    events = Events()
    engine = AheadEngine(Late(2, broken_at={27}), events, {EOS})
    engine.add(Request(0, [30], 9, name=12))
    for _ in range(3):
        engine.step()
    with pytest.raises(RunBroke, match="sample 12: the logits of its token 4 are not finite"):
        engine.step()
    assert events.rest[0] == [28, 27]


def test_pieces_of_a_long_prompt_are_not_launched_far_ahead():
    runner = Late(2)
    engine = AheadEngine(runner, Events(), {EOS}, prefill_tokens=3)
    engine.add(Request(0, [30] * 30, 4))
    for _ in range(9):
        engine.step()
        assert sum(pending is not None for pending, _ in runner.queue) == 1


def test_steps_go_in_turn_where_the_host_is_slower_and_look_again_now_and_then():
    runner = Late(2, answered=[True] * 4)
    engine = AheadEngine(runner, Events(), {EOS})
    engine.add(Request(0, [2000], 1500))

    def unheard():
        engine.step()
        return sum(pending is not None for pending, _ in runner.queue)

    assert [unheard() for _ in range(5)] == [1] * 5
    in_turn = 0
    while not unheard():
        in_turn += 1
    assert in_turn == 255
    assert [unheard() for _ in range(300)] == [1] * 300, "the device is slower from now on"
