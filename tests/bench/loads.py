"""Simulated servers whose truth is known: arrays of a run in no time, for what is calibrated by
hundreds of runs.

Each makes a RunLog of `n` samples from a random generator; `slower` multiplies all that the system
takes. Samples lean on one another in each: a queue, a shared batch, a machine that drifts.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from harness.kernel.log import RunLog

Floats = NDArray[np.float64]
TOKENS = 32


def alone(draw: Generator, n: int, slower: float = 1.0) -> RunLog:
    """One request after the other, each independent."""
    first, rest = _service(draw, n, slower)
    starts = np.concatenate(([0.0], np.cumsum(first + rest)[:-1]))
    return _log(starts, starts + first, starts + first + rest)


def queue(draw: Generator, n: int, slower: float = 1.0, load: float = 0.7) -> RunLog:
    """Poisson arrivals at eight slots that are `load` full: M/G/8."""
    return _served(draw, n, slower, load, slots=8)


def busy(draw: Generator, n: int, slower: float = 1.0) -> RunLog:
    """Do the same at one slot that is 80 % full, whose queue is long for long: M/G/1."""
    return _served(draw, n, slower, load=0.8, slots=1)


def drifting(draw: Generator, n: int, slower: float = 1.0) -> RunLog:
    """One request after the other on a machine whose speed wanders (AR(1), over fifty requests)."""
    first, rest = _service(draw, n, slower)
    lean, noise = np.exp(-1 / 50), draw.normal(0, 0.05, n)
    speed = np.empty(n)
    speed[0] = noise[0]
    for i in range(1, n):
        speed[i] = lean * speed[i - 1] + np.sqrt(1 - lean**2) * noise[i]
    first, rest = first * np.exp(speed), rest * np.exp(speed)
    starts = np.concatenate(([0.0], np.cumsum(first + rest)[:-1]))
    return _log(starts, starts + first, starts + first + rest)


def offline(draw: Generator, n: int, slower: float = 1.0) -> RunLog:
    """All at once into sixteen slots: latencies rise from the first sample to the last."""
    first, rest = _service(draw, n, slower)
    return _through_slots(np.zeros(n), first, rest, 16)


LOADS: dict[str, Callable[..., RunLog]] = {
    "alone": alone,
    "queue": queue,
    "busy": busy,
    "drifting": drifting,
    "offline": offline,
}


def _service(draw: Generator, n: int, slower: float) -> tuple[Floats, Floats]:
    """Return seconds to the first token and from there to the last, (n,) each."""
    first = slower * 0.05 * draw.lognormal(0.0, 0.3, n)
    rest = slower * 0.005 * (TOKENS - 1) * draw.lognormal(0.0, 0.1, n)
    return first, rest


def _served(draw: Generator, n: int, slower: float, load: float, slots: int) -> RunLog:
    first, rest = _service(draw, n, slower)
    rate = load * slots / (0.05 * np.exp(0.045) + 0.005 * (TOKENS - 1) * np.exp(0.005))
    return _through_slots(np.cumsum(draw.exponential(1 / rate, n)), first, rest, slots)


def _through_slots(due: Floats, first: Floats, rest: Floats, slots: int) -> RunLog:
    free = [0.0] * slots
    starts = np.empty(len(due))
    for i, (at, took) in enumerate(zip(due.tolist(), (first + rest).tolist(), strict=True)):
        starts[i] = max(at, free[0])
        heapq.heapreplace(free, starts[i] + took)
    return _log(due, starts + first, starts + first + rest)


def _log(due: Floats, first: Floats, done: Floats) -> RunLog:
    """Return a log of answers of TOKENS tokens, from seconds (n,)."""
    n = len(due)
    due_ns, first_ns, done_ns = ((s * 1e9).astype(np.int64) for s in (due, first, done))
    each, starts = np.arange(n, dtype=np.int32), np.arange(0, n * TOKENS + 1, TOKENS)
    return RunLog(
        query_id=each, index=each, due_ns=due_ns, issued_ns=due_ns, first_ns=first_ns,
        done_ns=done_ns, first_token=np.ones(n, np.int32), reported_tokens=np.full(n, -1, np.int32),
        finish=np.ones(n, np.int8), token_start=starts, token_ids=np.ones(n * TOKENS, np.int32),
        stamp_start=np.zeros(n + 1, np.int64), stamp_ns=np.empty(0, np.int64),
        completion_order=np.argsort(done_ns).astype(np.int32),
    )  # fmt: skip
