"""How often is a warm-up marked where there is none, and found where there is one? Simulated queues
(M/G/k) that have been running for a while; for the power, a first tenth at twice the time.

The table of docs/loads.md is made of these rows.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

import numpy as np

from scenarios.phases.steady import Steady, steady
from tests.bench.rows import Row

TRIALS = 500
BEFORE = 1500  # samples until the queue is steady
QUEUES = ((4, 0.3, 400), (4, 0.6, 400), (8, 0.8, 400), (8, 0.8, 2000), (8, 0.9, 2000))
MOST_FALSE = 0.05
LEAST_SAMPLES = 800  # for the target: fewer samples of a busy queue cannot tell


def queue(rng: Any, servers: int, load: float, n: int) -> Any:
    """Return (n,) times from arrival to the first token, a third of the way into the service."""
    arrivals = np.cumsum(rng.exponential(1, n + BEFORE))
    work = rng.lognormal(-0.125, 0.5, n + BEFORE) * load * servers
    free, found = [0.0] * servers, np.empty(n + BEFORE)
    for i, (at, takes) in enumerate(zip(arrivals.tolist(), work.tolist(), strict=True)):
        begin = max(free[0], at)
        heapq.heapreplace(free, begin + takes)
        found[i] = begin - at + 0.3 * takes
    return found[BEFORE:]


def rows() -> Iterator[Row]:
    """Yield a row for each queue: false marks, and warm-ups that are found."""
    for servers, load, n in QUEUES:
        rng = np.random.default_rng([16, servers, n])
        made = [queue(rng, servers, load, n) for _ in range(TRIALS)]
        found = [steady(values) for values in made]
        seen = [one for one in found if one is not None]
        false = share(seen, lambda one: one.is_clear)
        changed = share(seen, lambda one: one.change is not None)
        lost = share(seen, lambda one: not one.is_found)
        power = share([warm(values) for values in made], lambda one: one.is_clear)
        what = f"steady: {servers} servers, {load:.0%} busy, {n:,} samples: warm-ups marked"
        others = f"change {changed:.1%}, none {lost:.1%}"
        is_met = false <= MOST_FALSE or n < LEAST_SAMPLES
        target = "at most 5 %" if n >= LEAST_SAMPLES else ""
        yield Row(what, f"{false:.1%}", others, f"found {power:.0%}", target, is_met)


def warm(values: Any) -> Steady:
    """Return what is found where the first tenth takes twice the time."""
    slower = values.copy()
    slower[: len(slower) // 10] *= 2
    found = steady(slower)
    assert found is not None
    return found


def share(found: list[Steady], is_so: Any) -> float:
    return sum(map(is_so, found)) / len(found)
