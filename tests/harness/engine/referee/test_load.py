"""Is what others did to the machine told apart from what the run did itself?"""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engine.referee import load
from harness.engine.referee.load import Reading

LINUX = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs schedstat")
BEFORE = Reading(
    at_s=100.0, busy_s=50.0, steal_s=1.0, own_s=10.0, waits={"driver": {1: 0.5}, "sut": {7: 2.0}},
    involuntary=4, load=0.5, pressure_s=3.0,
)  # fmt: skip
AFTER = Reading(
    at_s=110.0, busy_s=68.0, steal_s=2.0, own_s=13.0,
    waits={"driver": {1: 0.75}, "sut": {7: 3.0, 8: 6.0}}, involuntary=9, load=8.0, pressure_s=8.0,
)  # fmt: skip


def test_what_others_used_is_all_that_was_used_less_our_own():
    found = load.between(BEFORE, AFTER)
    assert (found["wall_s"], found["foreign_cpus"], found["own_cpus"]) == (10.0, 1.5, 0.3)
    assert (found["steal_cpus"], found["pressure_percent"]) == (0.1, 50.0)
    assert (found["driver_involuntary_switches"], found["load_after"]) == (5, 8.0)


def test_a_role_waited_as_long_as_the_thread_that_waited_longest():
    """Thread 8 began during the run: all of its wait counts."""
    found = load.between(BEFORE, AFTER)
    assert (found["driver_wait_s"], found["sut_wait_s"]) == (0.25, 6.0)


def test_ours_alone_is_nobody_elses():
    assert load.between(BEFORE, replace(AFTER, own_s=30.0))["foreign_cpus"] == 0.0


def test_without_a_reading_nothing_is_told():
    assert load.between(None, AFTER) == {}
    assert load.between(BEFORE, None) == {}
    assert load.read({"sut": -1}) is None  # it is gone


@LINUX
def test_a_process_of_ours_is_no_foreign_one():
    """Both burn a core for a while; only what this test did not start counts as foreign."""
    before = load.read({"driver": os.getpid()})
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    found = load.between(before, load.read({"driver": os.getpid()}))
    assert found["own_cpus"] * found["wall_s"] >= 0.55
    assert found["driver_wait_s"] >= 0
