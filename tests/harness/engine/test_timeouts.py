"""A time-out is about lack of progress: deep queues are waited for, and whatever is lost is given
up in the end. In virtual time, so every moment is exact.
"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from harness.engine import timeouts
from harness.engine.driver import drive
from harness.engine.recorder import Recorder
from harness.engine.timeouts import SILENCES, Timeouts
from harness.kernel.clock import VirtualClock
from scenarios.offline import Offline
from sut.null import Null
from sut.simulated import Simulated
from tests.helpers import (
    MS,
    S,
    arrivals,
    closed_loop,
    library,
    open_loop,
    query,
    scripted,
    settings,
    simulated,
    virtual_run,
)

SILENT = "timed out: no event of any sample for 2 s"
STUCK = "timed out: nothing more of it for 2 s"
OVERTAKEN = "timed out: not begun, although a sample issued 2 s later was"
UNANSWERED = simulated(ttft_ms=100, tokens=1, fault="unanswered", fault_at=3)
UNFINISHED = simulated(ttft_ms=100, tokens=1, fault="lost_sample", fault_at=3)
run = partial(virtual_run, sample_timeout_ns=2 * S)


def at_once(n):
    """One query of so many samples."""
    return [query(0, 0, n)]


# ---- queues deeper than the time-out


def test_an_offline_run_may_take_a_hundred_times_as_long_as_its_time_out():
    log = run(at_once(2000), simulated(ttft_ms=100, tokens=1, slots=1))
    assert (log.end, log.errors, int(log.done_ns.max())) == ("completed", {}, 200 * S)


def test_the_queue_of_an_overloaded_server_may_be_deeper_than_the_time_out():
    log = run(open_loop(900, every_ns=50 * MS), simulated(ttft_ms=100, tokens=1, slots=1))
    assert log.errors == {}
    assert log.ttft_ns[-1] > 40 * S


@pytest.mark.parametrize("mode", ["performance", "accuracy"])
def test_a_sut_that_sends_completions_alone_may_take_as_long_as_it_likes_in_all(mode):
    """Three at a time, 1.9 s each, and no first tokens."""

    def issue(sut, query):
        for k, sample in enumerate(query.samples):
            sut.complete_after((1 + k // 3) * 1900 * MS, sample.id)

    log = run(Offline(), scripted(issue), scenario="offline", mode=mode, min_queries=64)
    assert (log.errors, int(log.done_ns.max()) > 40 * S) == ({}, True)


def test_one_long_answer_is_waited_for_while_it_streams():
    log = run(closed_loop(1), simulated(ttft_ms=1900, per_token_ms=1900, tokens=50))
    assert (log.errors, log.done_ns.tolist()) == ({}, [95 * S])


def test_tokens_without_a_first_token_are_signs_of_life_too():
    def issue(sut, query):
        for k in range(1, 11):
            sut.clock.call_at(k * 1500 * MS, lambda: sut.sink.tokens(0, [7]))
        sut.complete_after(15 * S, 0)

    assert run(at_once(1), scripted(issue)).errors == {}


# ---- silence


def test_a_sut_that_answers_nothing_is_given_up_sample_by_sample():
    log = run(open_loop(50, every_ns=10 * MS), scripted(lambda sut, query: None))
    assert log.errors == dict.fromkeys(range(50), SILENT)
    assert (log.latency_ns == 2 * S).all()
    assert log.timed_out == {"silent": 50}


def test_a_sut_that_falls_silent_loses_all_that_waits_two_seconds_after_its_last_sign():
    fault = {"fault": "stall", "fault_at": 0, "stall_s": 60, "stall_every_s": 90}
    log = run(at_once(400), simulated(ttft_ms=100, tokens=1, slots=1, **fault))
    assert log.timed_out["silent"] > 0
    log = run(
        arrivals([0, 10 * MS, 20 * MS, 30 * MS]),
        scripted(lambda sut, query: query.id == 0 and sut.complete_after(500 * MS, 0)),
    )
    assert log.done_ns.tolist() == [500 * MS, *[2500 * MS] * 3]


def test_a_system_that_had_nothing_to_do_is_not_called_silent():
    log = run(arrivals([0, 500 * S]), simulated(ttft_ms=1999, tokens=1))
    assert log.errors == {}
    lost = run(
        arrivals([0, 500 * S]), simulated(ttft_ms=1, tokens=1, fault="unanswered", fault_at=1)
    )
    assert (lost.errors, lost.done_ns.tolist()) == ({1: SILENT}, [MS, 502 * S])


@pytest.mark.parametrize("moment_ns", [2 * S, 2 * S + 1])
def test_an_answer_at_the_very_moment_counts_and_after_it_does_not(moment_ns):
    answers = scripted(lambda sut, query: sut.complete_after(moment_ns, query.id))
    assert run(open_loop(1, every_ns=S), answers).completed.tolist() == [moment_ns == 2 * S]


# ---- a system that hangs


def hanging(*silent):
    """A SUT that answers after 100 ms, but not these samples."""
    return scripted(lambda sut, query: query.id in silent or sut.complete_after(100 * MS, query.id))


def test_a_system_that_hangs_in_a_closed_loop_ends_the_run_instead_of_each_query_in_turn():
    log = run(closed_loop(1000), hanging(*range(5, 1000)), min_queries=1000)
    assert (log.end, log.completed.sum()) == ("error", 5)
    assert "it answered nothing for 3 times the sample time-out of 2 s" in log.end_reason
    assert len(log) == 5 + SILENCES
    assert log.done_ns.max() == 500 * MS + SILENCES * 2 * S


def test_any_answer_in_between_begins_the_patience_anew():
    silent = [i for i in range(30) if i % SILENCES]
    log = run(closed_loop(30), hanging(*silent), min_queries=30)
    assert (log.end, len(log), log.completed.sum()) == ("completed", 30, 30 - len(silent))


def test_a_burst_that_is_lost_at_once_is_one_silence():
    log = run(open_loop(500, every_ns=MS), hanging(*range(400)))
    assert (log.end, log.timed_out["silent"] + log.timed_out.get("overtaken", 0)) == (
        "completed",
        400,
    )


def test_a_server_that_hangs_is_given_up_after_three_time_outs_not_at_the_end_of_the_schedule():
    log = run(open_loop(100_000, every_ns=10 * MS), hanging(*range(100, 100_000)))
    assert (log.end, log.completed.sum()) == ("error", 100)
    assert log.done_ns.max() <= S + 100 * MS + (SILENCES + 1) * 2 * S


# ---- one lost sample among others


def test_single_stream_goes_on_after_a_sample_that_never_began():
    log = run(closed_loop(6), UNANSWERED, min_queries=6)
    assert log.errors == {3: SILENT}
    assert log.issued_ns.tolist() == [0, 100 * MS, 200 * MS, 300 * MS, 2300 * MS, 2400 * MS]


def test_a_lost_sample_of_a_multi_stream_query_opens_the_gate_when_the_others_are_long_done():
    log = run(closed_loop(2, samples_per_query=8), UNANSWERED, min_queries=2)
    assert (log.errors, log.due_ns[8]) == ({3: SILENT}, 2100 * MS)
    assert log.completed[8:].all()


def test_a_lost_sample_of_an_offline_run_is_given_up_when_the_others_are_done():
    sut = simulated(ttft_ms=100, tokens=1, slots=2, fault="unanswered", fault_at=3)
    log = run(at_once(400), sut)
    assert log.errors == {3: SILENT}
    assert log.done_ns[3] == np.delete(log.done_ns, 3).max() + 2 * S


def test_a_lost_sample_of_an_endless_stream_is_given_up_while_the_others_go_on():
    """Nothing ever falls silent here: it is overtaken, and found at the next look."""
    log = run(open_loop(1000, every_ns=50 * MS), UNANSWERED)
    assert log.errors == {3: OVERTAKEN}
    assert 2250 * MS <= log.done_ns[3] <= 4250 * MS
    assert (np.delete(log.latency_ns, 3) == 100 * MS).all()


def test_what_waits_its_turn_in_order_is_never_overtaken():
    """Five times overloaded: the oldest that waits is far older than the time-out all the time."""
    log = run(open_loop(1000, every_ns=20 * MS), simulated(ttft_ms=100, tokens=1, slots=1))
    assert log.timed_out == {}


def test_a_sample_that_began_and_never_goes_on_is_given_up_while_the_others_go_on():
    log = run(open_loop(1000, every_ns=50 * MS), UNFINISHED)
    assert (log.errors, log.timed_out) == ({3: STUCK}, {"stuck": 1})
    assert log.done_ns[3] == (150 + 100 + 2000) * MS
    assert (np.delete(log.latency_ns, 3) == 100 * MS).all()


def test_a_stuck_sample_of_an_offline_run_is_given_up_on_the_way():
    sut = simulated(ttft_ms=100, tokens=1, slots=2, fault="lost_sample", fault_at=3)
    log = run(at_once(400), sut)
    assert log.errors == {3: STUCK}
    assert log.done_ns[3] == 200 * MS + 2 * S


def test_each_of_several_stuck_samples_has_its_own_moment():
    def issue(sut, query):
        sut.sink.first_token(query.id, 5)
        for k in range(query.id + 1):  # the k-th goes on for k seconds
            sut.clock.call_at(sut.clock.now_ns() + k * S, partial(sut.sink.tokens, query.id, [6]))

    log = run(arrivals([0, 0, 0, 0]), scripted(issue))
    assert log.errors == dict.fromkeys(range(4), STUCK)
    assert log.done_ns.tolist() == [2 * S, 3 * S, 4 * S, 5 * S]


def test_giving_up_is_no_sign_of_life():
    """Sample 0 begins and is given up; sample 1 never begins: both go at two seconds."""
    begin_first = scripted(lambda sut, query: query.id or sut.sink.first_token(0, 5))
    log = run(arrivals([0, 0]), begin_first)
    assert (log.errors, log.done_ns.tolist()) == ({0: STUCK, 1: SILENT}, [2 * S, 2 * S])


# ---- it always ends


def test_a_null_sut_needs_no_patience():
    clock, s = VirtualClock(), settings(sample_timeout_ns=1)
    recorder, sut = Recorder(clock), Null(clock)
    sut.load(library(s), recorder)
    assert drive(open_loop(50, every_ns=S), sut, clock, recorder, s).completed.all()


FATES = st.sampled_from(["done", "done", "done", "never begun", "stuck", "refused"])


@examples(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3 * S), FATES), min_size=1, max_size=60),
    st.integers(1, 10**10),
    st.integers(1, 4),
)
def test_whatever_is_lost_every_run_ends_and_nothing_that_came_in_time_is_lost(
    plan, timeout_ns, slots
):
    due_ns = np.cumsum([gap for gap, _ in plan]).tolist()
    fates = [fate for _, fate in plan]

    def issue(sut, query):
        fate, delay_ns = fates[query.id], timeout_ns // 2
        if fate == "stuck":
            sut.sink.first_token(query.id, 5)
        elif fate == "refused":
            sut.sink.fail(query.id, "refused")
        elif fate == "done":
            sut.complete_after(delay_ns, query.id)

    with pytest.MonkeyPatch.context() as patience:
        patience.setattr(timeouts, "SILENCES", 1000)
        log = virtual_run(arrivals(due_ns), scripted(issue), sample_timeout_ns=timeout_ns)
    assert log.end == "completed"
    assert (log.done_ns >= 0).all()
    for i, fate in enumerate(fates):
        assert bool(log.completed[i]) == (fate == "done"), (i, fate)
        assert log.errors.get(i, "").startswith("timed out") == (fate in ("never begun", "stuck"))
    lost = [i for i, fate in enumerate(fates) if fate in ("never begun", "stuck")]
    assert sum(log.timed_out.values()) == len(lost)
    assert all(log.done_ns[i] - log.issued_ns[i] >= timeout_ns for i in lost)


# ---- what it costs


def test_looking_is_rare_while_the_sut_is_at_work(monkeypatch):
    looks = []
    look = Timeouts.look
    monkeypatch.setattr(Timeouts, "look", lambda self, now: (looks.append(now), look(self, now)))
    log = virtual_run(
        at_once(4000), simulated(ttft_ms=100, tokens=1, slots=4), sample_timeout_ns=10 * S
    )
    assert int(log.done_ns.max()) == 100 * S
    assert len(looks) <= 11


def test_the_simulated_sut_leaves_a_request_unanswered_when_told_to():
    clock = VirtualClock()
    recorder, sut = Recorder(clock), Simulated(clock, fault="unanswered", fault_at=1, tokens=2)
    sut.load(library(settings()), recorder)
    recorder.issue(query(0, 0, 3), 0, 0)
    sut.issue(query(0, 0, 3))
    for _ in range(10):
        clock.wait(S)
    log = recorder.log(0, "completed")
    assert (log.completed.tolist(), log.first_ns[1]) == ([True, False, True], -1)
