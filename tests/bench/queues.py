"""Queues whose capacity is known: what a search for the peak is tried on, without a clock.

A system is a function (rate, queries, seed) -> (due_s, first_s), both (queries,) in order of
arrival; arrivals are Poisson.
"""

from __future__ import annotations

import heapq
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = tuple[NDArray[Any], NDArray[Any]]


def servers(
    rate: float, queries: int, seed: int, k: int = 16, mean_s: float = 0.2, cv: float = 0.5
) -> Times:
    """M/G/k: lognormal services, the first token after a quarter of one. At most k / mean_s."""
    draw = np.random.default_rng(seed)
    due_s = np.cumsum(draw.exponential(1 / rate, queries))
    spread = math.log(1 + cv * cv)
    service_s = draw.lognormal(math.log(mean_s) - spread / 2, math.sqrt(spread), queries)
    free, begun = [0.0] * k, list[float]()
    for due, service in zip(due_s.tolist(), service_s.tolist(), strict=True):
        begin = max(due, free[0])
        heapq.heapreplace(free, begin + service)
        begun.append(begin)
    return due_s, np.asarray(begun) + 0.25 * service_s


def batches(
    rate: float,
    queries: int,
    seed: int,
    rows: int = 16,
    step_s: float = 0.02,
    row_s: float = 0.001,
    tokens: float = 12.0,
) -> Times:
    """Return the times of a server that batches: a step gives each of its rows a token and takes
    the longer, the more rows there are; who waits joins before a step. At most
    rows / tokens / (step_s + rows * row_s).
    """
    draw = np.random.default_rng(seed)
    due_s = np.cumsum(draw.exponential(1 / rate, queries))
    due, length = due_s.tolist(), draw.geometric(1 / tokens, queries).tolist()
    first_s, ends = [0.0] * queries, list[int]()
    now, step, i = 0.0, 0, 0
    while i < queries or ends:
        if not ends:
            now = max(now, due[i])
        before = i
        while i < queries and due[i] <= now and len(ends) < rows:
            heapq.heappush(ends, step + length[i])
            i += 1
        now, step = now + step_s + row_s * len(ends), step + 1
        first_s[before:i] = [now] * (i - before)
        while ends and ends[0] <= step:
            heapq.heappop(ends)
    return due_s, np.asarray(first_s)
