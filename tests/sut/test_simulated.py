import numpy as np
import pytest

from harness.engine.recorder import Recorder
from harness.kernel.clock import VirtualClock
from harness.kernel.errors import BadInput
from harness.kernel.types import Sample
from sut.simulated import EOS, FAULTS, Simulated
from tests.helpers import (
    MS,
    S,
    closed_loop,
    library,
    open_loop,
    query,
    settings,
    simulated,
    virtual_run,
)


def one_run(n=10, every_ns=100 * MS, **options):
    return virtual_run(
        open_loop(n, every_ns),
        simulated(**{"ttft_ms": 50, "per_token_ms": 5, "tokens": 4, **options}),
    )


def test_the_first_token_and_each_token_come_on_time():
    log = one_run(n=1)
    row = log.record(0)
    assert row.chunk_ns.tolist() == [50 * MS, 55 * MS, 60 * MS, 65 * MS]
    assert (row.first_ns, row.done_ns) == (50 * MS, 65 * MS)


def test_answers_depend_on_the_sample_alone_and_end_with_one_eos():
    log = one_run(n=70)
    rows = [log.record(i).token_ids.tolist() for i in range(70)]
    assert rows[0] == rows[64]
    assert rows[0] != rows[1]
    assert all(row.index(EOS) == len(row) - 1 for row in rows)


def test_what_is_streamed_reported_and_returned_agree():
    log = one_run()
    assert log.anomalies == []
    assert log.tokens.tolist() == log.reported_tokens.tolist() == [4] * 10
    assert (log.first_token == log.token_ids[log.token_start[:-1]]).all()


def test_a_samples_own_limit_shortens_its_answer():
    log = virtual_run(open_loop(2, S), simulated(tokens=8), max_new_tokens=3)
    assert log.tokens.tolist() == [3, 3]


def test_one_token_is_the_first_and_the_last():
    row = one_run(n=1, tokens=1).record(0)
    assert (row.token_ids.tolist(), row.first_ns, row.done_ns) == ([EOS], 50 * MS, 50 * MS)


def test_samples_wait_for_a_free_slot_in_order():
    log = virtual_run([query(0, 0, 5)], simulated(ttft_ms=10, tokens=1, slots=2))
    assert log.done_ns.tolist() == [10 * MS, 10 * MS, 20 * MS, 20 * MS, 30 * MS]


def test_a_slot_is_held_until_the_last_token():
    log = virtual_run([query(0, 0, 2)], simulated(ttft_ms=10, per_token_ms=5, tokens=3, slots=1))
    assert log.first_ns.tolist() == [10 * MS, 30 * MS]


@pytest.mark.parametrize("options", [{"slots": 0}, {"tokens": 0}])
def test_there_is_at_least_one_slot_and_one_token(options):
    assert one_run(n=2, **options).completed.all()


# ---- faults


def test_an_unknown_fault_lists_the_known_ones():
    with pytest.raises(
        BadInput, match=r"simulated fault: 'stal' is not known; known: .*Did you mean 'stall'\?"
    ):
        Simulated(VirtualClock(), fault="stal")


@pytest.mark.parametrize("fault", [f for f in FAULTS if f not in ("late_first_token", "stall")])
def test_a_fault_leaves_the_samples_before_it_alone(fault):
    healthy, log = one_run(n=4), one_run(fault=fault, fault_at=4)
    assert log.latency_ns[:4].tolist() == healthy.latency_ns.tolist()
    assert [log.record(i).token_ids.tolist() for i in range(4)] == [
        healthy.record(i).token_ids.tolist() for i in range(4)
    ]


def test_late_first_token_is_late_from_there_on():
    log = one_run(fault="late_first_token", fault_at=4, late_s=2)
    assert log.ttft_ns.tolist() == [50 * MS] * 4 + [2050 * MS] * 6


def test_lost_sample_streams_but_never_completes():
    log = one_run(fault="lost_sample", fault_at=4)
    assert (len(log.record(4).chunk_ns), log.completed.tolist()) == (4, [i != 4 for i in range(10)])


def test_a_lost_sample_gives_its_slot_back():
    assert one_run(fault="lost_sample", fault_at=4, slots=1).completed.sum() == 9


def test_wrong_first_token_differs_from_the_one_that_was_streamed():
    log = one_run(fault="wrong_first_token", fault_at=4)
    row = log.record(4)
    assert row.token_ids[0] == row.first_token + 1
    assert [(a.sample_id, a.kind) for a in log.anomalies] == [(4, "stream_differs")]


def test_two_eos_ends_with_two():
    log = one_run(fault="two_eos", fault_at=4)
    assert log.record(4).token_ids[-2:].tolist() == [EOS, EOS]
    assert log.tokens.tolist() == [4] * 4 + [5] + [4] * 5
    assert log.anomalies == []


def test_short_count_reports_one_token_too_few_from_there_on():
    log = one_run(fault="short_count", fault_at=4)
    short = log.reported_tokens == np.diff(log.token_start) - 1
    assert np.flatnonzero(short).tolist() == list(range(4, len(log)))


def test_wrong_count_reports_one_token_too_many():
    log = one_run(fault="wrong_count", fault_at=4)
    assert (log.reported_tokens - log.tokens).tolist() == [0] * 4 + [1] + [0] * 5


def test_crash_breaks_the_run_at_that_sample():
    log = one_run(fault="crash", fault_at=4)
    assert (log.end, len(log)) == ("error", 5)
    assert "crashed on request at sample 4" in log.end_reason


def test_nothing_happens_during_a_stall():
    log = one_run(fault="stall", fault_at=4, stall_s=1, tokens=1)  # from 400 ms to 1,400 ms
    assert log.latency_ns.tolist() == [50 * MS] * 4 + [
        k * MS for k in (1000, 900, 800, 700, 600, 500)
    ]


def test_one_stall_is_over_after_its_time():
    log = one_run(n=30, fault="stall", fault_at=4, stall_s=1, tokens=1)
    assert (log.latency_ns[14:] == 50 * MS).all()


def test_a_stall_may_come_again_and_again():
    log = one_run(n=100, fault="stall", fault_at=0, stall_s=1, stall_every_s=5, tokens=1)
    stalled = log.done_ns % (5 * S) == S
    assert log.due_ns[stalled].tolist() == [
        5 * S * k + 100 * MS * j for k in range(2) for j in range(10)
    ]
    assert set(log.done_ns[stalled].tolist()) == {S, 6 * S}
    assert (log.latency_ns[~stalled] == 50 * MS).all()


# ---- life


def test_events_of_an_earlier_load_are_not_heard():
    clock = VirtualClock()
    sut, recorders = Simulated(clock, ttft_ms=10, tokens=1), [Recorder(clock), Recorder(clock)]
    for recorder in recorders:
        sut.load([Sample(0, "")], recorder)
        recorder.issue(query(0, 0), clock.now_ns(), clock.now_ns())
        sut.issue(query(0, 0))
        clock.wait(5 * MS)
    while clock.now_ns() < 50 * MS:
        clock.wait(50 * MS)
    assert [recorder.num_done for recorder in recorders] == [0, 1]
    assert recorders[1].anomalies == []


def test_a_closed_sut_says_nothing_more():
    clock = VirtualClock()
    sut, recorder = Simulated(clock, ttft_ms=10, tokens=1), Recorder(clock)
    sut.load(library(settings()), recorder)
    recorder.issue(query(0, 0), 0, 0)
    sut.issue(query(0, 0))
    sut.close()
    while clock.now_ns() < 50 * MS:
        clock.wait(50 * MS)
    assert recorder.num_done == 0


def test_it_tells_what_it_is():
    sut = Simulated(VirtualClock())
    assert (sut.name, sut.facts()["eos_ids"], sut.memory().source, sut.decode([[1]])) == (
        "simulated",
        [EOS],
        "simulated",
        None,
    )


def test_defaults_are_those_of_the_documentation():
    log = virtual_run(closed_loop(1), simulated())
    assert (log.ttft_ns.tolist(), log.tpot_ns.tolist(), log.tokens.tolist()) == (
        [50 * MS],
        [5 * MS],
        [32],
    )
