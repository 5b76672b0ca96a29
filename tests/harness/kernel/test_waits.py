"""A process at work is waited for however long it takes, a stopped or silent one is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from harness.kernel.machine import waits
from harness.kernel.machine.waits import Limit, Overdue, Stops, Wait

SPIN = "while True: pass"
SLEEP = "import time; time.sleep(60)"
TICK = "import time\nwhile True: time.sleep(0.01)"  # as the monitor threads of libraries do
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SPIN!r}])"
NEVER_S = 1000.0
SHORT_S = 0.6

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Look ten times a second, and lose patience with a stopped process after half a second."""
    monkeypatch.setattr(Wait, "pause_s", 0.1)
    monkeypatch.setattr(waits, "STOPPED_S", 0.5)


@pytest.fixture
def start():
    """Start Python processes; they and their children are gone afterwards."""
    begun = []

    def run(code, **options):
        command = [sys.executable, "-c", code]
        begun.append(subprocess.Popen(command, start_new_session=True, **options))
        return begun[-1]

    yield run
    for process in begun:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def words(process, limit):
    """What is said when the patience with it ends."""
    with pytest.raises(Overdue) as info:
        waits.ended(process, limit)
    return str(info.value)


def test_a_process_that_ends_is_waited_for(start):
    assert waits.ended(start("raise SystemExit(7)"), Limit(NEVER_S, NEVER_S)) == 7


def test_a_stopped_process_is_given_up_whatever_the_limit(start):
    process = start(SPIN)
    process.send_signal(signal.SIGSTOP)
    assert "stopped (SIGSTOP)" in words(process, waits.RUNNING)


def test_a_process_that_is_continued_in_time_is_waited_for(start):
    process = start(SPIN)
    process.send_signal(signal.SIGSTOP)
    wait = Wait(process.pid, Limit(NEVER_S, NEVER_S))
    wait.look()
    process.send_signal(signal.SIGCONT)
    while waits.is_stopped(process.pid):
        pass
    wait.look()
    process.send_signal(signal.SIGSTOP)
    wait.look()  # it ran in between: the patience began anew


@pytest.mark.parametrize("code", [SLEEP, TICK])
def test_a_process_that_does_nothing_is_given_up(start, code):
    process = start(code)
    time.sleep(0.3)  # the interpreter's own start is work
    assert "no sign of life" in words(process, Limit(SHORT_S, NEVER_S))


@pytest.mark.parametrize("code", [SPIN, PARENT])
def test_a_process_at_work_or_whose_child_is_outlasts_the_limit_for_silence(start, code):
    found = words(start(code), Limit(SHORT_S, 5 * SHORT_S))
    assert "still at work" in found


def test_what_is_read_or_written_is_a_sign_of_life():
    still = waits._Signs(10.0, 1.0, 1_000, False)
    assert not waits._is_at_work(still, still._replace(at_s=11.0))
    assert not waits._is_at_work(still, still._replace(at_s=11.0, moved_bytes=1_100))
    assert waits._is_at_work(still, still._replace(at_s=11.0, moved_bytes=100_000))


def test_a_process_that_cannot_be_looked_at_is_waited_for_by_the_clock_alone():
    wait = Wait(None, Limit(0.2, NEVER_S))
    wait.look()
    time.sleep(0.3)
    with pytest.raises(Overdue, match="no sign of life"):
        wait.look()


def test_lines_come_as_they_are_said_and_silence_between_them_is_limited(start):
    code = "import time\nfor i in range(3): print(i, flush=True)\ntime.sleep(60)"
    process = start(code, stdout=subprocess.PIPE, text=True)
    said = waits.lines(process, Limit(1.0, NEVER_S))
    assert [next(said) for _ in range(3)] == ["0\n", "1\n", "2\n"]
    with pytest.raises(Overdue):
        next(said)


def test_the_lines_of_a_process_that_ends_are_all_heard(start):
    process = start("print(*range(1000), sep='\\n')", stdout=subprocess.PIPE, text=True)
    assert len(list(waits.lines(process, Limit(NEVER_S, NEVER_S)))) == 1000


def test_the_output_of_a_hanging_process_is_not_waited_for_and_the_process_is_gone(start):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = start("print('a', flush=True); " + SLEEP, **pipes)
    with pytest.raises(Overdue):
        waits.output(process, Limit(1.0, NEVER_S))
    assert process.poll() == -signal.SIGKILL
    assert waits.output(start("print('a')", **pipes), Limit(NEVER_S, NEVER_S)) == ("a\n", "")


def test_a_process_that_will_not_leave_is_killed(start):
    process = start("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)")
    assert waits.leave(process, 0.2) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (3, "ended with exit code 3"),
        (-signal.SIGTERM, "was killed by SIGTERM"),
        (-signal.SIGKILL, "was killed by SIGKILL (out of memory?)"),
        (-40, "was killed by signal 40"),
    ],
)
def test_it_is_said_how_a_process_ended(code, told):
    assert waits.ending(code) == told


def test_the_driver_notices_a_stop_only_of_a_process_that_it_does_not_hear(start):
    process, second = start(SLEEP), 1_000_000_000
    stops = Stops(process.pid, 0)
    process.send_signal(signal.SIGSTOP)
    while not waits.is_stopped(process.pid):
        pass
    stops.look(10 * second, is_heard=True)
    stops.look(10 * second + 1, is_heard=False)
    with pytest.raises(Overdue, match="stopped"):
        stops.look(20 * second, is_heard=False)


def test_every_limit_says_when_it_ends_and_loading_may_take_half_an_hour():
    limits = [value for value in vars(waits).values() if isinstance(value, Limit)]
    assert len(limits) >= 9
    assert all(limit.still_s <= limit.most_s for limit in limits)
    assert waits.LOADING.most_s > 1800
