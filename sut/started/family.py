"""Which processes has a process started, and those in turn? How are they ended?"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import psutil

_ROUND_S = 0.1


def started_by(pid: int) -> list[psutil.Process]:
    """Return all that still run; none if `pid` is gone."""
    with suppress(psutil.Error):
        return [each for each in psutil.Process(pid).children(recursive=True) if runs(each)]
    return []


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill those that still run. A number that went to another process is no longer theirs."""
    killed = []
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
            killed.append(process)
    psutil.wait_procs(killed, _ROUND_S)


def runs(process: psutil.Process) -> bool:
    """Say whether a process is there, and not only waited for."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
