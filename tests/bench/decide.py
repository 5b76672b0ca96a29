"""Is an answer right as often as it says it is sure? Decisions whose truth is known: deployments
with speeds and qualities of their own, measured with errors of the size that their intervals say.

The speeds are drawn so that the best two are mostly within a few percent, the qualities around the
limit. An answer counts as right if it is the best of those that truly keep the requirement.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from accuracy.resampling import Estimate
from harness.cost.uncertain import measured
from harness.study.decide.choice import choose
from harness.study.decide.known.judged import judge
from harness.study.decide.known.standing import Standing
from harness.study.decide.wishes.wanted import Asked, Wanted, wanted
from tests.bench.rows import Row

DECISIONS, MOST_OFF = 2_000, 0.05
LIMIT = 0.99
_SPEED_ERROR, _QUALITY_ERROR = 0.03, 0.01  # standard errors, of the speed and of the score


class Tally(NamedTuple):
    """Of the decisions between two levels of sureness: how many, how sure, how often right."""

    low: float
    high: float
    decisions: int
    sure: float
    right: float


def tallies(decisions: int, seed: int = 16) -> list[Tally]:
    """Make many decisions and sort them by how sure they were."""
    rng, asked = np.random.default_rng(seed), wanted(Asked("token_accuracy>=99%", "tokens_per_s"))
    told = np.array([_one(rng, asked, number) for number in range(decisions)])
    found = []
    for low, high in ((0.0, 0.6), (0.6, 0.8), (0.8, 0.95), (0.95, 1.01)):
        inside = told[(told[:, 0] >= low) & (told[:, 0] < high)]
        if len(inside):
            found.append(Tally(low, high, len(inside), *map(float, inside.mean(0))))
    return found


def _one(rng: np.random.Generator, asked: Wanted, number: int) -> tuple[float, bool]:
    """Return how sure one decision is, and whether it is right."""
    speeds, scores = 100 * np.exp(rng.normal(0, 0.06, 3)), rng.normal(LIMIT, 0.02, 3)
    true = np.where(scores >= LIMIT, speeds, -np.inf)
    best = "" if np.isneginf(true).all() else str(true.argmax())
    standings = []
    for i in range(3):
        one = Standing(str(i), "0")
        figures = {
            "tokens_per_s": _measured(rng, speeds[i], _SPEED_ERROR * speeds[i]),
            "token_accuracy": _measured(rng, scores[i], _QUALITY_ERROR),
        }
        for name, estimate in figures.items():
            one.figures[name] = measured(estimate, f"{number} {i}", name)
        one.judged = judge(asked.requirements, one.figures, None, {})
        standings.append(one)
    choice = choose(standings, asked.objective)
    return choice.sure, (choice.answer.label if choice.answer else "") == best


def _measured(rng: np.random.Generator, truth: float, error: float) -> Estimate:
    value = float(rng.normal(truth, error))
    return Estimate(value, value - 1.96 * error, value + 1.96 * error)


def rows(decisions: int = DECISIONS) -> Iterator[Row]:
    """Yield a row for each level of sureness: how sure the decisions were, how often right."""
    for tally in tallies(decisions):
        most = min(tally.high, 1.0)
        what = f"{tally.decisions} decisions, {tally.low:.0%} to {most:.0%} sure"
        is_met = abs(tally.right - tally.sure) <= MOST_OFF
        target = f"within {MOST_OFF:.0%}"
        yield Row(what, f"{tally.sure:.1%} sure", f"{tally.right:.1%} right", "", target, is_met)
