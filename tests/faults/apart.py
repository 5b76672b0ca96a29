"""A SUT made of arithmetic that has a process of its own, to be killed and stopped."""

from __future__ import annotations

from sut.simulated import Simulated


class Apart(Simulated):
    """The simulated SUT, on the other side of the border."""

    isolated = True
    uses_dataset = False
    uses_gpu = False
    evidence = frozenset(("ids", "counts"))
