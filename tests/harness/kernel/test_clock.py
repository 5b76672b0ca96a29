import os
import resource
import signal
import statistics
import threading
import time
from datetime import UTC

import pytest

from harness.kernel.clock import FAR_FUTURE_NS, RealClock, VirtualClock, utc_now, wake_on_signals
from tests.helpers import MS, S


@pytest.fixture(params=["few descriptors", "many descriptors"])
def real(request):
    """A clock that waits by select, and one that waits by poll: its descriptors are too high."""
    taken = taken_descriptors() if request.param == "many descriptors" else []
    clock = RealClock()
    assert (clock._poll is not None) == bool(taken)
    yield clock
    clock.close()
    for fd in taken:
        os.close(fd)


def taken_descriptors():
    """Take all descriptors that select takes, so that the next one is higher."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2048 <= hard or hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    taken = [os.open(os.devnull, os.O_RDONLY)]
    while taken[-1] < 1030:
        taken.append(os.dup(taken[0]))
    return taken


@pytest.fixture
def pipe():
    """(read end, write end)."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def in_thread(delay_s, action):
    thread = threading.Timer(delay_s, action)
    thread.start()
    return thread


def seconds_of(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


# ---- virtual


def test_virtual_time_starts_at_zero_and_stands_still():
    clock = VirtualClock()
    assert clock.now_ns() == clock.now_ns() == 0


def test_virtual_wait_jumps_to_the_moment():
    clock = VirtualClock()
    assert clock.wait(3600 * S) == 3600 * S
    assert clock.now_ns() == 3600 * S


def test_virtual_wait_stops_at_the_next_timer_and_runs_it_then():
    clock, ran = VirtualClock(), []
    clock.call_at(7, lambda: ran.append(clock.now_ns()))
    assert clock.wait(100) == 7
    assert ran == [7]
    assert clock.wait(100) == 100


def test_virtual_timers_run_in_order_of_time_then_of_registration():
    clock, ran = VirtualClock(), []
    for when, name in [(20, "late"), (10, "first"), (10, "second")]:
        clock.call_at(when, lambda name=name: ran.append(name))
    clock.wait(10)
    assert ran == ["first", "second"]
    clock.wait(20)
    assert ran == ["first", "second", "late"]


def test_a_timer_set_by_a_timer_for_now_waits_for_the_next_look():
    clock, ran = VirtualClock(), []
    clock.call_at(5, lambda: clock.call_at(5, lambda: ran.append("second")))
    assert (clock.wait(5), ran) == (5, [])
    assert (clock.wait(5), ran) == (5, ["second"])


def test_virtual_time_never_goes_back():
    clock = VirtualClock()
    clock.wait(50)
    assert clock.wait(10) == 50
    clock.call_at(20, lambda: None)
    assert clock.wait(60) == 50


def test_virtual_post_runs_in_the_next_wait_without_time_passing():
    clock, ran = VirtualClock(), []
    clock.wait(5)
    clock.post(lambda: ran.append(clock.now_ns()))
    assert ran == []
    assert clock.wait(100) == 5
    assert ran == [5]


def test_virtual_wait_zero_serves_what_is_due_as_the_real_clock_does():
    clock, ran = VirtualClock(), []
    clock.call_at(4, lambda: ran.append("timer"))
    clock.advance(9)
    clock.post(lambda: ran.append("posted"))
    assert clock.wait(0) == 9
    assert ran == ["timer", "posted"]


def test_advance_is_the_callers_own_time_and_runs_nothing():
    clock, ran = VirtualClock(), []
    clock.call_at(5, lambda: ran.append(clock.now_ns()))
    clock.advance(30)
    assert (clock.now_ns(), ran) == (30, [])
    clock.wait(40)
    assert ran == [30]


def test_virtual_wait_for_ever_says_that_nothing_would_happen():
    with pytest.raises(
        RuntimeError, match="everybody waits and no timer is set; this run would never end"
    ):
        VirtualClock().wait(FAR_FUTURE_NS)


def test_the_virtual_clock_refuses_real_files():
    with pytest.raises(RuntimeError, match="use the real clock"):
        VirtualClock().watch(0, lambda: None)


def test_both_clocks_offer_the_same_calls(real):
    calls = {name for name in dir(RealClock) if not name.startswith("_")}
    virtual = {name for name in dir(VirtualClock) if not name.startswith("_")}
    assert virtual - calls == {"advance"}
    assert calls <= virtual


# ---- real


def test_real_wait_is_not_early_and_its_median_lateness_is_under_a_millisecond(real):
    late_ns = []
    for _ in range(50):
        until = real.now_ns() + MS
        assert real.wait(until) >= until
        late_ns.append(real.now_ns() - until)
    assert statistics.median(late_ns) < MS


def test_real_wait_zero_returns_at_once(real):
    assert statistics.median(seconds_of(lambda: real.wait(0)) for _ in range(50)) < 0.001


def test_real_wait_zero_serves_timers_posts_and_files(real, pipe):
    ran = []
    real.call_at(real.now_ns(), lambda: ran.append("timer"))
    real.post(lambda: ran.append("posted"))
    real.watch(pipe[0], lambda: ran.append(os.read(pipe[0], 10)))
    os.write(pipe[1], b"x")
    real.wait(0)
    real.wait(0)
    assert sorted(ran, key=str) == [b"x", "posted", "timer"]


def test_real_call_at_runs_on_the_waiting_thread_not_before_its_moment(real):
    ran, when = [], real.now_ns() + 5 * MS
    real.call_at(when, lambda: ran.append((real.now_ns(), threading.get_ident())))
    returned = real.wait(real.now_ns() + 5 * S)
    assert when <= ran[0][0] < when + S
    assert ran[0][1] == threading.get_ident()
    assert returned < when + S


def test_real_timers_run_in_order_whatever_the_order_they_were_set_in(real):
    ran, now = [], real.now_ns()
    for delay in (3, 1, 2):
        real.call_at(now + delay * MS, lambda delay=delay: ran.append(delay))
    while len(ran) < 3:
        real.wait(now + 5 * S)
    assert ran == [1, 2, 3]


def test_post_from_another_thread_runs_on_the_waiting_thread(real):
    ran = []
    thread = in_thread(0.02, lambda: real.post(lambda: ran.append(threading.get_ident())))
    took = seconds_of(lambda: real.wait(real.now_ns() + 5 * S))
    thread.join()
    assert ran == [threading.get_ident()]
    assert took < 2


def test_every_post_of_many_threads_runs_once(real):
    ran = []
    threads = [
        in_thread(0, lambda k=k: [real.post(lambda i=i: ran.append((k, i))) for i in range(500)])
        for k in range(4)
    ]
    while len(ran) < 2000:
        real.wait(real.now_ns() + S)
    for thread in threads:
        thread.join()
    real.wait(0)
    assert sorted(ran) == [(k, i) for k in range(4) for i in range(500)]


def test_notify_from_another_thread_wakes_the_wait(real):
    thread = in_thread(0.02, real.notify)
    assert seconds_of(lambda: real.wait(real.now_ns() + 5 * S)) < 2
    thread.join()


def test_notify_before_the_wait_is_not_lost(real):
    real.notify()
    assert seconds_of(lambda: real.wait(real.now_ns() + 5 * S)) < 2


def test_a_notify_is_used_up_by_one_wait(real):
    real.notify()
    real.notify()
    real.wait(real.now_ns() + 5 * S)
    until = real.now_ns() + 20 * MS
    assert real.wait(until) >= until


def test_notify_never_blocks_however_often_it_is_called(real):
    for _ in range(100_000):
        real.notify()
    assert real.wait(real.now_ns() + S) < real.now_ns() + S


def test_a_readable_pipe_wakes_the_wait_and_runs_its_callback(real, pipe):
    got = []
    real.watch(pipe[0], lambda: got.append(os.read(pipe[0], 10)))
    thread = in_thread(0.02, lambda: os.write(pipe[1], b"hello"))
    assert seconds_of(lambda: real.wait(real.now_ns() + 5 * S)) < 2
    thread.join()
    assert got == [b"hello"]


def test_a_pipe_that_is_no_longer_watched_does_not_wake(real, pipe):
    real.watch(pipe[0], lambda: pytest.fail("called after unwatch"))
    os.write(pipe[1], b"x")
    real.unwatch(pipe[0])
    until = real.now_ns() + 10 * MS
    assert real.wait(until) >= until


def test_a_callback_may_unwatch_another_file_of_the_same_round(real, pipe):
    other, got = os.pipe(), []
    for mine, theirs in ((pipe[0], other[0]), (other[0], pipe[0])):
        real.watch(mine, lambda mine=mine, theirs=theirs: (got.append(mine), real.unwatch(theirs)))
    os.write(pipe[1], b"x")
    os.write(other[1], b"x")
    real.wait(0)
    for fd in other:
        os.close(fd)
    assert len(got) == 1


def test_a_timer_runs_even_if_a_file_is_always_readable(real, pipe):
    ran = []
    real.watch(pipe[0], lambda: None)
    os.write(pipe[1], b"x")
    real.call_at(real.now_ns(), lambda: ran.append("timer"))
    for _ in range(10):
        real.wait(0)
    assert ran == ["timer"]


def test_an_exception_in_a_callback_reaches_the_caller_of_wait(real):
    real.post(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        real.wait(real.now_ns() + S)


def test_a_signal_wakes_the_wait(real):
    old = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with wake_on_signals(real):
            thread = in_thread(0.02, lambda: os.kill(os.getpid(), signal.SIGUSR1))
            assert seconds_of(lambda: real.wait(real.now_ns() + 5 * S)) < 2
            thread.join()
    finally:
        signal.signal(signal.SIGUSR1, old)


def test_wake_on_signals_puts_the_old_descriptor_back(real):
    with wake_on_signals(real):
        pass
    assert signal.set_wakeup_fd(-1) == -1


def test_wake_on_signals_does_nothing_to_a_virtual_clock():
    with wake_on_signals(VirtualClock()):
        assert signal.set_wakeup_fd(-1) == -1


def test_the_wall_clock_is_utc_and_now():
    assert utc_now().tzinfo is UTC
    assert abs(utc_now().timestamp() - time.time()) < 5
