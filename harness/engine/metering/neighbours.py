"""Who else uses these GPUs? Compute processes that are not of this run, and memory that is not its
own.

A run's own processes are its roots (the driver, a server that it asks) and what these started. In
a container with process numbers of its own, an older driver tells those of the host: they do not
exist here, so one of them is taken to be the run's own and only more than that are neighbours. A
number that does not exist counts from the second reading on: a process may just have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import psutil

from harness.engine.metering.figures import Gpu, Refusal, Row, together, used_memory
from harness.kernel.machine.nvml import Answer, Nvml, whole

PROCESSES, BYTES, WHO = "gpu_foreign_processes", "gpu_foreign_bytes", "gpu_foreign"
_MEMORY_V2 = 0x02000028  # a struct whose `used` leaves out what the driver reserves
_ASK = "nvmlDeviceGetComputeRunningProcesses"


class Booked(NamedTuple):
    """A process on a GPU, as the driver books it; None: bytes that it does not tell."""

    pid: int
    used_bytes: int | None


class Found(NamedTuple):
    """What is known of one GPU: neighbours with their names, and memory that is not ours."""

    neighbours: list[dict[str, Any]]
    unnamed: int  # more of them, with process numbers of another namespace
    foreign_bytes: int | None


class Neighbours:
    """Looks for others on these GPUs. `roots` are process numbers of this run; `expected` says how
    many processes of the run are on each GPU while it runs: none before it has begun.
    """

    def __init__(
        self,
        nvml: Nvml,
        gpus: Sequence[Gpu],
        roots: Collection[int],
        expected: int = 1,
        parents: Callable[[int], list[int] | None] | None = None,
    ) -> None:
        self._nvml, self._gpus, self._expected = nvml, gpus, expected
        self._parents = parents or _parents
        self._roots = set(roots)
        self._own: dict[int, bool] = {}  # by process number
        self._absent: dict[int, set[int]] = {}  # numbers that did not exist here, by GPU

    def read(self) -> tuple[Row, list[Refusal]]:
        """Return the columns of telemetry.parquet, and which GPU refused its processes."""
        found, refused = list[Found | None](), list[Refusal]()
        for gpu in self._gpus:
            booked = gpu.handle if gpu.handle.refusal else _booked(self._nvml, gpu.handle.value)
            if booked.refusal:
                refused.append(Refusal(gpu.number, PROCESSES, booked.refusal))
            found.append(None if booked.refusal else self._found(gpu, booked.value))
        counts = [None if one is None else len(one.neighbours) + one.unnamed for one in found]
        memory = [None if one is None else one.foreign_bytes for one in found]
        row = together(PROCESSES, counts, sum) | together(BYTES, memory, sum)
        who = [neighbour for one in found if one is not None for neighbour in one.neighbours]
        return row | ({WHO: who} if who else {}), refused

    def _found(self, gpu: Gpu, booked: Sequence[Booked]) -> Found:
        kinds = {one.pid: self._is_ours(one.pid) for one in booked}
        ours = [one for one in booked if kinds[one.pid]]
        others = [one for one in booked if kinds[one.pid] is False]
        absent = {pid for pid, kind in kinds.items() if kind is None}
        elsewhere = len(absent & self._absent.get(gpu.number, set()))
        self._absent[gpu.number] = absent
        missing = 0 if ours else self._expected
        named = [
            {"gpu": gpu.number, "pid": one.pid, "name": _name(one.pid), "bytes": one.used_bytes}
            for one in others
        ]
        return Found(named, max(elsewhere - missing, 0), self._foreign_bytes(gpu, ours))

    def _foreign_bytes(self, gpu: Gpu, ours: Sequence[Booked]) -> int | None:
        """Return the memory in use less that of this run; None where its own is not known."""
        used: int | None = _occupied(self._nvml, gpu.handle.value).value
        own = [one.used_bytes for one in ours]
        is_known = all(value is not None for value in own) and (own or not self._expected)
        if used is None or not is_known:
            return None
        return max(used - sum(value or 0 for value in own), 0)

    def _is_ours(self, pid: int) -> bool | None:
        """Tell whether a process is of this run; None if it does not exist here."""
        if pid not in self._own:
            line = self._parents(pid)
            if line is None:
                return None
            self._own[pid] = bool(self._roots & {pid, *line})
        return self._own[pid]


def _booked(nvml: Nvml, gpu: Any) -> Answer:
    def rows(told: Any) -> list[Booked]:
        return [Booked(whole(row.pid), _bytes(row)) for row in told]

    return nvml.read(rows, _ASK, gpu)


def _bytes(row: Any) -> int | None:
    with suppress(ValueError, TypeError):
        return whole(row.usedGpuMemory)
    return None


def _occupied(nvml: Nvml, gpu: Any) -> Answer:
    """Return the bytes in use without those that the driver reserves, where it tells them apart."""
    version = nvml.constant("nvmlMemory_v2", _MEMORY_V2)
    apart = nvml.read(lambda memory: whole(memory.used), "nvmlDeviceGetMemoryInfo", gpu, version)
    return used_memory(nvml, gpu) if apart.refusal else apart


def _parents(pid: int) -> list[int] | None:
    """Return the processes above this one; None where it does not exist here."""
    try:
        return [process.pid for process in psutil.Process(pid).parents()]
    except psutil.AccessDenied:
        return []
    except psutil.Error:
        return None


def _name(pid: int) -> str:
    """Return the name of its program; "" where the system does not tell."""
    with suppress(psutil.Error):
        return str(psutil.Process(pid).name())
    return ""
