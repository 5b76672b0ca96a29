"""Who else used the processors during the timed part? Read before and after it, never inside.

    foreign_cpus   processors that programs other than this run kept busy, on average
    steal_cpus     processors that the hypervisor gave to other machines
    sut_wait_s     time that a thread of the system under test was ready to run and had no
                   processor: of the thread that waited longest (schedstat's run-queue wait)

Threads of one program wait for each other too, so a wait is blamed on others only as far as others
ran (`harness.result.quiet`). Linux tells all this; elsewhere there is no reading.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.engine.referee.processes import whole
from harness.kernel.clock import RealClock

_PROC = Path("/proc")
# /proc/stat: user nice system idle iowait irq softirq steal; a guest's time is in user already
_BUSY, _STEAL = (0, 1, 2, 5, 6), 7
_WAIT = 1  # schedstat: ns on a processor, ns waiting for one, number of turns


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters of one moment, in seconds since they began."""

    at_s: float
    busy_s: float
    steal_s: float
    own_s: float
    waits: Mapping[str, Mapping[int, float]]  # of each role's threads
    involuntary: int
    load: float
    pressure_s: float


def read(pids: Mapping[str, int]) -> Reading | None:
    """Read the counters now; `pids` maps a role ("driver", "sut", or "sut.1" of several) to its
    process. None where the system does not tell.
    """
    if not (_PROC / "self" / "schedstat").exists() or not hasattr(os, "sched_getaffinity"):
        return None
    try:
        busy_s, steal_s = _processors()
        waits = {role: _waits(pid) for role, pid in pids.items()}
    except (OSError, ValueError, IndexError):
        return None
    return Reading(
        at_s=RealClock.now_ns() / 1e9,
        busy_s=busy_s,
        steal_s=steal_s,
        own_s=_own_s(),
        waits=waits,
        involuntary=psutil.Process().num_ctx_switches().involuntary,
        load=os.getloadavg()[0],
        pressure_s=_pressure_s(),
    )


def between(before: Reading | None, after: Reading | None) -> dict[str, Any]:
    """Return what happened between two readings; nothing where one is missing."""
    if before is None or after is None or after.at_s <= before.at_s:
        return {}
    wall_s = after.at_s - before.at_s
    own_s = after.own_s - before.own_s
    foreign_s = max(after.busy_s - before.busy_s - own_s, 0.0)
    found = {
        "wall_s": wall_s,
        "cpus": len(_allowed()),
        "own_cpus": own_s / wall_s,
        "foreign_cpus": foreign_s / wall_s,
        "steal_cpus": (after.steal_s - before.steal_s) / wall_s,
        "driver_involuntary_switches": after.involuntary - before.involuntary,
        "load_before": before.load,
        "load_after": after.load,
        "pressure_percent": 100 * (after.pressure_s - before.pressure_s) / wall_s,
    }
    for role, waits in after.waits.items():
        earlier, name = before.waits.get(role, {}), f"{whole(role)}_wait_s"
        waited_s = (wait_s - earlier.get(thread, 0.0) for thread, wait_s in waits.items())
        found[name] = max([found.get(name, 0.0), *waited_s])
    return found


def _allowed() -> set[int]:
    """Return the numbers of the processors that we may use."""
    return os.sched_getaffinity(0)


def _processors() -> tuple[float, float]:
    """Return how long the processors that we may use were busy, and stolen from this machine."""
    allowed = {f"cpu{number}" for number in _allowed()}
    ticks = os.sysconf("SC_CLK_TCK")
    busy = steal = 0
    for line in (_PROC / "stat").read_text().splitlines():
        name, *counts = line.split()
        if name in allowed:
            busy += sum(int(counts[column]) for column in _BUSY)
            steal += int(counts[_STEAL])
    return busy / ticks, steal / ticks


def _own_s() -> float:
    """Return the processor time of this process and all that it has started."""
    own = psutil.Process()
    total = float(sum(own.cpu_times()[:4]))  # its own, and of its children that are gone
    for child in own.children(recursive=True):
        with suppress(psutil.Error):
            total += sum(child.cpu_times()[:4])
    return total


def _waits(pid: int) -> dict[int, float]:
    """Return how long each thread of a process has waited for a processor."""
    found = {}
    for thread in (_PROC / str(pid) / "task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            words = (thread / "schedstat").read_text().split()
            found[int(thread.name)] = int(words[_WAIT]) / 1e9
    return found


def _pressure_s() -> float:
    """Return for how long some program of the machine has waited for a processor; 0 where that is
    not counted.
    """
    with suppress(OSError, ValueError):
        first = (_PROC / "pressure" / "cpu").read_text().splitlines()[0]
        return int(first.rpartition("total=")[2]) / 1e6
    return 0.0
