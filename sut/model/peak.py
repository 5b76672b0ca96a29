"""How much memory did it take at most, and while it did what? Every figure with its source.

CPU     peak resident set of this process (VmHWM), libraries included; `peak_bytes` is what of it
        lies above what the process held before loading (the libraries are not the model's weight)
GPU     torch's allocator: allocated and reserved at most, all GPUs together; NVML: what the driver
        books on this process

A peak covers a phase: loading (reading, converting and packing the weights), serving (warm-up and
run), evaluation (scoring the reference answers). The counters start anew with each, so a phase that
frees what it took does not show in the next one's peak. Where they cannot be reset (not on Linux),
a peak covers the earlier phases too, and `source` says so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.kernel.machine.memory import available_bytes, shares
from harness.kernel.machine.nvml import Nvml, whole
from harness.kernel.types import MemoryUse

Phase = Literal["loading", "serving", "evaluation"]


class Peak(NamedTuple):
    """The most that this process held: resident, and on all GPUs together."""

    resident_bytes: int
    allocated_bytes: int
    reserved_bytes: int


class Phases:
    """The peak of each phase that has begun. `begin` ends the one before."""

    def __init__(self) -> None:
        self._ended: dict[Phase, Peak] = {}
        self._now: Phase | None = None
        self.baseline_bytes = 0  # resident when the first phase began
        self.separate = True  # whether the counters could be reset between phases

    def begin(self, phase: Phase) -> None:
        """Begin a phase; one that is there already goes on."""
        if phase == self._now:
            return
        self._ended = self.peaks()
        resident_bytes = reset()
        if self._now is None:
            self.baseline_bytes = resident_bytes
        self.separate = _peak_resident_bytes() <= resident_bytes + _SLACK_BYTES
        self._now = phase

    def peaks(self) -> dict[Phase, Peak]:
        """Return the peaks by phase, up to now."""
        found = dict(self._ended)
        if self._now is not None:
            before = found.get(self._now, Peak(0, 0, 0))
            found[self._now] = Peak(*map(max, before, _read()))
        return found


_SLACK_BYTES = 32 * 2**20  # what a process may take between two readings of its own


def reset() -> int:
    """Start counting anew; return the resident bytes at this moment."""
    import torch

    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak up to now
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        for i in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(i)
    return _resident_bytes()


def _read() -> Peak:
    import torch

    allocated = reserved = 0
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        gpus = range(torch.cuda.device_count())
        allocated = sum(torch.cuda.max_memory_allocated(i) for i in gpus)
        reserved = sum(torch.cuda.max_memory_reserved(i) for i in gpus)
    return Peak(_peak_resident_bytes(), allocated, reserved)


def free_bytes(device: Any) -> int:
    """Return what another cache could take, on the model's device: of the machine's memory this
    process's share.
    """
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return available_bytes() // shares()


def give_back() -> None:
    """Return to the driver what torch holds on GPUs without using it: others find it free, and the
    reserved memory that is reported is what is needed.
    """
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def reached_bytes() -> int:
    """Return the peak of the present phase, of the GPUs if they are in use."""
    now = _read()
    return now.allocated_bytes or now.resident_bytes


def memory_use(
    phases: Phases, on_gpu: bool, weights_bytes: int, kv_cache_bytes: int | None
) -> MemoryUse:
    """Return what was used. `rss_peak_bytes`, `gpu_peak_bytes` and `peak_bytes` cover loading and
    serving.
    """
    peaks = phases.peaks()
    both = [peak for phase, peak in peaks.items() if phase != "evaluation"]
    most = Peak(*map(max, *both)) if len(both) > 1 else both[0]
    baseline = phases.baseline_bytes
    use = MemoryUse(
        weights_bytes=weights_bytes,
        kv_cache_bytes=kv_cache_bytes,
        peak_bytes=max(0, most.resident_bytes - baseline),
        rss_peak_bytes=most.resident_bytes,
        source="weights: tensor storages; KV cache: allocated; peaks: resident set of the SUT"
        f" process (VmHWM), {_mib(baseline)} of it before loading{_together(phases)}",
        **_by_phase(peaks, on_gpu),
    )
    if not on_gpu:
        return use
    return replace(
        use,
        peak_bytes=most.allocated_bytes,
        gpu_peak_bytes=most.allocated_bytes,
        gpu_reserved_bytes=most.reserved_bytes,
        gpu_process_bytes=_nvml_bytes(),
        source="weights: tensor storages; KV cache: allocated; GPU peaks: CUDA allocator, allocated"
        " and reserved; GPU process: NVML, after the run",
    )


def with_graphs(use: MemoryUse, graph_bytes: int) -> MemoryUse:
    """Return the use with what captured graphs hold. The allocator counts their pool as reserved,
    but not as allocated, so the peaks of what is allocated grow by it.
    """
    more = dict.fromkeys(("peak_bytes", "gpu_peak_bytes", "serving_peak_bytes"), graph_bytes)
    if use.gpu_peak_bytes is None:
        return replace(use, graph_bytes=graph_bytes)
    grown: Any = {name: getattr(use, name) + size for name, size in more.items()}
    return replace(use, graph_bytes=graph_bytes, **grown)


def _by_phase(peaks: Mapping[Phase, Peak], on_gpu: bool) -> dict[str, int]:
    """Return `loading_peak_bytes` and so on: of the GPUs, else of the process."""
    bytes_of = attrgetter("allocated_bytes" if on_gpu else "resident_bytes")
    return {f"{phase}_peak_bytes": bytes_of(peak) for phase, peak in peaks.items()}


def _together(phases: Phases) -> str:
    return "" if phases.separate else "; each peak covers what came before it too"


def _peak_resident_bytes() -> int:
    """Return the process's peak. Linux's `ru_maxrss` survives exec and would tell of the parent."""
    return _status_bytes("VmHWM") or _peak_elsewhere()


def _peak_elsewhere() -> int:
    """Return the peak off Linux: macOS tells by getrusage, in bytes, Windows by its memory
    counters.
    """
    try:
        import resource
    except ImportError:
        import psutil

        memory = psutil.Process().memory_info()
        return int(getattr(memory, "peak_wset", memory.rss))
    in_bytes = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * in_bytes


def _resident_bytes() -> int:
    return _status_bytes("VmRSS") or _peak_resident_bytes()


def _status_bytes(field: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)


def _nvml_bytes() -> int | None:
    """Return what the driver books on this process, over all GPUs; None where it does not tell."""
    nvml = Nvml()
    handles = [handle.value for handle in nvml.gpus() if not handle.refusal]
    tables = [nvml.read(_own_bytes, _PROCESSES, handle) for handle in handles]
    nvml.close()
    if any(table.refusal for table in tables):
        return None
    own = [size for table in tables for size in table.value]
    return sum(own) if own else None


def _own_bytes(processes: Any) -> list[int]:
    """Raise ValueError or TypeError where a size is not told."""
    return [whole(row.usedGpuMemory) for row in processes if row.pid == os.getpid()]


_PROCESSES = "nvmlDeviceGetComputeRunningProcesses"


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
