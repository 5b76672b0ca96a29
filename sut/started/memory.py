"""What does a server weigh? All processes that were started for it, together.

CPU     the peak resident set of each process (VmHWM), added: what several share counts in each, and
        a process that has ended no longer counts
GPU     what the driver books on these processes (NVML). Servers take most of a GPU at once, for
        their cache: it says what the deployment takes, not what the model needs
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from harness.kernel.machine.nvml import Nvml, whole
from harness.kernel.types import MemoryUse
from sut.started import family

_KIB = 1024
_PROCESSES = "nvmlDeviceGetComputeRunningProcesses"


def of(keeper: int) -> MemoryUse:
    """Return what the processes weigh that a keeper has started."""
    members = family.started_by(keeper)
    peak, on_gpus = sum(map(_peak_bytes, members)), _gpu_bytes({each.pid for each in members})
    source = "the server's processes: peaks are their resident sets (VmHWM), added"
    if on_gpus:
        source += "; GPU process: NVML, after the run"
    return MemoryUse(
        peak_bytes=on_gpus or peak or None,
        rss_peak_bytes=peak or None,
        gpu_process_bytes=on_gpus,
        source=source,
    )


def _peak_bytes(process: psutil.Process) -> int:
    """Return the most that was resident; what is resident now where the system keeps no peak."""
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIB
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _gpu_bytes(pids: set[int]) -> int | None:
    """Return what the driver books on these processes, over all GPUs; None where it does not
    tell.
    """

    def of_these(running: Any) -> int:
        return sum(whole(row.usedGpuMemory) for row in running if row.pid in pids)

    nvml = Nvml()
    handles = [handle.value for handle in nvml.gpus() if not handle.refusal]
    sizes = [nvml.read(of_these, _PROCESSES, handle).value for handle in handles]
    nvml.close()
    return sum(filter(None, sizes)) or None
