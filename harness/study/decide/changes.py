"""What would change the answer? The requirement that shuts out a better deployment, the next one
and how far it is behind, and the requirement that the answer keeps by the least.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.study.decide.choice import Choice, rank
from harness.study.decide.judged import Judged
from harness.study.decide.requirements import Objective
from harness.study.decide.standing import Standing

_FULL = 1.0  # what counts as missing where there is no figure: the whole limit


class Miss(NamedTuple):
    """A deployment with the requirements that it misses, the furthest one first."""

    standing: Standing
    missed: list[Judged]


def shut_out(standings: Sequence[Standing], choice: Choice, sought: Objective) -> list[Miss]:
    """Return the deployments that would be the answer without the requirements they miss, the one
    that misses the fewest first.
    """
    name, answer = sought.measure.name, choice.answer
    found = []
    for one in rank([one for one in standings if not one.out and not one.fits], sought):
        missed = misses(one)
        best = answer is None or sought.better(one.figures[name].value, answer.figures[name].value)
        if missed and best:
            found.append(Miss(one, missed))
    return sorted(found, key=lambda miss: len(miss.missed))


def nearest(standings: Sequence[Standing]) -> Miss | None:
    """Return the deployment that misses the fewest requirements, by the least; None if no run told
    anything.
    """
    found = [Miss(one, misses(one)) for one in standings if not one.out]
    return min(found, key=_distance, default=None)


def misses(one: Standing) -> list[Judged]:
    """Return the requirements that its figures miss, or that nothing tells."""
    return sorted((each for each in one.judged if not each.holds), key=_by_how_much, reverse=True)


def tightest(one: Standing) -> Judged | None:
    """Return the requirement that a deployment keeps by the least; the undecided one before all
    others. A reference keeps its own quality whatever is asked for.
    """
    known = [each for each in one.judged if each.missing is not None and each.can_miss]
    if doubtful := [each for each in known if each.status == "UNDECIDED"]:
        return min(doubtful, key=lambda each: each.chance)
    return max(known, key=_by_how_much, default=None)


def behind(choice: Choice, sought: Objective) -> float | None:
    """Return by which share of its own figure the next one would have to be better."""
    if choice.answer is None or choice.runner_up is None:
        return None
    best, own = (
        one.figures[sought.measure.name].value for one in (choice.answer, choice.runner_up)
    )
    return abs(best - own) / abs(own) if own else None


def _distance(miss: Miss) -> tuple[int, float]:
    return len(miss.missed), max(map(_by_how_much, miss.missed), default=0.0)


def _by_how_much(one: Judged) -> float:
    return _FULL if one.missing is None else one.missing
