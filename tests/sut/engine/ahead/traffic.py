"""What goes between host and device, counted: a model on torch's `meta` device computes nothing and
has nothing to read, so whatever reads it raises.
"""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Traffic(TorchDispatchMode):
    """Counts `operations`, what is `sent` to the device, and what is `read` from it."""

    def __init__(self):
        super().__init__()
        self.operations = self.sent = self.read = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operations += 1
        if func is torch.ops.aten._local_scalar_dense.default:
            self.read += 1
        result = func(*args, **(kwargs or {}))
        came, went = _devices(args), _devices(result)
        name = func.__name__
        if name.startswith(("copy_", "_to_copy", "to.")):
            self.sent += "cpu" in came and went == {"meta"}
            self.read += "meta" in came and went == {"cpu"}
        elif name.startswith("detach_"):  # all that torch shows of `torch.tensor(..., device=)`
            self.sent += went == {"meta"}
        return result


def _devices(of):
    return {leaf.device.type for leaf in tree_leaves(of) if isinstance(leaf, torch.Tensor)}
