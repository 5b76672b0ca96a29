"""How is a computation recorded, so that one call launches all its kernels again?

A capture is any object with the interface below: CUDA graphs on a GPU, and in tests a recorder of
aten operations, which like a graph keeps the tensors' addresses and every Python number of the
moment it recorded. What the computation reads and writes lies in tensors that stay where they are.

All graphs of one capture share a pool of memory: they run one after the other, and what one leaves
there nobody reads after the next has run. Reference: "CUDA semantics", part CUDA Graphs, of torch.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import torch

_WARM_UPS = 2  # libraries make their handles and choose their kernels in the first passes


class Capture(Protocol):
    """Records computations, and knows what the records take."""

    @property
    def num_bytes(self) -> int:
        """Return what the memory of all records takes, beside the tensors they read and write."""
        ...

    def __call__(self, computation: Callable[[], None]) -> Callable[[], None]:
        """Compute once at least; return a function that computes it again. Raises RuntimeError
        for what cannot be recorded: a wait for the device, a copy to the host.
        """
        ...

    def seconds(self, replay: Callable[[], None], times: int) -> float:
        """Return what one replay takes on the device, of so many in a row."""
        ...


NewCapture = Callable[[], Capture]  # one for each runner: its graphs share what nobody else has


class CudaCapture:
    """CUDA graphs on one device, with one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    @property
    def num_bytes(self) -> int:
        segments = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
        own = [one for one in segments if tuple(one["segment_pool_id"]) == tuple(self._pool)]
        return sum(one["total_size"] for one in own)

    def __call__(self, computation: Callable[[], None]) -> Callable[[], None]:
        with torch.cuda.device(self._device):
            self._warm_up(computation)
            graph = torch.cuda.CUDAGraph()
            with (
                _no_collection(),
                torch.cuda.graph(
                    graph,
                    pool=self._pool,
                    stream=self._stream,
                    capture_error_mode="thread_local",
                ),
            ):
                computation()
        replay: Callable[[], None] = graph.replay
        return replay

    def seconds(self, replay: Callable[[], None], times: int) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        replay()
        begin.record(torch.cuda.current_stream(self._device))
        for _ in range(times):
            replay()
        end.record(torch.cuda.current_stream(self._device))
        end.synchronize()
        milliseconds: float = begin.elapsed_time(end)
        return milliseconds / 1e3 / times

    def _warm_up(self, computation: Callable[[], None]) -> None:
        """Compute on the stream of the capture, after what the present one has been given."""
        present = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(present)
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                computation()
        present.wait_stream(self._stream)


def of_model(model: Any) -> NewCapture | None:
    """Return what makes captures for a model that lies whole on one CUDA device; None for any
    other. A model that accelerate spreads over devices moves tensors at each step, which no graph
    records.
    """
    tensors = [*model.parameters(), *model.buffers()]
    devices = {tensor.device for tensor in tensors}
    moved = any(hasattr(module, "_hf_hook") for module in model.modules())
    if len(devices) != 1 or moved:
        return None
    device = devices.pop()
    return partial(CudaCapture, device) if device.type == "cuda" else None


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from freeing older graphs amid a capture, which would break it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
