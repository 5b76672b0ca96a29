"""A CPU that is treated as a GPU: what a walk over texts does there, without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITS = (  # operations whose result the host must know
    "aten::_local_scalar_dense",
    "aten::equal",
    "aten::is_nonzero",
    "aten::item",
    "aten::masked_select",
    "aten::nonzero",
    "aten::unique_dim",
)


class Overlap:
    """What happened, in order: "sent" for each transfer to the host, "waited" for each wait."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.to_device = 0

    def sent(self, data: torch.Tensor) -> tuple[torch.Tensor, Callable[[], object]]:
        """Move nothing until somebody waits: reading too early gives nonsense."""
        self.events.append("sent")
        host = torch.full_like(data, 0xA5)

        def wait() -> None:
            self.events.append("waited")
            host.copy_(data)

        return host, wait

    def pinned(self, tensor: torch.Tensor) -> torch.Tensor:
        self.to_device += 1
        return tensor


def pretend_gpu(patch: pytest.MonkeyPatch) -> Overlap:
    """Let the CPU pass for a GPU wherever texts are scored."""
    from sut.likelihood import scoring
    from sut.likelihood.forward import budget, device, transfer

    overlap = Overlap()
    for module in (device, transfer, budget, scoring):
        patch.setattr(module, "is_gpu", lambda _: True)
    patch.setattr(transfer, "_sent", overlap.sent)
    patch.setattr(transfer, "_pinned", overlap.pinned)
    patch.setattr(budget, "_free_bytes", lambda _: 2**30)
    patch.setattr(budget, "_on_the_gpu", lambda device, work: 1.0)
    return overlap


class Counting(TorchDispatchMode):
    """Counts operations that make the host wait for the device, where `is_on`."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.is_on = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().partition(".")[0]
        if self.is_on and name in WAITS:
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def left_out(counting: Counting, model: Any) -> Iterator[None]:
    """Count nothing inside the model's own forward pass."""

    def turn(is_on: bool) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            counting.is_on = is_on

        return hook

    hooks = [
        model.register_forward_pre_hook(turn(False)),
        model.register_forward_hook(turn(True)),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
