"""Which processor cores does each replica get? The same number each, neighbours together.

Equal shares give all replicas the same number of threads, so an answer does not depend on which of
them gave it: another division of a sum may round another way. Hyper-threads of one core stay
together, and cores of one socket as far as they can. What does not divide is left to the driver.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

_TOPOLOGY = Path("/sys/devices/system/cpu")


class Cpu(NamedTuple):
    """A logical processor: where it sits, and its number to the system."""

    socket: int
    core: int
    number: int


class Share(NamedTuple):
    """`numbers` are logical processors, empty where none can be chosen; `threads` is how many a
    matrix product should use.
    """

    numbers: tuple[int, ...]
    threads: int


def divide(cpus: Sequence[Cpu], count: int) -> list[Share]:
    """Return `count` equal shares. Raises ValueError where there are fewer processors."""
    cores: dict[tuple[int, int], list[int]] = {}
    for cpu in sorted(cpus):
        cores.setdefault((cpu.socket, cpu.core), []).append(cpu.number)
    units = list(cores.values())
    if len(units) < count:
        units = [[cpu.number] for cpu in sorted(cpus)]
    each = len(units) // count
    if not each:
        raise ValueError(f"{len(units)} processors")
    parts = [units[first : first + each] for first in range(0, each * count, each)]
    return [Share(tuple(n for unit in part for n in unit), each) for part in parts]


def allowed() -> list[Cpu]:
    """Return the processors that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        return [Cpu(0, number, number) for number in range(psutil.cpu_count() or 1)]
    return [_cpu(number) for number in sorted(os.sched_getaffinity(0))]


def shares(count: int) -> list[Share]:
    """Divide what this process may use; numbers only where the system lets us choose them."""
    found = divide(allowed(), count)
    if hasattr(os, "sched_setaffinity"):
        return found
    return [Share((), share.threads) for share in found]


def _cpu(number: int) -> Cpu:
    """Return where a processor sits; each is a core of its own where the system does not say."""
    folder = _TOPOLOGY / f"cpu{number}" / "topology"
    try:
        socket = int((folder / "physical_package_id").read_text())
        return Cpu(socket, int((folder / "core_id").read_text()), number)
    except (OSError, ValueError):
        return Cpu(0, number, number)
