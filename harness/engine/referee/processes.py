"""What do the processes of a run use? Read once for each row of the telemetry.

A role ("driver", "sut") is one process, or several parts: "sut.1", "sut.2". The parts' figures are
summed under the role's name, and stand one by one in a list of the same name in the plural.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import psutil

PART = "."


class Used(NamedTuple):
    """Resident bytes, and processor time in percent of one core."""

    rss_bytes: int | None
    cpu_percent: float | None


_GONE = Used(None, None)


def whole(role: str) -> str:
    """Return the role that a part belongs to."""
    return role.partition(PART)[0]


def reader(pids: Mapping[str, int]) -> Callable[[], dict[str, Any]]:
    """Return a function that reads these processes now. One that is gone gives None."""
    processes: dict[str, psutil.Process] = {}
    for role, pid in pids.items():
        with suppress(psutil.NoSuchProcess):
            processes[role] = psutil.Process(pid)
            processes[role].cpu_percent()
    return lambda: row({role: _used(process) for role, process in processes.items()})


def row(used: Mapping[str, Used]) -> dict[str, Any]:
    """Return the columns of a row: of each role its sum, and its parts if it has any."""
    found: dict[str, Any] = {}
    for role in dict.fromkeys(map(whole, used)):
        parts = {part: figures for part, figures in used.items() if whole(part) == role}
        found[f"{role}_rss_bytes"] = _sum(figures.rss_bytes for figures in parts.values())
        found[f"{role}_cpu_percent"] = _sum(figures.cpu_percent for figures in parts.values())
        if role not in parts:
            found["replica_rss_bytes"] = [figures.rss_bytes for figures in parts.values()]
            found["replica_cpu_percent"] = [figures.cpu_percent for figures in parts.values()]
    return found


def _sum(values: Iterable[Any]) -> Any:
    """Return the sum of what is known; None where nothing is: the others go on without one."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _used(process: psutil.Process) -> Used:
    try:
        with process.oneshot():
            return Used(process.memory_info().rss, process.cpu_percent())
    except psutil.Error:
        return _GONE
