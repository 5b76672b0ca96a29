"""How much memory did it take at most? Every figure with its source.

CPU     peak resident set of this process above what it held before loading (the libraries are not
        the model's weight)
GPU     torch's allocator: allocated and reserved at most; NVML: what the driver books on this
        process
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.types import MemoryUse


def reset() -> int:
    """Start counting anew; return the resident bytes before loading."""
    import torch

    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(
            "5"
        )  # forgets the peak of earlier loads in this process
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    return _resident_bytes()


def free_bytes(device: Any) -> int:
    """What another cache could take, on the model's device."""
    import psutil
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def reached_bytes() -> int:
    """The peak so far, of the GPU if one is in use."""
    import torch

    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return int(torch.cuda.max_memory_allocated())
    return _peak_resident_bytes()


def memory_use(
    baseline_bytes: int, on_gpu: bool, weights_bytes: int, kv_cache_bytes: int | None
) -> MemoryUse:
    peak_bytes = _peak_resident_bytes()
    use = MemoryUse(
        weights_bytes=weights_bytes,
        kv_cache_bytes=kv_cache_bytes,
        peak_bytes=max(0, peak_bytes - baseline_bytes),
        rss_peak_bytes=peak_bytes,
        source=(
            "weights: tensor storages; KV cache: allocated; peak: resident set of the SUT process"
            f" above the {_mib(baseline_bytes)} before loading (VmHWM)"
        ),
    )
    if not on_gpu:
        return use
    import torch

    allocated = sum(torch.cuda.max_memory_allocated(i) for i in range(torch.cuda.device_count()))
    reserved = sum(torch.cuda.max_memory_reserved(i) for i in range(torch.cuda.device_count()))
    return replace(
        use,
        peak_bytes=allocated,
        gpu_peak_bytes=allocated,
        gpu_reserved_bytes=reserved,
        gpu_process_bytes=_nvml_bytes(),
        source=(
            "weights: tensor storages; KV cache: allocated; GPU peak: CUDA allocator, allocated and"
            " reserved; GPU process: NVML, after the run"
        ),
    )


def _peak_resident_bytes() -> int:
    """Linux's `ru_maxrss` survives exec and would tell of the parent."""
    return _status_bytes("VmHWM") or _peak_elsewhere()


def _peak_elsewhere() -> int:
    """macOS tells by getrusage, in bytes, Windows by its memory counters."""
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
    """What the driver books on this process, over all GPUs; None where it does not tell."""
    import pynvml

    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        own = [
            p
            for h in handles
            for p in pynvml.nvmlDeviceGetComputeRunningProcesses(h)
            if p.pid == os.getpid()
        ]
        return (
            sum(p.usedGpuMemory for p in own)
            if own and all(p.usedGpuMemory is not None for p in own)
            else None
        )
    except pynvml.NVMLError:
        return None


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
