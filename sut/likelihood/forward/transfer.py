"""How do tensors move between the host and a GPU while both go on with their work?

To the device, a copy goes through pinned memory, and nobody waits for it. To the host, all columns
of a batch go as one block of bytes, also into pinned memory; an event says when they are there.
Elsewhere than on a GPU nothing is packed: the tensors are what they are.

A block holds the tensors one after the other, those of wide types first, so that each begins where
its type may begin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sut.likelihood.forward.device import is_gpu

Arrays = dict[str, NDArray[Any]]


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move a tensor of the host; later work on the device finds it there."""
    if not is_gpu(device):
        return tensor.to(device)
    return _pinned(tensor).to(device, non_blocking=True)


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.pin_memory()


class Block(NamedTuple):
    """Tensors as bytes, and what they are: (name, type, shape) in order."""

    data: torch.Tensor  # (bytes,) uint8
    layout: list[tuple[str, torch.dtype, torch.Size]]


def packed(tensors: Mapping[str, torch.Tensor]) -> Block:
    """Return the tensors as one block, on their device."""
    ordered = sorted(tensors.items(), key=lambda item: -item[1].element_size())
    data = torch.cat([_bytes(tensor) for _, tensor in ordered])
    return Block(data, [(name, one.dtype, one.shape) for name, one in ordered])


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    values = tensor.contiguous()
    # one value, or none, is contiguous with any stride; bytes need 1
    return values.as_strided((values.numel(),), (1,)).view(torch.uint8)


def unpacked(block: Block) -> Arrays:
    """Return the tensors of a block of the host."""
    found, start = {}, 0
    for name, dtype, shape in block.layout:
        end = start + shape.numel() * dtype.itemsize
        found[name] = block.data[start:end].view(dtype).view(shape).numpy()
        start = end
    return found


class Arriving:
    """Tensors on their way to the host: `arrays` waits until they are there."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], device: torch.device) -> None:
        self._tensors = tensors
        self._wait: Callable[[], object] | None = None
        if is_gpu(device):
            block = packed(tensors)
            data, self._wait = _sent(block.data)
            self._tensors, self._block = {}, Block(data, block.layout)

    def arrays(self) -> Arrays:
        if self._wait is None:
            return {name: tensor.cpu().numpy() for name, tensor in self._tensors.items()}
        self._wait()
        return unpacked(self._block)


def _sent(data: torch.Tensor) -> tuple[torch.Tensor, Callable[[], object]]:
    """Return where the bytes will be on the host, and what waits for them."""
    host = torch.empty(data.shape, dtype=data.dtype, pin_memory=True)
    host.copy_(data, non_blocking=True)
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record(torch.cuda.current_stream(data.device))
    return host, arrived.synchronize


def from_array(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Move an array; torch indexes with signed integers only."""
    signed = array.astype(np.int64) if array.dtype.kind == "u" else array
    return to_device(torch.from_numpy(np.ascontiguousarray(signed)), device)
