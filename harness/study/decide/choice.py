"""Which deployment is the answer, and how sure is that? Deployments with their figures in.

Those that keep every requirement by their figures may be chosen; what is sought decides between
them. How sure: in each draw of all figures (`harness.cost.uncertain`) the requirements are asked
again and the best is chosen again; the share of draws that give the same answer is how sure it is.
Figures without an interval stay as they are in every draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from accuracy.resampling import Floats
from harness.cost.uncertain import DRAWS
from harness.study.decide.requirements import Objective
from harness.study.decide.standing import Standing


class Choice(NamedTuple):
    """`shares` is how often each deployment was the answer, "" standing for none; `runner_up` is
    the next of those that fit.
    """

    answer: Standing | None
    runner_up: Standing | None
    shares: dict[str, float]

    @property
    def sure(self) -> float:
        return self.shares.get(self.answer.label if self.answer else "", 0.0)


def choose(standings: Sequence[Standing], sought: Objective) -> Choice:
    """Return the answer, the next one, and how often each is chosen."""
    ranked = rank([one for one in standings if one.fits], sought)
    answer, runner_up = [*ranked, None, None][:2]
    return Choice(answer, runner_up, _shares(standings, sought))


def rank(standings: Sequence[Standing], sought: Objective) -> list[Standing]:
    """Return those of which the sought figure is known, the best first."""
    name = sought.measure.name
    known = [one for one in standings if name in one.figures]
    return sorted(known, key=lambda one: one.figures[name].value, reverse=sought.largest)


def _shares(standings: Sequence[Standing], sought: Objective) -> dict[str, float]:
    if not standings:
        return {}
    merits = np.array([_merit(one, sought) for one in standings])  # (deployments, DRAWS)
    winners = np.where(np.isneginf(merits.max(0)), len(standings), merits.argmax(0))
    counts = np.bincount(winners, minlength=len(standings) + 1) / DRAWS
    labels = [*(one.label for one in standings), ""]
    return {label: float(share) for label, share in zip(labels, counts, strict=True) if share}


def _merit(one: Standing, sought: Objective) -> Floats:
    """Return how good it is in each draw, more being better; minus infinity where it does not
    fit.
    """
    nothing = np.full(DRAWS, -np.inf)
    figure = one.figures.get(sought.measure.name)
    if one.out or one.set_aside or figure is None:
        return nothing
    merit = figure.drawn() if sought.largest else -figure.drawn()
    for judged in one.judged:
        merit = np.where(judged.kept, merit, -np.inf)
    return merit


def surely_worse(one: Standing, best: Standing, sought: Objective) -> bool:
    """Is it worse than another in what is sought, whatever chance does?"""
    ours, theirs = (each.figures.get(sought.measure.name) for each in (one, best))
    if ours is None or theirs is None or not (ours.has_interval and theirs.has_interval):
        return False
    low, high = theirs.draws.min(), theirs.draws.max()
    return bool(ours.draws.max() < low if sought.largest else ours.draws.min() > high)
