"""Which GPUs does a server on this machine use? Those on which the driver books its processes."""

from __future__ import annotations

from harness.engine.server_view.processes import Family, listening
from harness.kernel.answers import Scrape
from harness.kernel.machine.nvml import Nvml

_PROCESSES = "nvmlDeviceGetComputeRunningProcesses"


def used_by(server: Scrape) -> list[int]:
    """Return their indices, as nvidia-smi numbers them: none where the server is on another
    machine, uses none, or its processes are not told.
    """
    pids = family_of(server)
    return _with(pids) if pids else []


def family_of(server: Scrape) -> set[int]:
    """Return the processes of a server on this machine: those that listen and their children."""
    return Family(listening(server.host, server.port)).pids()


def _with(pids: set[int]) -> list[int]:
    nvml = Nvml()
    found = []
    for index, handle in enumerate(nvml.gpus()):
        booked = nvml.read(lambda rows: {row.pid for row in rows}, _PROCESSES, handle.value)
        if not handle.refusal and pids & (booked.value or set()):
            found.append(index)
    nvml.close()
    return found
