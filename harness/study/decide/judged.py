"""Does a deployment keep what is required of it? Figures with intervals in, a word for each
requirement out.

    PASS        the whole interval keeps the limit
    FAIL        the whole interval misses it
    UNDECIDED   the interval reaches both sides
    UNKNOWN     there is no figure

A figure without an interval passes or fails by itself, and `judged` is False. `holds` asks the
figure alone: it is what a choice goes by, while `chance` is the share of draws that keep the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.resampling import Estimate
from harness.cost.uncertain import DRAWS, Uncertain
from harness.study.decide.figures import is_latency
from harness.study.decide.quality import OF_REFERENCE, Quality
from harness.study.decide.requirements import Requirement

Bools = NDArray[np.bool_]


class Judged(NamedTuple):
    """A requirement of one deployment. `kept` is (DRAWS,): in which draws it is kept."""

    requirement: Requirement
    status: str
    figure: Estimate
    holds: bool
    judged: bool
    kept: Bools
    reason: str = ""
    needed: int | None = None

    @property
    def chance(self) -> float:
        return float(self.kept.mean())

    @property
    def can_miss(self) -> bool:
        """Might another measurement miss it? Not by construction."""
        return self.reason != OF_REFERENCE.reason

    @property
    def missing(self) -> float | None:
        """Return by how much of the limit the figure misses it; negative: what it has to spare."""
        value = self.figure.value
        return None if value is None else self.requirement.missing(value)


def judge(
    asked: Sequence[Requirement],
    figures: Mapping[str, Uncertain],
    quality: Quality | None,
    limits: Mapping[str, bool],
) -> list[Judged]:
    """Judge every requirement. `limits` are the latencies that a search for the valid rate has
    held: whether there is a rate at which they are kept.
    """
    return [_one(one, figures, quality, limits) for one in asked]


def _one(
    one: Requirement,
    figures: Mapping[str, Uncertain],
    quality: Quality | None,
    limits: Mapping[str, bool],
) -> Judged:
    name = one.measure.name
    if name == "rouge" and quality is not None and one.sign == ">=":
        return _of_gate(one, quality, figures.get(name))
    figure = figures.get(name)
    if is_latency(one.measure) and name in limits:
        return _of_search(one, figure, limits[name])
    if figure is None:
        why = quality.problem if quality is not None and name == "rouge" else ""
        return Judged(one, "UNKNOWN", Estimate(None), False, False, _all(False), why)
    return _by_figure(one, figure)


def _by_figure(one: Requirement, figure: Uncertain) -> Judged:
    estimate, holds = figure.estimate, one.holds(figure.value)
    kept = figure.drawn() >= one.limit if one.sign == ">=" else figure.drawn() <= one.limit
    if estimate.low is None or estimate.high is None:
        return Judged(one, "PASS" if holds else "FAIL", estimate, holds, False, _all(holds))
    ends = {one.holds(estimate.low), one.holds(estimate.high)}
    status = "UNDECIDED" if len(ends) > 1 else "PASS" if ends == {True} else "FAIL"
    return Judged(one, status, estimate, holds, True, kept)


def _of_gate(one: Requirement, quality: Quality, figure: Uncertain | None) -> Judged:
    """The gate's word counts: it also asks for the length of the answers."""
    if figure is None:
        reason = quality.problem or quality.reason
        return Judged(one, "UNKNOWN", quality.kept, False, False, _all(False), reason)
    holds = one.holds(figure.value) and quality.status != "FAIL"
    kept = figure.draws >= one.limit if figure.has_interval else _all(holds)
    if quality.status != "UNDECIDED":
        kept = _all(quality.status == "PASS")
    return Judged(
        one, quality.status, quality.kept, holds, figure.has_interval, kept, quality.reason,
        quality.needed,
    )  # fmt: skip


def _of_search(one: Requirement, figure: Uncertain | None, is_kept: bool) -> Judged:
    """A latency that was a limit of the search is kept at the valid rate, if there is one."""
    estimate = figure.estimate if figure is not None and is_kept else Estimate(None)
    reason = "kept at the valid rate" if is_kept else "no rate was found at which a run is VALID"
    return Judged(
        one, "PASS" if is_kept else "FAIL", estimate, is_kept, True, _all(is_kept), reason
    )


def _all(value: bool) -> Bools:
    return np.full(DRAWS, value)
