"""How often is a verdict on right and wrong answers wrong? Simulated runs at the boundary.

`python -m tests.accuracy.gate.calibration` prints the table of docs/tasks.md. The candidate keeps
exactly the target in truth, so that every PASS and every FAIL is a false one: each should come up
in at most 2.5 % of the runs. Beside the score interval stands the paired bootstrap (percentiles),
which counts of right and wrong answers are too coarse for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from accuracy.gate.paired import Paired, score

Z = 1.959964
QUESTIONS = (60, 120, 250, 500, 1000)


class Truth(NamedTuple):
    """`solved`: share of the questions that the reference solves; `flips`: share of those that one
    system alone solves; `kept`: what the candidate keeps in truth.
    """

    solved: float
    flips: float
    kept: float

    @property
    def cells(self) -> list[float]:
        """Shares of both, reference alone, candidate alone, neither."""
        lost = self.solved * (1 - self.kept)
        alone = (self.flips + lost) / 2
        return [self.solved - alone, alone, alone - lost, 1 - self.solved - alone + lost]


class Rates(NamedTuple):
    """Shares of the runs with each verdict, and whose interval holds the truth."""

    passed: float
    failed: float

    @property
    def covered(self) -> float:
        return 1 - self.passed - self.failed


def by_score(truth: Truth, n: int, runs: int, seed: int = 1) -> Rates:
    """Judge simulated runs by the score interval."""
    drawn = np.random.default_rng(seed).multinomial(n, truth.cells, runs)
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    z = [score(Paired(*kind), truth.kept) if kind[0] + kind[1] else 0.0 for kind in kinds.tolist()]
    share = counts / runs
    return Rates(float(share[np.array(z) > Z].sum()), float(share[np.array(z) < -Z].sum()))


def by_bootstrap(truth: Truth, n: int, runs: int, seed: int = 1, resamples: int = 1000) -> Rates:
    """Judge simulated runs by percentiles of the paired bootstrap."""
    rng = np.random.default_rng(seed)
    passed = failed = 0
    for counts in rng.multinomial(n, truth.cells, runs):
        both, reference, candidate, _ = rng.multinomial(n, counts / n, resamples).T
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = np.nanquantile((both + candidate) / (both + reference), (0.025, 0.975))
        passed += bool(low >= truth.kept)
        failed += bool(high < truth.kept)
    return Rates(passed / runs, failed / runs)


TRUTHS = [
    Truth(solved, flips, kept)
    for kept in (0.99, 0.9)
    for solved, flips in ((0.05, 0.01), (0.3, 0.04), (0.3, 0.15), (0.7, 0.08), (0.9, 0.1))
]


def rows(runs: int) -> Iterator[tuple[Truth, int, Rates, Rates]]:
    """Yield a row of the table for each truth and number of questions."""
    for truth in TRUTHS:
        for n in QUESTIONS:
            yield truth, n, by_score(truth, n, runs), by_bootstrap(truth, n, max(runs // 10, 1))


if __name__ == "__main__":
    for truth, n, ours, theirs in rows(20_000):
        told = [f"{100 * rate:.1f}" for rate in (*ours, ours.covered, *theirs, theirs.covered)]
        kinds = (f"{truth.kept:g}", f"{truth.solved:g}", f"{truth.flips:g}", str(n))
        print("| " + " | ".join((*kinds, *told)) + " |", flush=True)
