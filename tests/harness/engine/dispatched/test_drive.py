"""Is what workers say written down as it happened, in the order of the plan, and kept?"""

from __future__ import annotations

import random
from contextlib import suppress

import msgspec
import numpy as np
import pytest

from harness import registry
from harness.engine import journal
from harness.engine.dispatched.arm import arm_of
from harness.engine.dispatched.drive import Hearing, drive, window_of
from harness.engine.dispatched.recorder import (
    StampedJournalRecorder,
    StampedRecorder,
    decoded,
)
from harness.engine.driver import Stop
from harness.engine.journal import Journal
from harness.engine.recorder import Recorder
from harness.engine.runlog import RunFacts, read_log, write_log
from harness.kernel.answers import FAILURES, Answer, Seen, Window
from harness.kernel.clock import VirtualClock
from harness.kernel.errors import RunBroke
from harness.kernel.types import NEVER, At, Query
from harness.running.recover import replayed
from tests.helpers import MS, S, arrivals, query, settings

START_NS, SERVICE_NS, GAP_NS = 7 * MS, 30 * MS, 2 * MS


class Arm:
    """Two workers in virtual time: each sends every other query and answers it 30 ms later; they
    tell of it in bulk, 100 ms later.
    """

    def __init__(self, clock: VirtualClock, told_after_ns: int = 100 * MS) -> None:
        self.clock, self._told_after_ns = clock, told_after_ns
        self.withdrawn = self.given_up = False
        self.dies_ns = 1 << 62
        self.failing: dict[int, str] = {}

    def dispatch(self, queries, window: Window, hearer) -> int:
        self.window, self._hearer = window, hearer
        start_ns = self.clock.now_ns() + START_NS
        self._left = 0
        for place, asked in enumerate(queries):
            self._left += len(asked.samples)
            self._plan(place, asked, start_ns + asked.release.offset_ns)
        return start_ns

    def _plan(self, place: int, query: Query, due_ns: int) -> None:
        sent_ns = due_ns + 1000 * (1 + place % 2)
        late_ns = self._told_after_ns * (1 + place % 2)  # the second worker tells later
        told_ns = sent_ns + late_ns
        if told_ns > self.dies_ns:
            self.clock.call_at(self.dies_ns, self._die)
            return
        tell = lambda: self._hearer.sent(place, due_ns, sent_ns)  # noqa: E731
        self.clock.call_at(told_ns, lambda: self.withdrawn or tell())
        for sample in query.samples:
            answer = self._answer(sample.id, sent_ns)
            self.clock.call_at(answer.done_ns + late_ns, lambda a=answer: self._tell(a))

    def _answer(self, i: int, sent_ns: int) -> Answer:
        if i in self.failing:
            failure = self.failing[i]
            return Answer(i, sent_ns, sent_ns + 5, failure=failure, detail="its words")
        stamps = [sent_ns + SERVICE_NS + k * GAP_NS for k in range(i % 4 + 1)]
        seen = Seen(first_content_ns=stamps[0] + 1, chunks=len(stamps), cached_tokens=i)
        ids = [100 + i + k for k in range(len(stamps))]
        return Answer(
            i, sent_ns, stamps[-1] + 1, stamps[0], "length", ids, stamps, f"text {i}", len(ids),
            seen=seen,
        )  # fmt: skip

    def _tell(self, answer: Answer) -> None:
        if self.given_up:
            return
        self._hearer.answered(answer)
        self._left -= 1
        if not self._left:
            self._hearer.ended()

    def _die(self) -> None:
        raise RunBroke("the client's worker", "was killed by SIGKILL")

    def withdraw(self) -> None:
        self.withdrawn = True

    def give_up(self) -> None:
        self.given_up = True
        self._hearer.ended()

    def client(self):
        return {}


def run(plan, *, kind=StampedRecorder, stop=None, prepare=lambda arm: None, **changes):
    clock = VirtualClock()
    clock.advance(3 * S)
    arm, recorder = Arm(clock), kind(clock)
    prepare(arm)
    if stop is not None:
        clock.call_at(clock.now_ns() + stop[1], stop[0].request)
    given = stop and stop[0]
    return drive(plan, arm, clock, recorder, settings(mode="performance", **changes), given), arm


def test_the_columns_hold_the_moments_of_the_workers():
    log, _ = run(arrivals(k * 10 * MS for k in range(8)))
    assert log.end == "completed"
    assert log.due_ns.tolist() == [k * 10 * MS for k in range(8)]
    assert (log.issued_ns - log.due_ns).tolist() == [1000, 2000] * 4
    assert (log.first_ns - log.issued_ns).tolist() == [SERVICE_NS] * 8
    ends = [SERVICE_NS + (k % 4) * GAP_NS + 1 for k in range(8)]
    assert (log.done_ns - log.issued_ns).tolist() == ends
    stamps = log.stamp_ns[log.stamp_start[3] : log.stamp_start[4]] - log.issued_ns[3]
    assert stamps.tolist() == [SERVICE_NS + k * GAP_NS for k in range(4)]
    assert log.record(2).token_ids.tolist() == [102, 103, 104]
    assert log.record(2).first_token == 102
    assert log.record(2).finish == "length"
    assert log.texts[5] == "text 5"
    assert log.stamp_delay_ns is None
    assert (np.diff(log.done_ns[log.completion_order]) >= 0).all()


def test_queries_that_are_told_of_in_any_order_stand_in_that_of_the_plan():
    plan = [query(k, 3 * k, 3, At(k * MS)) for k in range(20)]
    log, _ = run(plan)
    assert log.query_id.tolist() == [k // 3 for k in range(60)]
    assert log.index.tolist() == [k % 64 for k in range(60)]
    assert log.completed.all()


def test_a_failure_has_its_class_and_words_and_what_was_seen_is_kept(tmp_path):
    log, _ = run(
        arrivals(k * MS for k in range(4)), prepare=lambda arm: arm.failing.update({2: "reset"})
    )
    assert log.failures == {2: "reset"}
    assert log.errors == {2: f"{FAILURES['reset']}: its words"}
    assert log.completed.tolist() == [True, True, False, True]
    assert log.seen[1].first_content_ns == log.first_ns[1] + 1
    assert log.seen[3].cached_tokens == 3
    write_log(tmp_path, log, RunFacts("r", "s"))
    again, _ = read_log(tmp_path)
    assert (again.failures, again.seen) == (log.failures, log.seen)


def test_a_run_without_a_server_has_no_such_columns(tmp_path):
    clock = VirtualClock()
    write_log(tmp_path, Recorder(clock).log(0, "completed"), RunFacts("r", "s"))
    again, _ = read_log(tmp_path)
    assert (again.failures, again.seen) == ({}, {})


def test_the_stop_lets_what_is_open_end_and_then_gives_up():
    stop = Stop()
    plan = list(arrivals(k * 10 * MS for k in range(100)))
    log, arm = run(plan, stop=(stop, 300 * MS), drain_timeout_ns=100 * MS)
    assert arm.withdrawn
    assert arm.given_up
    assert log.end == "interrupted"
    assert 5 < log.completed.sum() <= len(log) < 100
    assert (log.done_ns[~log.completed] == NEVER).all()


def test_a_worker_that_dies_breaks_the_run_and_what_completed_is_kept():
    def dying(arm):
        arm.dies_ns = 3 * S + 400 * MS

    log, _ = run(arrivals(k * 10 * MS for k in range(100)), prepare=dying)
    assert log.end == "error"
    assert "SIGKILL" in log.end_reason
    assert 5 < log.completed.sum() < len(log)
    assert all("lost" in log.errors[i] for i in np.flatnonzero(~log.completed))


def test_the_reason_of_one_worker_outlasts_the_good_end_of_another():
    hearing = Hearing([], StampedRecorder(VirtualClock()))
    hearing.ended("the server sent nothing for 600 s")
    hearing.ended()
    assert hearing.reason == "the server sent nothing for 600 s"


def test_an_answer_that_comes_twice_or_for_nobody_is_an_anomaly():
    clock = VirtualClock()
    recorder = StampedRecorder(clock)
    recorder.issue(query(0, 0), 0, 0)
    for i in (0, 0, 5):
        recorder.answered(Answer(i, 0, 9, finish="stop"))
    kinds = [anomaly.kind for anomaly in recorder.log(0, "completed").anomalies]
    assert kinds == ["after_completion", "unknown_sample"]


def test_gaps_longer_than_32_bits_and_stamps_that_go_back_are_kept_sane():
    clock = VirtualClock()
    recorder = StampedRecorder(clock)
    recorder.issue(query(0, 0), 0, 0)
    stamps = [10, 10, 5 * S, 5 * S + 1]
    recorder.answered(Answer(0, 0, 9 * S, 10, "stop", [1, 2, 3, 4], stamps))
    assert recorder.log(0, "completed").stamp_ns.tolist() == stamps


def test_the_end_of_a_plan_follows_from_the_settings():
    timed = window_of(settings(mode="performance", min_queries=5, max_queries=9))
    assert (timed.min_queries, timed.max_queries, timed.retries) == (5, 9, 0)
    accuracy = window_of(settings(mode="accuracy", min_queries=5, max_queries=9))
    assert (accuracy.min_queries, accuracy.max_queries) == (NEVER, NEVER)
    assert accuracy.retries > 0


def test_a_journal_played_back_is_the_run_that_was_dispatched(tmp_path):
    made = Journal(tmp_path, 1 << 20)
    log, _ = run(
        arrivals(k * MS for k in range(30)),
        kind=lambda clock: StampedJournalRecorder(clock, made),
        prepare=lambda arm: arm.failing.update({2: "reset"}),
    )
    again = replayed(list(journal.records(tmp_path / journal.FILE)))
    made.remove()
    for name in ("due_ns", "issued_ns", "first_ns", "done_ns", "finish", "token_ids", "stamp_ns"):
        assert np.array_equal(getattr(again, name), getattr(log, name)), name
    assert (again.failures, again.seen, again.texts) == (log.failures, log.seen, log.texts)
    assert again.end == "interrupted"


def test_a_damaged_answer_in_a_journal_is_no_traceback(tmp_path):
    made = Journal(tmp_path, 1 << 20)
    run(arrivals([0, MS]), kind=lambda clock: StampedJournalRecorder(clock, made))
    found = list(journal.records(tmp_path / journal.FILE))
    made.remove()
    chance = random.Random(1)
    for _ in range(200):
        at = next(k for k, record in enumerate(found) if record.kind == journal.ANSWERED)
        body = bytearray(found[at].body)
        body[chance.randrange(len(body))] = chance.randrange(256)
        damaged = [*found[:at], found[at]._replace(body=bytes(body)), *found[at + 1 :]]
        with suppress(ValueError, OverflowError, KeyError, TypeError, IndexError):  # as `recover`
            replayed(damaged)


def test_a_figure_that_no_column_holds_is_found_while_the_journal_is_read():
    answer = Answer(0, 1, 2, seen=Seen(prompt_tokens=(1 << 64) - 1))
    with pytest.raises(ValueError, match="64 bits"):
        decoded(msgspec.msgpack.encode(answer))


def test_moments_are_believed_of_our_own_suts_alone():
    arm = Arm(VirtualClock())
    assert arm_of(arm, is_believed=True) is arm
    assert arm_of(arm, is_believed=False) is None
    assert not registry.may_say_when("tests.harness.engine.dispatched.test_drive:Arm")
    assert not registry.may_say_when("simulated")
    assert registry.may_say_when("served")


@pytest.mark.parametrize("name", ["simulated", "null", "local"])
def test_a_recorder_of_other_suts_takes_no_stamps(name):
    assert not hasattr(Recorder(VirtualClock()), "answered")
    assert not registry.may_say_when(name)
