"""What counts as a decode step, and what its time is."""

from __future__ import annotations

from harness.kernel.clock import VirtualClock
from sut.engine.batching import Engine, Request, StaticEngine
from sut.limit.check import LEAST_BYTES, Device, self_check
from sut.limit.steps import Taken, Watch

MS = 1_000_000


class Runner:
    """Every pass takes 5 ms, and 1 ms more for each token of a prompt."""

    max_rows, max_len = 4, 100

    def __init__(self, clock):
        self._clock = clock

    def prefill(self, first_row, pieces, start):
        self._clock.advance((5 + max(map(len, pieces))) * MS)
        return [7] * len(pieces)

    def decode(self, tokens, positions):
        self._clock.advance(5 * MS)
        return [7] * len(tokens)

    def move(self, source, target):
        pass


class Nobody:
    def first_token(self, sample_id, token):
        pass

    def tokens(self, sample_id, ids):
        pass

    def complete(self, output):
        pass


def watched(lengths, answers, engine=Engine, between_ms=0, **options):
    """Serve prompts of these lengths, all there from the start; return the steps by rows."""
    clock = VirtualClock()
    served = engine(Runner(clock), Nobody(), [], **options)
    for i, (length, answer) in enumerate(zip(lengths, answers, strict=True)):
        served.add(Request(i, [1] * length, answer))
    watch = Watch(clock, served)
    while served.busy:
        watch.step()
        clock.advance(between_ms * MS)
    return watch.taken


def test_steps_are_noted_by_rows_and_those_with_a_prompt_left_out():
    taken = watched([3, 3, 3], [5, 5, 9])
    assert {rows: len(one.times_ns) for rows, one in taken.items()} == {3: 4, 1: 4}
    assert {time for one in taken.values() for time in one.times_ns} == {5 * MS}


def test_what_happens_between_two_steps_counts():
    taken = watched([3], [5], between_ms=2)
    assert set(taken[1].times_ns) == {7 * MS}


def test_pieces_of_a_long_prompt_spoil_the_steps_that_feed_them():
    taken = watched([2, 50], [40, 2], prefill_tokens=10)
    assert set(taken[1].times_ns) == {5 * MS}


def test_steps_count_while_others_wait_for_a_row():
    taken = watched([3] * 6, [5] * 6)
    assert len(taken[4].times_ns) == 4


def test_static_batches_are_noted_too():
    taken = watched([3, 3], [5, 5], engine=StaticEngine)
    assert {rows: len(one.times_ns) for rows, one in taken.items()} == {2: 4}


def test_the_limit_is_what_is_read_over_the_speed_of_a_copy():
    taken = {8: of(10.0, steps=20, held=1000), 2: of(4.0, steps=30, held=0)}
    found = self_check(Device(1e9, LEAST_BYTES, 1000), taken)
    assert found["rows"] == 2
    assert found["limit_ms"] == LEAST_BYTES / 1e6
    assert found["share"] == found["limit_ms"] / 4.0
    eight = next(one for one in found["by_rows"] if one["rows"] == 8)
    assert eight["limit_ms"] == (LEAST_BYTES + 1000 * 1000) / 1e6
    assert [one["rows"] for one in found["by_rows"]] == [2, 8]


def test_a_small_model_or_an_unknown_device_has_no_limit():
    taken = {1: of(4.0, steps=30, held=0)}
    for device in (Device(1e9, LEAST_BYTES - 1, 10), Device(None, LEAST_BYTES, 10)):
        found = self_check(device, taken)
        assert found["step_ms"] == 4.0
        assert found["limit_ms"] is found["share"] is None


def test_a_few_steps_say_nothing():
    found = self_check(Device(1e9, LEAST_BYTES, None), {1: of(4.0, steps=3, held=0)})
    assert found["by_rows"] == []
    assert "share" not in found
    assert not found["cache_counted"]


def of(step_ms, steps, held):
    taken = Taken()
    taken.times_ns.extend([int(step_ms * MS)] * steps)
    taken.held_tokens.append(held)
    return taken
