"""How many bytes per second does the device read and write? A copy from one buffer to another,
both larger than its caches: the fastest of the copies that fit a fraction of a second.

A copy reads every byte and writes it again, and both count. Where the device has no room for the
buffers, nothing is known, and no figure is made from it.
"""

from __future__ import annotations

from typing import Any

from harness.kernel.protocols import Clock
from sut.model import faults, peak

BUDGET_NS = 150_000_000  # of copies; making the buffers comes on top
_BUFFER_BYTES = {"cpu": 128 * 2**20, "cuda": 512 * 2**20}
_SHARE_OF_FREE = 8  # two buffers take a quarter of what is free, at most
_LEAST_BYTES = 32 * 2**20  # smaller buffers lie in caches
_WARM_UP, _LEAST_TRIES = 2, 3


def copy_bytes_per_s(clock: Clock, device: Any, budget_ns: int = BUDGET_NS) -> float | None:
    """Return what `device` (torch.device) reads and writes together, in bytes per second; None
    where it has no room, or the clock does not move.
    """
    import torch

    size = _buffer_bytes(device)
    if size < _LEAST_BYTES:
        return None
    try:
        source = torch.zeros(size, dtype=torch.uint8, device=device)
        target = torch.zeros_like(source)  # its pages are touched before anything is timed
    except (RuntimeError, MemoryError) as error:
        if not faults.is_out_of_memory(error):
            raise
        return None
    fastest_ns = _fastest_copy_ns(clock, source, target, budget_ns)
    del source, target
    peak.give_back()
    return 2 * size / (fastest_ns / 1e9) if fastest_ns else None


def _buffer_bytes(device: Any) -> int:
    wanted = _BUFFER_BYTES.get(device.type, 0)
    return min(wanted, peak.free_bytes(device) // _SHARE_OF_FREE) if wanted else 0


def _fastest_copy_ns(clock: Clock, source: Any, target: Any, budget_ns: int) -> int:
    """Copy until the budget is spent, a few times at least; 0 where the clock stands still."""
    for _ in range(_WARM_UP):
        target.copy_(source)
    _finish(source.device)
    times_ns: list[int] = []
    until_ns = clock.now_ns() + budget_ns
    while len(times_ns) < _LEAST_TRIES or (min(times_ns) and clock.now_ns() < until_ns):
        before_ns = clock.now_ns()
        target.copy_(source)
        _finish(source.device)
        times_ns.append(clock.now_ns() - before_ns)
    return min(times_ns)


def _finish(device: Any) -> None:
    """Wait for the device, so that a copy is timed to its end."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
