"""A capture for tests: the aten operations of one pass, with the tensors and the Python numbers of
that moment, played again in order. What a CUDA graph would get wrong, this gets wrong as well.
"""

from __future__ import annotations

from torch.fx.experimental.proxy_tensor import make_fx


class Recorded:
    """`refuses` raises for the captures with these numbers, the first is 0."""

    def __init__(self, refuses=()):
        self.replays = self.captures = 0
        self._refuses = set(refuses)

    num_bytes = 4096

    def __call__(self, computation):
        number, self.captures = self.captures, self.captures + 1
        if number in self._refuses or "all" in self._refuses:
            raise RuntimeError("operation not permitted when stream is capturing\nmore of it")
        computation()  # a warm-up
        graph = make_fx(computation_of(computation))()

        def replay():
            self.replays += 1
            graph()

        return replay


def computation_of(computation):
    """Return the computation with a result: make_fx wants one."""

    def computed():
        computation()
        return ()

    return computed
