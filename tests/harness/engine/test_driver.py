import gc
import heapq
import time
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from harness.engine.driver import Stop, drive
from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock, VirtualClock
from harness.kernel.stats import percentile
from harness.kernel.types import NEVER, AfterInFlight, At, Output
from scenarios.multi_stream import MultiStream
from scenarios.offline import Offline
from scenarios.server import Server
from scenarios.single_stream import SingleStream
from sut.null import Null
from sut.simulated import Simulated
from tests.helpers import (
    MS,
    S,
    Scripted,
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


def first_come_first_served(arrivals_ns, slots, service_ns):
    """When each customer of a queue with so many servers is done."""
    free, done = [0] * slots, []
    for arrival in arrivals_ns:
        done.append(max(arrival, heapq.heappop(free)) + service_ns)
        heapq.heappush(free, done[-1])
    return done


def p99_s(values_ns):
    return percentile(values_ns, 0.99) / S


def stopped_at(*moments_ns):
    """A clock and a Stop that is requested at these moments."""
    clock, stop = VirtualClock(), Stop()
    for moment in moments_ns:
        clock.call_at(moment, stop.request)
    return {"clock": clock, "stop": stop}


class SlowClock(VirtualClock):
    """Each turn of the driver's loop takes it that long before it can look at the time."""

    def __init__(self, turn_ns):
        super().__init__()
        self.turn_ns = turn_ns

    def wait(self, until_ns):
        self.advance(self.turn_ns)
        return super().wait(until_ns)


# ---- the ten-minute run


def test_ten_minutes_of_server_traffic_take_a_sixtieth_of_the_time_and_are_exact():
    start_s = time.process_time()
    log = virtual_run(
        Server(),
        simulated(ttft_ms=150, per_token_ms=20, tokens=64, slots=1000),
        target_qps=10.0,
        min_duration_ns=600 * S,
    )
    assert 60 * (time.process_time() - start_s) < 600
    assert log.end == "completed"
    assert log.due_ns[-1] >= 600 * S
    assert 5500 < len(log) < 6500
    assert log.completed.all()
    assert (log.ttft_ns == 150 * MS).all()
    assert (log.tpot_ns == 20 * MS).all()
    assert (log.latency_ns == (150 + 63 * 20) * MS).all()
    assert (log.issue_lag_ns == 0).all()
    assert (log.tokens == 64).all()
    assert log.anomalies == []


def test_the_same_run_twice_is_the_same_run():
    first, second = (virtual_run(Server(), target_qps=50.0, min_queries=200) for _ in range(2))
    for column in (
        "index",
        "due_ns",
        "issued_ns",
        "first_ns",
        "done_ns",
        "token_ids",
        "stamp_ns",
        "completion_order",
    ):
        assert np.array_equal(getattr(first, column), getattr(second, column)), column


# ---- latency counts from due


STALLS = simulated(
    ttft_ms=1, tokens=1, slots=10_000, fault="stall", fault_at=0, stall_s=1, stall_every_s=10
)


def test_a_stall_that_a_waiting_client_would_omit_shows_in_the_tail():
    """Coordinated omission: one second in ten stands still, and a client that waits for it sends
    one query meanwhile.
    """
    open_latency = virtual_run(open_loop(6000, every_ns=10 * MS), STALLS).latency_ns
    closed_latency = virtual_run(closed_loop(60_000), STALLS, min_duration_ns=59 * S).latency_ns
    assert 0.85 <= p99_s(open_latency) <= 1.0
    assert p99_s(closed_latency) == 0.001


def test_a_sut_that_blocks_the_driver_cannot_hide_the_wait():
    def block_one_second_in_ten(sut, query):
        if query.id % 1000 == 0:
            sut.clock.advance(S)
        sut.complete_after(MS, query.id)

    log = virtual_run(open_loop(6000, every_ns=10 * MS), scripted(block_one_second_in_ten))
    assert p99_s(log.latency_ns) >= 0.85
    assert p99_s(log.done_ns - log.issued_ns) < 0.02


def test_waiting_for_a_slot_shows_in_ttft():
    """Two slots of 100 ms do 20 a second; at 30 a second the last of 1,800 queries waits for 600
    others.
    """
    log = virtual_run(open_loop(1800, every_ns=S // 30), simulated(ttft_ms=100, tokens=1, slots=2))
    expected = first_come_first_served(log.due_ns.tolist(), 2, 100 * MS)
    assert log.first_ns.tolist() == log.done_ns.tolist() == expected
    assert log.ttft_ns[0] == 100 * MS
    assert log.ttft_ns[-1] > 29 * S
    assert (log.issue_lag_ns == 0).all()


@examples(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 10**10), min_size=1, max_size=40),
    st.integers(1, 4),
    st.integers(1, 2000),
)
def test_any_arrivals_are_served_as_queueing_theory_says(gaps_ns, slots, service_ms):
    due_ns = np.cumsum(gaps_ns).tolist()
    log = virtual_run(
        arrivals(due_ns),
        simulated(ttft_ms=service_ms, tokens=1, slots=slots),
        sample_timeout_ns=10**15,
    )
    assert log.due_ns.tolist() == log.issued_ns.tolist() == due_ns
    assert log.done_ns.tolist() == first_come_first_served(due_ns, slots, service_ms * MS)


def test_a_slow_driver_shows_as_issue_lag_and_counts_against_latency():
    log = virtual_run(
        open_loop(20, every_ns=10 * MS), simulated(ttft_ms=5, tokens=1), clock=SlowClock(30 * MS)
    )
    assert log.issue_lag_ns.tolist() == [(30 + 20 * k) * MS for k in range(20)]
    assert (log.latency_ns >= log.issue_lag_ns + 5 * MS).all()


def test_a_late_driver_hears_what_has_arrived_before_it_issues_more():
    log = virtual_run(
        open_loop(5, every_ns=10 * MS), simulated(ttft_ms=5, tokens=1), clock=SlowClock(30 * MS)
    )
    assert log.done_ns[:-1].tolist() == log.issued_ns[1:].tolist()


# ---- samples that never come back (`tests.harness.engine.test_timeouts` has the rule)


LOSES_3 = simulated(ttft_ms=100, tokens=1, fault="lost_sample", fault_at=3)
STUCK = "timed out: nothing more of it for 2 s"
SILENT = "timed out: no event of any sample for 2 s"


def test_a_lost_sample_is_timed_out_and_the_others_go_on():
    log = virtual_run(open_loop(100, every_ns=50 * MS), LOSES_3, sample_timeout_ns=2 * S)
    assert (log.end, log.errors) == ("completed", {3: STUCK})
    assert log.done_ns[3] - log.first_ns[3] == 2 * S
    assert log.record(3).finish == "error"
    assert np.flatnonzero(~log.completed).tolist() == [3]
    assert (np.delete(log.latency_ns, 3) == 100 * MS).all()


def test_the_last_sample_may_be_lost_too():
    log = virtual_run(open_loop(4, every_ns=50 * MS), LOSES_3, sample_timeout_ns=2 * S)
    assert (log.end, log.errors, log.done_ns[3]) == ("completed", {3: STUCK}, 2250 * MS)


def test_single_stream_goes_on_after_a_lost_sample():
    log = virtual_run(closed_loop(6), LOSES_3, sample_timeout_ns=2 * S, min_queries=6)
    assert log.errors == {3: STUCK}
    assert log.issued_ns.tolist() == [0, 100 * MS, 200 * MS, 300 * MS, 2400 * MS, 2500 * MS]
    assert log.completed.tolist() == [True, True, True, False, True, True]


def test_an_answer_after_the_timeout_is_noted_and_changes_nothing():
    log = virtual_run(
        closed_loop(2), scripted(lambda sut, query: sut.complete_after(3 * S, query.id)),
        sample_timeout_ns=2 * S,
        min_queries=2,
    )  # fmt: skip
    assert log.errors == {0: SILENT, 1: SILENT}
    assert [(a.sample_id, a.kind) for a in log.anomalies] == [(0, "after_failure")]


# ---- a SUT that breaks


def test_a_sut_that_crashes_keeps_what_was_complete_and_names_what_was_lost():
    log = virtual_run(
        open_loop(100, every_ns=50 * MS),
        simulated(ttft_ms=120, tokens=1, fault="crash", fault_at=6),
    )
    assert (log.end, log.end_reason) == ("error", "simulated SUT: crashed on request at sample 6.")
    assert len(log) == 7  # the one it died of was issued
    assert log.completed.tolist() == [True] * 4 + [False] * 3
    assert log.errors == dict.fromkeys((4, 5, 6), f"lost: {log.end_reason}")


def test_any_exception_of_a_sut_in_issue_ends_the_run():
    def issue(sut, query):
        if query.id == 2:
            raise ValueError("no such prompt")
        sut.complete_after(MS, query.id)

    log = virtual_run(open_loop(9, every_ns=50 * MS), scripted(issue))
    assert (log.end, log.end_reason) == ("error", "the SUT raised ValueError: no such prompt")
    assert log.completed.tolist() == [True, True, False]


def test_an_exception_of_a_sut_while_the_driver_waits_ends_the_run():
    log = virtual_run(
        open_loop(9, every_ns=50 * MS),
        scripted(lambda sut, query: sut.clock.call_at(125 * MS, lambda: 1 / 0)),
    )
    assert (log.end, log.end_reason) == (
        "error",
        "the SUT raised ZeroDivisionError: division by zero",
    )
    assert (len(log), set(log.errors)) == (3, {0, 1, 2})


def test_garbage_is_collected_again_after_a_broken_run():
    virtual_run(open_loop(1, every_ns=S), scripted(lambda sut, query: 1 / 0))
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


# ---- Ctrl-C


def test_a_stop_request_stops_issuing_and_waits_for_what_is_open():
    log = virtual_run(
        open_loop(1000, every_ns=10 * MS),
        simulated(ttft_ms=500, tokens=1, slots=99),
        **stopped_at(1005 * MS),
    )
    assert (log.end, log.end_reason) == ("interrupted", "stopped by the user (Ctrl-C)")
    assert len(log) == 101
    assert log.completed.all()


def test_a_stop_request_ends_a_closed_loop_while_it_waits_for_the_gate():
    log = virtual_run(
        closed_loop(1000),
        simulated(ttft_ms=500, tokens=1),
        min_queries=1000,
        **stopped_at(1200 * MS),
    )
    assert (log.end, len(log), log.completed.tolist()) == ("interrupted", 3, [True] * 3)


def test_draining_ends_after_the_drain_timeout():
    stopped = stopped_at(1005 * MS)
    log = virtual_run(
        open_loop(1000, every_ns=10 * MS),
        simulated(ttft_ms=2500, tokens=1, slots=99),
        drain_timeout_ns=2 * S,
        **stopped,
    )
    assert stopped["clock"].now_ns() == 3005 * MS
    assert (log.end, len(log)) == ("interrupted", 101)
    assert np.flatnonzero(log.completed).tolist() == list(
        range(51)
    )  # due by 500 ms, done by 3,000 ms
    assert (log.done_ns[51:] == NEVER).all()


def test_a_second_stop_request_stops_at_once():
    stopped = stopped_at(1005 * MS, 1300 * MS)
    log = virtual_run(
        open_loop(1000, every_ns=10 * MS), simulated(ttft_ms=2500, tokens=1, slots=99), **stopped
    )
    assert stopped["clock"].now_ns() == 1300 * MS
    assert (log.end, len(log), log.completed.any()) == ("interrupted", 101, False)


def test_a_stop_request_while_draining_limits_the_wait():
    stopped = stopped_at(5 * S)
    log = virtual_run(
        open_loop(3, every_ns=10 * MS),
        scripted(lambda sut, query: None),
        drain_timeout_ns=2 * S,
        **stopped,
    )
    assert stopped["clock"].now_ns() == 7 * S
    assert (log.end, log.errors, len(log)) == ("interrupted", {}, 3)


def test_a_stop_request_before_the_start_issues_nothing():
    stop = Stop()
    stop.request()
    log = virtual_run(open_loop(3, every_ns=10 * MS), stop=stop)
    assert (log.end, len(log)) == ("interrupted", 0)


# ---- when a loop ends


TEN_MS = simulated(ttft_ms=10, tokens=1)


@pytest.mark.parametrize(
    ("limits", "queries"),
    [
        ({"min_queries": 5}, 5),
        ({"min_queries": 5, "min_duration_ns": 100 * MS}, 11),  # issued at 0, 10 ... 100 ms
        ({"min_queries": 50, "min_duration_ns": 100 * MS}, 50),
        ({"min_queries": 5, "min_duration_ns": 101 * MS}, 12),
        ({"min_queries": 50, "max_queries": 3}, 3),
        (
            {"min_queries": 50, "max_duration_ns": 50 * MS},
            7,
        ),  # the first issue after 50 ms is the last
        ({"min_queries": 50, "max_duration_ns": 45 * MS}, 6),
        ({"min_queries": 999}, 100),  # the plan is all there is
        (
            {"min_queries": 5, "mode": "accuracy", "max_queries": 3},
            100,
        ),  # each sample once, whatever the limits
    ],
)
def test_a_closed_loop_ends_when_both_minima_or_one_maximum_is_reached_at_an_issue(limits, queries):
    log = virtual_run(closed_loop(100), TEN_MS, **limits)
    assert (len(log), log.end) == (queries, "completed")
    assert log.issued_ns.tolist() == [10 * MS * k for k in range(queries)]


@pytest.mark.parametrize(
    ("limits", "queries"),
    [({"min_queries": 5}, 100), ({"max_queries": 3}, 3), ({"max_duration_ns": 45 * MS}, 6)],
)
def test_an_open_loop_plays_its_plan_up_to_a_maximum(limits, queries):
    assert len(virtual_run(open_loop(100, every_ns=10 * MS), TEN_MS, **limits)) == queries


def test_an_empty_plan_is_an_empty_run():
    log = virtual_run([])
    assert (len(log), log.end) == (0, "completed")


# ---- the gate


def test_the_gate_opens_when_all_samples_of_the_query_are_complete():
    log = virtual_run(
        closed_loop(3, samples_per_query=4), simulated(ttft_ms=10, tokens=1, slots=1), min_queries=3
    )
    assert log.query_id.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert log.due_ns.tolist() == [0] * 4 + [40 * MS] * 4 + [80 * MS] * 4
    assert log.latency_ns.tolist() == [10 * MS, 20 * MS, 30 * MS, 40 * MS] * 3


def test_the_slowest_sample_of_a_query_holds_the_gate_whatever_its_place():
    def issue(sut, query):
        for sample, delay in zip(query.samples, (30, 10, 20), strict=True):
            sut.complete_after(delay * MS, sample.id)

    log = virtual_run(closed_loop(3, samples_per_query=3), scripted(issue), min_queries=3)
    assert log.due_ns.tolist() == [0] * 3 + [30 * MS] * 3 + [60 * MS] * 3


def test_a_set_waits_for_the_one_before_and_its_moments_count_from_there():
    plan = [
        query(0, 0, release=At(0)),
        query(1, 1, release=At(10 * MS)),
        query(2, 2, release=AfterInFlight(1, 20 * MS)),
        query(3, 3, release=At(25 * MS)),
    ]
    sut = simulated(ttft_ms=100, per_token_ms=0, tokens=1)
    log = virtual_run(iter(plan), sut, mode="accuracy")
    assert log.due_ns.tolist() == [0, 10 * MS, 110 * MS, 115 * MS]
    assert log.issued_ns.tolist() == log.due_ns.tolist()


def test_what_a_sut_holds_back_comes_before_the_next_set():
    held = []

    def hold(sut, asked):
        held.extend(sample.id for sample in asked.samples)

    class Holds(Scripted):
        def flush(self):
            for sample_id in held:
                self.complete_after(MS, sample_id)
            held.clear()

    plan = [query(0, 0, 2), query(1, 2, 2, release=AfterInFlight(1, 5 * MS))]
    log = virtual_run(iter(plan), partial(Holds, hold), mode="accuracy")
    assert (log.due_ns.tolist(), log.completed.all()) == ([0, 0, MS, MS], True)


def test_a_failed_sample_does_not_keep_the_gate_shut():
    log = virtual_run(
        closed_loop(2, samples_per_query=4), simulated(ttft_ms=10, tokens=1, fault="lost_sample",
            fault_at=2),
        min_queries=2, sample_timeout_ns=S,
    )  # fmt: skip
    assert (list(log.errors), log.due_ns[4]) == ([2], 1010 * MS)
    assert log.completed[4:].all()


def test_several_queries_may_be_in_flight():
    log = virtual_run(closed_loop(6, below=3), simulated(ttft_ms=10, tokens=1), min_queries=6)
    assert log.issued_ns.tolist() == [0, 0, 0, 10 * MS, 10 * MS, 10 * MS]


def test_due_of_a_closed_loop_is_the_moment_the_gate_opened():
    def answer_at_once_and_block(sut, query):
        sut.sink.complete(Output(query.id))
        sut.clock.advance(7 * MS)

    log = virtual_run(closed_loop(3), scripted(answer_at_once_and_block), min_queries=3)
    assert log.due_ns.tolist() == [0, 0, 7 * MS]
    assert log.issue_lag_ns.tolist() == [0, 7 * MS, 7 * MS]


def test_an_answer_that_a_busy_driver_hears_late_counts_from_due_to_then():
    log = virtual_run(
        closed_loop(3), simulated(ttft_ms=1, tokens=1), clock=SlowClock(4 * MS), min_queries=3
    )
    assert log.latency_ns.tolist() == [4 * MS] * 3


# ---- manners


def test_flush_comes_once_after_the_last_issue():
    flushed_at, clock, s = [], VirtualClock(), settings()
    recorder = Recorder(clock)
    sut = scripted(lambda sut, query: sut.complete_after(MS, query.id))(clock)
    sut.load(library(s), recorder)
    sut.flush = lambda: flushed_at.append((clock.now_ns(), recorder.num_issued))
    drive(open_loop(3, every_ns=10 * MS), sut, clock, recorder, s)
    assert flushed_at == [(20 * MS, 3)]


def test_a_sut_that_answers_only_when_flushed_is_heard():
    s, clock = settings(), VirtualClock()
    recorder = Recorder(clock)
    sut = scripted(lambda sut, query: None)(clock)
    sut.load(library(s), recorder)
    sut.flush = lambda: [recorder.complete(Output(i)) for i in range(3)]
    assert drive(open_loop(3, every_ns=10 * MS), sut, clock, recorder, s).completed.all()


def test_no_garbage_is_collected_between_first_issue_and_last_completion():
    enabled = []
    virtual_run(
        open_loop(3, every_ns=S),
        scripted(
            lambda sut, query: (enabled.append(gc.isenabled()), sut.complete_after(MS, query.id))
        ),
    )
    assert enabled == [False] * 3
    assert gc.isenabled()


def test_the_collector_stays_off_if_it_was_off():
    gc.disable()
    try:
        virtual_run(open_loop(1, every_ns=S))
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_on_idle_sees_the_counts_before_each_wait():
    seen = []
    virtual_run(
        open_loop(3, every_ns=10 * MS),
        TEN_MS,
        on_idle=lambda r: seen.append((r.num_issued, r.num_done)),
    )
    assert seen[0] == (1, 0)
    assert seen[-1] == (3, 2)
    assert seen == sorted(seen)


def test_times_count_from_the_start_of_the_run_not_of_the_clock():
    clock = VirtualClock()
    clock.wait(1000 * S)
    log = virtual_run(open_loop(2, every_ns=10 * MS), TEN_MS, clock=clock)
    assert (log.due_ns.tolist(), log.done_ns.tolist()) == ([0, 10 * MS], [10 * MS, 20 * MS])


def test_a_run_after_a_warm_up_on_the_same_clock_and_sut_starts_fresh():
    clock, s = VirtualClock(), settings(drain_timeout_ns=0)
    sut = Simulated(clock, ttft_ms=10, tokens=1)
    for plan in (closed_loop(5), [query(0, 0)]):
        recorder = Recorder(clock)
        sut.load(library(s), recorder)
        log = drive(plan, sut, clock, recorder, s)
    assert (len(log), log.latency_ns.tolist(), log.anomalies) == (1, [10 * MS], [])


# ---- every scenario, the same loop


@pytest.mark.parametrize(
    "scenario", [SingleStream(), MultiStream(), Server(), Offline()], ids=lambda s: s.name
)
@pytest.mark.parametrize("mode", ["performance", "accuracy"])
def test_every_scenario_runs_to_its_end(scenario, mode):
    per_query = 4 if scenario.name == "multi-stream" else 1
    log = virtual_run(
        scenario,
        simulated(),
        scenario=scenario.name,
        mode=mode,
        min_queries=20,
        samples_per_query=per_query,
        target_qps=100.0,
    )
    assert (log.end, log.anomalies, log.completed.all()) == ("completed", [], True)
    if mode == "accuracy":
        assert sorted(log.index.tolist()) == list(range(64))
    else:
        assert len(log) == 20 * per_query


# ---- real time


def test_the_null_sut_completes_every_sample_of_a_real_run():
    clock, s = RealClock(), settings()
    recorder = Recorder(clock)
    sut = Null(clock)
    sut.load(library(s), recorder)
    log = drive(open_loop(200, every_ns=MS), sut, clock, recorder, s)
    clock.close()
    assert log.completed.all()
    assert (log.issue_lag_ns >= 0).all()
    assert np.median(log.issue_lag_ns) < MS
    assert (log.done_ns >= log.issued_ns).all()
