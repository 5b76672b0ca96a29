"""Is each stamp told apart from what the driver was late by, for every way in which events come?"""

import numpy as np
import pytest

from harness.engine.recorder import Recorder
from harness.kernel.clock import Arrivals, RealClock, VirtualClock
from harness.kernel.types import At, Output, Query, QuerySample
from tests.scenario_helpers import MS

GAPS_MS = (50, 5, 5, 5)  # of an answer: its first token, and three more


class Hand:
    """A clock whose time and arrivals are written by hand, in milliseconds."""

    def __init__(self):
        self.now_ms, self.arrivals = 0.0, Arrivals()

    def now_ns(self):
        return round(self.now_ms * MS)

    def note_arrivals(self):
        return self.arrivals

    def deliver(self, at_ms, sent_ms, is_timer=False):
        self.now_ms = at_ms
        self.arrivals.at_ns.append(self.now_ns())
        self.arrivals.sent_ns.append(round(sent_ms * MS))
        self.arrivals.is_timer.append(is_timer)


def issue(recorder, sample_id=0, due_ms=0.0, issued_ms=0.0):
    query = Query(sample_id, [QuerySample(sample_id, 0)], At(0))
    recorder.issue(query, round(due_ms * MS), round(issued_ms * MS))


def answer(lates_ms, is_timer):
    """A sample whose events were sent at 50, 55, 60 and 65 ms, or that much after the one before
    (timers), and were heard so late.
    """
    clock = Hand()
    recorder, sent_ms = Recorder(clock), 0.0
    issue(recorder)
    for position, (gap_ms, late_ms) in enumerate(zip(GAPS_MS, lates_ms, strict=True)):
        sent_ms += gap_ms
        at_ms = sent_ms + late_ms
        clock.deliver(at_ms, sent_ms, is_timer)
        if position:
            recorder.tokens(0, [7])
        else:
            recorder.first_token(0, 7)
        if is_timer:
            sent_ms = at_ms
    recorder.complete(Output(0, "length"))
    return recorder.log(0, "completed")


def milliseconds(values):
    return (np.asarray(values) / MS).tolist()


def test_a_messages_sender_does_not_wait_so_each_stamp_has_its_own_delay():
    log = answer((100, 96, 92, 91), is_timer=False)
    assert milliseconds(log.stamp_delay_ns) == [100, 96, 92, 91]
    assert milliseconds(log.done_delay_ns) == [91]
    ideal = log.without_delays()
    assert (milliseconds(log.ttft_ns), milliseconds(ideal.ttft_ns)) == ([150], [50])
    assert (milliseconds(log.latency_ns), milliseconds(ideal.latency_ns)) == ([156], [65])
    assert (milliseconds(log.tpot_ns), milliseconds(ideal.tpot_ns)) == ([2], [5])


def test_a_timer_that_runs_late_makes_all_that_follow_late():
    log = answer((100, 1, 0, 3), is_timer=True)
    assert milliseconds(log.stamp_delay_ns) == [100, 101, 101, 104]
    assert milliseconds(log.latency_ns) == [169]
    ideal = log.without_delays()
    assert (milliseconds(ideal.ttft_ns), milliseconds(ideal.latency_ns)) == ([50], [65])
    assert milliseconds(np.diff(ideal.stamp_ns)) == [5, 5, 5]


def test_a_late_issue_is_the_drivers_too():
    clock = Hand()
    recorder = Recorder(clock)
    issue(recorder, due_ms=10, issued_ms=40)
    clock.deliver(90, 90)
    recorder.first_token(0, 7)
    recorder.complete(Output(0, "length"))
    log = recorder.log(0, "completed")
    assert (milliseconds(log.ttft_ns), milliseconds(log.without_delays().ttft_ns)) == ([80], [50])


def test_an_answer_told_inside_issue_has_no_delay():
    """The message before it was late; it brought nothing of this sample."""
    clock = Hand()
    recorder = Recorder(clock)
    clock.deliver(10, 0)
    issue(recorder, due_ms=11, issued_ms=11)
    clock.now_ms = 12
    recorder.complete(Output(0, "length", [7]))
    log = recorder.log(0, "completed")
    assert log.done_delay_ns.tolist() == [0]


def test_a_forged_stamp_takes_no_more_than_all_the_time_there_was():
    clock = Hand()
    recorder = Recorder(clock)
    issue(recorder)
    clock.deliver(50, -1e6)
    recorder.first_token(0, 7)
    clock.deliver(60, 1e6)  # from the future
    recorder.complete(Output(0, "length"))
    log = recorder.log(0, "completed")
    assert (milliseconds(log.stamp_delay_ns), log.done_delay_ns.tolist()) == ([50], [0])


def test_a_run_without_samples_has_no_delays():
    log = Recorder(Hand()).log(0, "completed")
    assert (len(log.stamp_delay_ns), len(log.done_delay_ns)) == (0, 0)


def test_nothing_is_late_on_a_virtual_clock():
    log = Recorder(VirtualClock()).log(0, "completed")
    assert log.done_delay_ns is None
    assert log.without_delays() is None


@pytest.mark.parametrize("way", ["call_at", "post"])
def test_the_real_clock_notes_when_what_it_runs_was_sent(way):
    clock = RealClock()
    arrivals, heard = clock.note_arrivals(), []
    now = clock.now_ns()
    if way == "call_at":
        clock.call_at(now + 2 * MS, lambda: heard.append(clock.now_ns()))
    else:
        clock.post(lambda: heard.append(clock.now_ns()))
    while clock.now_ns() < now + 10 * MS:  # the driver is busy
        pass
    clock.wait(0)
    (at_ns,), (sent_ns,), (heard_ns,) = arrivals.at_ns, arrivals.sent_ns, heard
    assert now <= sent_ns < now + 5 * MS
    assert now + 10 * MS <= at_ns <= heard_ns
    assert bytes(arrivals.is_timer) == bytes([way == "call_at"])
    clock.close()


def test_what_nobody_stamps_is_not_taken_for_the_message_before_it():
    """A SUT in the driver's process may read a socket of its own."""
    import socket

    clock, (ours, theirs) = RealClock(), socket.socketpair()
    recorder = Recorder(clock)
    issue(recorder, issued_ms=clock.now_ns() / MS)
    start_ns = clock.now_ns()
    clock.call_at(start_ns, lambda: None)

    def read():
        ours.recv(1)
        recorder.complete(Output(0, "length", [7]))

    clock.watch(ours.fileno(), read)
    while clock.now_ns() < start_ns + 5 * MS:
        pass
    clock.wait(start_ns)
    theirs.send(b"x")
    clock.wait(clock.now_ns() + 1000 * MS)
    log = recorder.log(start_ns, "completed")
    assert log.done_delay_ns.tolist() == [0]
    for part in (ours, theirs, clock):
        part.close()
