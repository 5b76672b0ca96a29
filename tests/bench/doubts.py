"""How often is a clean run doubted, and how often a shaky one? 500 runs of each kind, made of
arithmetic (`tests.doubt_helpers`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from harness.result.doubts.doubt import Known
from harness.result.doubts.doubts import KINDS, doubts
from tests.bench.rows import Row
from tests.doubt_helpers import known_of, log_of, one_by_one, queue

RUNS, MOST_FALSE, LEAST_FOUND = 500, 0.05, 0.80
Make = Callable[[np.random.Generator], Known]


def _queue(rng: np.random.Generator, samples: int, busy: float) -> Known:
    return known_of(log_of(*queue(rng, samples, busy)))


def _in_turn(rng: np.random.Generator, samples: int, spread: float, scenario: str) -> Known:
    return known_of(log_of(*one_by_one(rng, samples, spread)), scenario)


# A busier queue takes more samples for the same p99: of fewer it is no false doubt.
CLEAN: Mapping[str, Make] = {
    "queue, 30 % busy": partial(_queue, samples=4000, busy=0.3),
    "queue, 60 % busy": partial(_queue, samples=16_000, busy=0.6),
    "queue, 80 % busy": partial(_queue, samples=64_000, busy=0.8),
    "single stream": partial(_in_turn, samples=2000, spread=0.2, scenario="single-stream"),
    "long tail": partial(_in_turn, samples=4000, spread=0.6, scenario="single-stream"),
    "offline": partial(_in_turn, samples=2000, spread=0.2, scenario="offline"),
}


def _few(rng: np.random.Generator) -> Known:
    return known_of(log_of(*queue(rng, 200)))


def _drifting(rng: np.random.Generator) -> Known:
    due, ttft, tpot = queue(rng, 4000, 0.3)
    return known_of(log_of(due, ttft, tpot * np.linspace(1.0, 1.2, 4000)))


def _of_two_kinds(rng: np.random.Generator) -> Known:
    due, ttft, tpot = queue(rng, 2000, 0.3)
    return known_of(log_of(due, ttft * np.where(rng.random(2000) < 0.2, 3.0, 1.0), tpot))


def _repeating(rng: np.random.Generator) -> Known:
    due, ttft, tpot = queue(rng, 2000, 0.3)
    index = rng.integers(0, 1000, 2000)
    _, firsts = np.unique(index, return_index=True)
    is_new = np.isin(np.arange(2000), firsts)
    return known_of(log_of(due, ttft * np.where(is_new, 1.0, 0.5), tpot, index))


SHAKY: Mapping[str, tuple[str, Make]] = {
    "200 samples": ("few_samples", _few),
    "TPOT rises by 20 %": ("drift", _drifting),
    "a fifth waits three times as long": ("two_kinds", _of_two_kinds),
    "repeated prompts twice as fast": ("warm_cache", _repeating),
}


def shares(make: Make, runs: int, seed: int = 1) -> dict[str, float]:
    """Return by kind the share of runs that raise it."""
    count: Counter[str] = Counter()
    for run in range(runs):
        found = doubts(make(np.random.default_rng((seed, run))))
        count.update({doubt.name for doubt in found})
    return {name: count[name] / runs for name in KINDS}


def rows(runs: int = RUNS) -> Iterator[Row]:
    """Yield a row for each kind of run: what clean ones are wrongly doubted for most often, and how
    often shaky ones are doubted for what is wrong with them.
    """
    for name, make in CLEAN.items():
        doubt, share = max(shares(make, runs).items(), key=lambda pair: pair[1])
        what = f"clean: {name}: raised most often"
        target, met = f"at most {MOST_FALSE:.0%}", share <= MOST_FALSE
        yield Row(what, f"{share:.1%}", doubt if share else "-", "", target, met)
    for name, (doubt, make) in SHAKY.items():
        share = shares(make, runs)[doubt]
        target, met = f"at least {LEAST_FOUND:.0%}", share >= LEAST_FOUND
        yield Row(f"shaky: {name}: found", f"{share:.1%}", doubt, "", target, met)
