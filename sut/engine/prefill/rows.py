"""How many requests share a batch? As many as were asked for; where nobody said, 32 on a CPU and up
to 256 on a GPU: a decode step reads the weights once for all of them. Never more than the cache has
memory for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sut.engine.serving import Way
from sut.model import faults, peak

ON_CPU, ON_GPU = 32, 256
_CACHE_SHARE = {"cuda": 3 / 4}  # of the free memory; the rest is for what a step computes
_CACHE_SHARE_ELSE = 1 / 2


class Rows(NamedTuple):
    """A runner, and what there is to tell of its rows."""

    runner: Any
    note: str = ""


def made(
    way: Way, asked: int | None, max_len: int, device: Any, cache_bytes: int | None = None
) -> Rows:
    """Return a runner of `way` with rows of `max_len` tokens. The cache takes `cache_bytes` at
    most, else its share of what is free.
    """
    wanted = asked or (ON_GPU if device.type == "cuda" else ON_CPU)
    if way.token_bytes is None:
        return Rows(way.runner(asked or ON_CPU, max_len))
    if cache_bytes is None:
        share = _CACHE_SHARE.get(device.type, _CACHE_SHARE_ELSE)
        cache_bytes = int(share * peak.free_bytes(device))
    rows = max(1, min(wanted, cache_bytes // (way.token_bytes * max_len)))
    note = ""
    if rows < wanted:
        note = (
            f"{rows} requests in a batch instead of {wanted}: the key-value cache may take"
            f" {cache_bytes / 2**30:.3g} GiB (--kv-cache-gib)"
        )
    if device.type == "cpu" or asked:
        return Rows(way.runner(rows, max_len), note)
    return _that_fit(way, rows, max_len, note)


def _that_fit(way: Way, rows: int, max_len: int, note: str) -> Rows:
    """Make the cache now, of half as many rows whenever there is no room for it."""
    while True:
        runner = way.runner(rows, max_len)
        try:
            runner.prefill(0, [[0]], 0)
            return Rows(runner, note)
        except (RuntimeError, MemoryError) as error:
            if rows == 1 or not faults.is_out_of_memory(error):
                raise
        del runner
        peak.give_back()
        rows //= 2
        note = f"{rows} requests in a batch: the cache of more of them did not fit into memory"
