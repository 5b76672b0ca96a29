"""Peak memory: each figure has a field of its own and names its source."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pynvml
import pytest
import torch

from sut.model import peak
from tests import ROOT

MIB = 2**20


IN_A_FRESH_PROCESS = """
import json, dataclasses, torch
from sut.model import peak
phases = peak.Phases()
phases.begin("loading")
held = torch.ones(60 * 2**20 // 4)
use = peak.memory_use(phases, on_gpu=False, weights_bytes=held.nbytes, kv_cache_bytes=None)
print(json.dumps(dataclasses.asdict(use)))
"""
IN_PHASES = """
import json, dataclasses, torch
from sut.model import peak
phases, uses = peak.Phases(), []
for phase, mib in (("loading", 300), ("serving", 40), ("evaluation", 200), ("serving", 90)):
    phases.begin(phase)
    phases.begin(phase)
    passing = torch.ones(mib * 2**20 // 4)
    del passing
    uses.append(peak.memory_use(phases, on_gpu=False, weights_bytes=0, kv_cache_bytes=None))
print(json.dumps([phases.baseline_bytes, *map(dataclasses.asdict, uses)]))
"""


def told(code):
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux resets its peak")
def test_each_phase_has_a_peak_of_its_own():
    """What loading took and gave back is not what serving takes, nor the evaluation."""
    baseline, loaded, served, evaluated, again = told(IN_PHASES)
    above = {
        phase: (again[f"{phase}_peak_bytes"] - baseline) / MIB
        for phase in ("loading", "serving", "evaluation")
    }
    assert 300 <= above["loading"] < 340
    assert 90 <= above["serving"] < 130
    assert 200 <= above["evaluation"] < 240
    assert loaded["serving_peak_bytes"] is served["evaluation_peak_bytes"] is None
    assert served["serving_peak_bytes"] < again["serving_peak_bytes"]
    for use in (loaded, served, evaluated, again):  # loading and serving, never the evaluation
        assert use["rss_peak_bytes"] == again["loading_peak_bytes"]
    assert "each peak covers" not in again["source"]


def test_a_machine_that_cannot_reset_its_peaks_says_so(monkeypatch):
    resident = iter((100 * MIB, 110 * MIB, 120 * MIB))
    monkeypatch.setattr(peak, "reset", lambda: next(resident))
    monkeypatch.setattr(peak, "_peak_resident_bytes", lambda: 900 * MIB)
    phases = peak.Phases()
    phases.begin("loading")
    phases.begin("serving")
    use = peak.memory_use(phases, on_gpu=False, weights_bytes=0, kv_cache_bytes=None)
    assert use.serving_peak_bytes == use.loading_peak_bytes == 900 * MIB
    assert "each peak covers what came before it too" in use.source


def test_on_a_cpu_the_peak_is_counted_above_what_was_there_before_loading():
    use = told(IN_A_FRESH_PROCESS)
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
    return SimpleNamespace(own=own, reset=[])


@pytest.fixture
def served(two_gpus, monkeypatch):
    """A model that was loaded and served on two GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", two_gpus.reset.append)
    phases = peak.Phases()
    phases.begin("loading")
    phases.begin("serving")
    return phases


def test_on_gpus_allocator_and_driver_are_told_apart(served):
    use = peak.memory_use(served, on_gpu=True, weights_bytes=5, kv_cache_bytes=3)
    assert use.peak_bytes == use.gpu_peak_bytes == 107 * MIB
    assert use.gpu_reserved_bytes == 140 * MIB
    assert use.gpu_process_bytes == 700 * MIB
    assert (use.weights_bytes, use.kv_cache_bytes) == (5, 3)


def test_the_peaks_of_all_gpus_count_and_start_anew(served, two_gpus):
    use = peak.memory_use(served, on_gpu=True, weights_bytes=5, kv_cache_bytes=3)
    assert use.serving_peak_bytes == use.loading_peak_bytes == 107 * MIB
    assert peak.reached_bytes() == 107 * MIB
    assert two_gpus.reset == [0, 1, 0, 1]


def test_a_driver_that_does_not_tell_leaves_a_gap(served, two_gpus):
    two_gpus.own[1].usedGpuMemory = None
    assert peak.memory_use(served, True, 5, 3).gpu_process_bytes is None
