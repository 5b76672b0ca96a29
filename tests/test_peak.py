"""Peak memory: each figure has a field of its own and names its source."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest
import torch

from sut import peak

MIB = 2**20
ROOT = Path(__file__).resolve().parent.parent


IN_A_FRESH_PROCESS = """
import json, dataclasses, torch
from sut import peak
before = peak.reset()
held = torch.ones(60 * 2**20 // 4)
use = peak.memory_use(before, on_gpu=False, weights_bytes=held.nbytes, kv_cache_bytes=None)
print(json.dumps(dataclasses.asdict(use)))
"""


def test_on_a_cpu_the_peak_is_counted_above_what_was_there_before_loading():
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    use = json.loads(done.stdout)
    assert 60 * MIB <= use["peak_bytes"] < 100 * MIB
    assert use["rss_peak_bytes"] > use["peak_bytes"]
    assert use["gpu_peak_bytes"] is use["gpu_reserved_bytes"] is use["gpu_process_bytes"] is None
    assert "VmHWM" in use["source"]


@pytest.fixture
def two_gpus(monkeypatch):
    """Allocator and driver as a machine with two GPUs would answer: (allocated, reserved) and
    booked MiB of each.
    """
    allocator, booked = [(100, 120), (7, 20)], [400, 300]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda i: allocator[i][0] * MIB)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda i: allocator[i][1] * MIB)
    others = SimpleNamespace(pid=os.getpid() + 1, usedGpuMemory=9_000 * MIB)
    own = [SimpleNamespace(pid=os.getpid(), usedGpuMemory=mib * MIB) for mib in booked]
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda i: i)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", lambda i: [others, own[i]])
    return own


def test_on_gpus_allocator_and_driver_are_told_apart(two_gpus):
    use = peak.memory_use(0, on_gpu=True, weights_bytes=5, kv_cache_bytes=3)
    assert use.peak_bytes == use.gpu_peak_bytes == 107 * MIB
    assert use.gpu_reserved_bytes == 140 * MIB
    assert use.gpu_process_bytes == 700 * MIB
    assert (use.weights_bytes, use.kv_cache_bytes) == (5, 3)


def test_a_driver_that_does_not_tell_leaves_a_gap(two_gpus):
    two_gpus[1].usedGpuMemory = None
    assert peak.memory_use(0, True, 5, 3).gpu_process_bytes is None
