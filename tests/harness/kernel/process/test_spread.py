"""Does spread work come back whole, whatever becomes of the children that do it, and do they end
with us?
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import psutil
import pytest

from harness.kernel.process import children, spread
from tests import ROOT
from tests.harness.kernel.process.test_children import gone

ENDLESS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started the tests ignores it
from harness.kernel.process.spread import each
from tests.harness.kernel.process.test_spread import Part, worked
for number, done in each(worked, [Part(i, 0) for i in range(100_000)], 2):
    print(done[1], flush=True)
"""


class Part(NamedTuple):
    number: int
    parent: int


def worked(part):
    """Take 10 ms of a processor; return what was done and in which process."""
    until = time.process_time() + 0.01
    while time.process_time() < until:
        pass
    return part.number * 2, os.getpid()


def dies_elsewhere(part):
    if os.getpid() != part.parent:
        os._exit(3)
    return worked(part)


def stops_elsewhere(part):
    if os.getpid() != part.parent:
        os.kill(os.getpid(), signal.SIGSTOP)
    return worked(part)


def fails_elsewhere(part):
    if os.getpid() != part.parent:
        raise MemoryError
    return worked(part)


def fails(part):
    raise ValueError(f"part {part.number}")


def parts(n):
    return [Part(number, os.getpid()) for number in range(n)]


def test_each_part_is_done_once_and_by_several_processes():
    found = list(spread.each(worked, parts(200), 2))
    assert sorted(number for number, _ in found) == list(range(200))
    assert all(done == 2 * number for number, (done, _) in found)
    assert len({process for _, (_, process) in found}) == 2


@pytest.mark.parametrize("work", [dies_elsewhere, stops_elsewhere, fails_elsewhere])
def test_what_a_child_does_not_bring_back_is_done_here(work):
    found = dict(spread.each(work, parts(60), 3))
    assert {number: done for number, (done, _) in found.items()} == {n: 2 * n for n in range(60)}


def test_what_cannot_be_sent_is_done_here():
    assert dict(spread.each(lambda part: part.number, parts(3), 2)) == {0: 0, 1: 1, 2: 2}


def test_an_error_of_the_work_is_raised_here():
    with pytest.raises(ValueError, match="part"):
        list(spread.each(fails, parts(5), 2))


def test_one_process_and_nothing_to_do_start_no_child(monkeypatch):
    monkeypatch.setattr(children, "Child", None)
    assert len(dict(spread.each(worked, parts(3), 1))) == 3
    assert list(spread.each(worked, [], 4)) == []


def test_a_quota_counts_as_processors(tmp_path):
    allowed = spread.processors(tmp_path / "none")
    for text, expected in {
        "100000 100000": 1, "50000 100000": 1, "max 100000": allowed, "nonsense": allowed,
    }.items():  # fmt: skip
        (tmp_path / "cpu.max").write_text(text)
        assert spread.processors(tmp_path / "cpu.max") == expected, text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_children_end_with_us_at_once(number):
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    others = set[int]()
    for line in process.stdout:
        others |= {int(line)} - {process.pid}
        if others:
            break
    assert all(psutil.pid_exists(other) for other in others)
    process.send_signal(number)
    assert process.wait(20) != 0
    process.stdout.close()
    assert gone(others)
