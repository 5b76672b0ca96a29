"""Does a child of ours end with us, however we end and whatever it is doing?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.kernel.clock import RealClock
from harness.kernel.machine import waits
from harness.kernel.process import children

BOUND = """
import os, subprocess, sys
from harness.kernel.process import children
children.bind()
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
assert os.read(0, 1) == b""  # nobody reads the leash by mistake
print(os.getpid(), other.pid, flush=True)
{then}
"""
SLEEPS = "import time; time.sleep(60)"
HOLDS_THE_LOCK = "while True: ' ' * 10**9 in ' ' * 10**9 + 'x'"
LEAVES = "pass"
PARENT = """
import subprocess, sys, time
from harness.kernel.process import children
child = children.Child("a_child", stdout=subprocess.PIPE, text=True)
print(child.stdout.readline(), flush=True)
time.sleep(60)
"""
TIDIES = """
import threading
from pathlib import Path
from harness.kernel.process import children
children._TIDY_S = 0.2
over = threading.Event()
children.once_let_go(over.set)
print("ready", flush=True)
over.wait(60)
Path("tidied").touch()
threading.Event().wait(60)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """module(source): it can be started as the module `a_child`."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return (tmp_path / "a_child.py").write_text


@pytest.fixture
def start(module):
    """start(what it does then) -> (child, its pid and that of a process that it has started)."""

    def call(then=SLEEPS):
        module(BOUND.format(then=then))
        child = children.Child("a_child", stdout=subprocess.PIPE, text=True)
        return child, list(map(int, child.stdout.readline().split()))

    return call


def gone(pids, seconds=20.0):
    """Wait until none of these runs; return whether that happened."""
    clock = RealClock()
    until_ns = clock.now_ns() + int(seconds * 1e9)
    while clock.now_ns() < until_ns:
        if not any(map(_runs, pids)):
            return True
        clock.wait(clock.now_ns() + 10_000_000)
    return False


def _runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@pytest.mark.parametrize("then", [SLEEPS, HOLDS_THE_LOCK])
def test_what_is_let_go_ends_with_all_that_it_started(start, then):
    child, pids = start(then)
    child.let_go()
    assert gone(pids)
    with child:
        assert child.wait(20) == -signal.SIGKILL


def test_a_stopped_child_ends_as_well(start):
    child, pids = start()
    os.kill(child.pid, signal.SIGSTOP)
    child.let_go()
    assert gone(pids)
    with child:
        child.wait(20)


def test_a_parent_that_is_killed_takes_its_child_along(module, start):
    module(BOUND.format(then=SLEEPS))
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=children.variables()
    ) as parent:
        pids = list(map(int, parent.stdout.readline().split()))
        parent.kill()
    assert len(pids) == 2
    assert gone(pids)


def test_leaving_the_block_ends_it_whatever_left_the_block(start):
    child, pids = start()
    with pytest.raises(KeyboardInterrupt), child:
        raise KeyboardInterrupt
    assert gone(pids)


def test_a_child_that_ends_by_itself_leaves_nothing_running(start):
    child, pids = start(LEAVES)
    with child:
        assert waits.leave(child, 20) == 0
    assert gone(pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_stops_everybody_is_the_parents_to_hear(start, number):
    child, pids = start()
    with child:
        child.send_signal(number)
        assert not gone(pids[:1], seconds=0.3)
        assert gone(pids[1:], seconds=0) is False
        os.kill(pids[1], number)  # but what it starts inherits none of that
        assert gone(pids[1:])


def test_a_child_that_tidies_up_has_some_time_for_it_and_no_more(module, tmp_path):
    module(TIDIES)
    with children.Child("a_child", stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        child.let_go()
        assert child.wait(20) == -signal.SIGKILL
    assert Path("tidied").exists()


def test_a_module_of_somebody_else_ends_with_us_too(module):
    module("import sys; print(sys.argv[1:], 'in', __name__)")
    done = children.finished(children.__name__, "a_child", "--word", limit=waits.STARTING)
    assert (done.returncode, done.stdout) == (0, "['--word'] in __main__\n")


def test_by_hand_stdin_is_no_leash(module):
    module("from harness.kernel.process import children; children.bind(); print(input())")
    words = children.command("a_child")
    done = subprocess.run(
        words, input="a line\n", capture_output=True, text=True, env=children.variables(),
        check=False, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "a line\n")
