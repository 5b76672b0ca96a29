"""How fast does this machine read memory? `python -m tests.bench.stream_peer` prints bytes per
second, all threads.

Reads half a gigabyte, many times what the caches hold, in two ways (a sum, a matrix times a
vector): the faster one counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import torch

ROWS, COLUMNS, TRIES = 32_768, 4_096, 7


def bytes_per_s() -> float:
    read = torch.ones(ROWS, COLUMNS)
    vector = torch.ones(COLUMNS)
    ways: list[Callable[[], torch.Tensor]] = [read.sum, lambda: read @ vector]
    return read.nbytes / min(_seconds(way) for way in ways for _ in range(TRIES))


def _seconds(way: Callable[[], torch.Tensor]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps({"bytes_per_s": bytes_per_s()}))
