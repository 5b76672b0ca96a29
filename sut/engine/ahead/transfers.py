"""How does a value reach the device, or leave it, without anybody waiting? From pinned memory,
which the device reads and writes by itself, and in the order in which it was launched.

A copy from or to memory that is not pinned makes the host wait until everything launched before it
is done. Pinned memory comes from torch's pool, which hands a block out again only when the copies
that use it are done. On a CPU both are plain copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def sent(values: Sequence[Any], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return numbers, or rows of them, as a tensor on the device."""
    here = torch.tensor(values, dtype=dtype)
    if device.type != "cuda":
        return here.to(device)
    return here.pin_memory().to(device, non_blocking=True)


class Coming:
    """Tensors on their way to the host. They may be overwritten on the device: these are copies."""

    def __init__(self, *tensors: torch.Tensor) -> None:
        self._event: Any = None
        if tensors[0].device.type == "cuda":
            self._here = tuple(_landing(tensor) for tensor in tensors)
            for place, tensor in zip(self._here, tensors, strict=True):
                place.copy_(tensor.contiguous(), non_blocking=True)
            stream = torch.cuda.current_stream(tensors[0].device)  # of several devices, theirs
            self._event = stream.record_event()
        else:
            self._here = tuple(tensor.clone() for tensor in tensors)

    def is_here(self) -> bool:
        return self._event is None or bool(self._event.query())

    def wait(self) -> tuple[torch.Tensor, ...]:
        """Wait until they are here."""
        if self._event is not None:
            self._event.synchronize()
        return self._here


def _landing(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
