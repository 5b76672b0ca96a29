"""CUDA's capture, told to a double of torch.cuda: what the driver is asked for, in what order."""

from __future__ import annotations

import gc
from contextlib import contextmanager

import pytest
import torch

from sut.engine.graphs.capture import CudaCapture

POOL = (0, 7)


class Stream:
    def __init__(self, name, asked):
        self._name, self._asked = name, asked

    def wait_stream(self, other):
        self._asked.append(f"{self._name} waits for {other._name}")


class Event:
    def __init__(self, enable_timing):
        assert enable_timing

    def record(self, stream):
        pass

    def synchronize(self):
        pass

    def elapsed_time(self, end):
        return 30.0  # ms


@pytest.fixture
def asked(monkeypatch):
    """What the double of torch.cuda was asked for."""
    asked = []
    present = Stream("present", asked)

    class CUDAGraph:
        def replay(self):
            asked.append("replay")

    @contextmanager
    def graph(graph, pool, stream, capture_error_mode):
        assert (pool, capture_error_mode, gc.isenabled()) == (POOL, "thread_local", False)
        asked.append("capture begins")
        yield
        asked.append("capture ends")

    @contextmanager
    def entered(_):
        yield

    segments = [
        {"segment_pool_id": POOL, "total_size": 30},
        {"segment_pool_id": (0, 0), "total_size": 900},
        {"segment_pool_id": POOL, "total_size": 12},
    ]
    double = {
        "Stream": lambda device: Stream("side", asked),
        "graph_pool_handle": lambda: POOL,
        "current_stream": lambda device: present,
        "stream": entered,
        "device": entered,
        "CUDAGraph": CUDAGraph,
        "graph": graph,
        "Event": Event,
        "memory_snapshot": lambda: segments,
    }
    for name, one in double.items():
        monkeypatch.setattr(torch.cuda, name, one)
    return asked


def test_a_computation_is_warmed_up_beside_and_then_captured(asked):
    replay = CudaCapture(torch.device("cuda", 0))(lambda: asked.append("computed"))
    replay()
    assert asked == [
        "side waits for present", "computed", "computed", "present waits for side",
        "capture begins", "computed", "capture ends", "replay",
    ]  # fmt: skip
    assert gc.isenabled()


def test_its_memory_is_that_of_its_own_pool_and_its_time_that_of_one_replay(asked):
    capture = CudaCapture(torch.device("cuda", 0))
    assert capture.num_bytes == 42
    assert capture.seconds(lambda: asked.append("replay"), times=10) == pytest.approx(0.003)
    assert asked.count("replay") == 11


def test_collection_goes_on_after_a_capture_that_fails(asked):
    calls = []

    def fails():
        calls.append(0)
        if len(calls) == 3:
            raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError):
        CudaCapture(torch.device("cuda", 0))(fails)
    assert gc.isenabled()
