"""How near are the decode steps of a run to what the device's memory allows? A step reads the
weights once and the tokens in the cache, so it takes at least

    limit = (bytes of weights that it reads + bytes of cache in use) / bytes per second of a copy

whatever the software; the share is limit / measured. With many rows the arithmetic may take longer
than the memory, and the limit is then further below than a step can ever be. Weights of a few
megabytes lie in caches, for which a copy says nothing: no limit is given then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sut.limit.steps import Taken

LEAST_BYTES = 64 * 2**20  # read in a step; less may lie in the processor's caches
_LEAST_STEPS = 4  # of a number of rows: the median of fewer says little
_MOST_ROWS = 12  # entries by rows, the most frequent ones


class Device(NamedTuple):
    """What a step of this model has to read here, and how fast that goes."""

    copy_bytes_per_s: float | None  # None: not known
    step_bytes: int  # of weights
    token_bytes: int | None  # of cache, a token; None: the model's own affair


def self_check(device: Device, taken: Mapping[int, Taken]) -> dict[str, Any]:
    """Return what result.json has as `self_check`: the limit, what was measured and the share at
    the number of rows that most steps had, and the same by rows.
    """
    rates = {"copy_bytes_per_s": device.copy_bytes_per_s, "weights_read_bytes": device.step_bytes}
    by_rows = [_of_rows(rows, taken[rows], device) for rows in _frequent(taken)]
    most = max(by_rows, key=lambda one: one["steps"], default=None)
    found = rates | {"cache_counted": device.token_bytes is not None, "by_rows": by_rows}
    return found if most is None else found | most


def _frequent(taken: Mapping[int, Taken]) -> list[int]:
    """Return the numbers of rows that enough steps had, in order."""
    enough = [rows for rows, one in taken.items() if len(one.times_ns) >= _LEAST_STEPS]
    return sorted(sorted(enough, key=lambda rows: -len(taken[rows].times_ns))[:_MOST_ROWS])


def _of_rows(rows: int, taken: Taken, device: Device) -> dict[str, Any]:
    step_ms, limit_ms = taken.median_ns / 1e6, _limit_ms(taken.mean_held_tokens, device)
    return {
        "rows": rows,
        "steps": len(taken.times_ns),
        "step_ms": step_ms,
        "limit_ms": limit_ms,
        "share": limit_ms / step_ms if limit_ms and step_ms else None,
    }


def _limit_ms(held_tokens: float, device: Device) -> float | None:
    if not device.copy_bytes_per_s or device.step_bytes < LEAST_BYTES:
        return None
    read = device.step_bytes + held_tokens * (device.token_bytes or 0)
    return 1e3 * read / device.copy_bytes_per_s
