"""Does the device go on with its work while the host goes on with its own? A GPU does. Then nobody
should wait for the other, and what suits a CPU's caches is too little at once.
"""

from __future__ import annotations

from typing import TypeVar

import torch

T = TypeVar("T")


def is_gpu(device: torch.device) -> bool:
    return device.type == "cuda"


def per_device(device: torch.device, cpu: T, gpu: T) -> T:
    """Return what suits the device: `cpu` for all that are no GPU."""
    return gpu if is_gpu(device) else cpu
