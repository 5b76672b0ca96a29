"""A capture for tests: the aten operations of one pass, with the tensors and the Python numbers of
that moment, done again in order. What a CUDA graph would get wrong, this gets wrong as well, and
what a graph refuses (to wait for a number), this refuses.
"""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

REFUSAL = "operation not permitted when stream is capturing"


class Recorded:
    """`refuses` raises for the captures with these numbers, the first is 0."""

    num_bytes = 4096

    def __init__(self, refuses=()):
        self.replays = self.captures = 0
        self._refuses = set(refuses)

    def __call__(self, computation):
        number, self.captures = self.captures, self.captures + 1
        if number in self._refuses or "all" in self._refuses:
            raise RuntimeError(f"{REFUSAL}\nand more of it")
        computation()  # a warm-up
        with Recorder() as recorder:
            computation()

        def replay():
            self.replays += 1
            recorder.replay()

        return replay


class Recorder(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self._done = []  # (operation, arguments, its tensors)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if "_local_scalar_dense" in str(operation):
            raise RuntimeError(REFUSAL)
        result = operation(*args, **(kwargs or {}))
        self._done.append((operation, (args, kwargs or {}), tensors_of(result)))
        return result

    @torch.inference_mode()
    def replay(self):
        new = {}  # by what stood there when it was recorded
        for operation, arguments, then in self._done:
            args, kwargs = tree_map_only(
                torch.Tensor, lambda tensor: new.get(id(tensor), tensor), arguments
            )
            now = tensors_of(operation(*args, **kwargs))
            new.update((id(old), one) for old, one in zip(then, now, strict=True))


def tensors_of(result):
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
