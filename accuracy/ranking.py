"""Which of several figures is the best, and which of the others cannot be told from it?

Each other figure is set beside the best one, with an interval of how far chance moves the two apart
(95 %, paired bootstrap, `resampling`). Where the interval reaches equality, it is a tie; equal
figures always are. Where nothing tells how far chance goes, the figure alone decides, and `judged`
is False. Where more is better and all have nothing, nobody leads and nobody ties: 0 beside 0 may
be a metric that cannot read the answers.

    losses   mean loss per answer token, a difference; answers are drawn, the same for both sides
    scores   mean score per question, a difference; questions are drawn
    rates    tokens per second, a ratio; both runs are cut into parts of equally many tokens, and
             the parts are drawn: it knows how much the speed varies within a run, and nothing of
             what differs from run to run
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from accuracy import resampling
from accuracy.resampling import Estimate, Floats
from harness.kernel.types import Int64s

PARTS = 20  # of a run's tokens


class Lead(NamedTuple):
    """`others` are the other figures beside the best one: a ratio to it, or a difference."""

    best: str
    tied: tuple[str, ...]
    others: Mapping[str, Estimate]
    judged: bool

    @property
    def decided(self) -> str | None:
        """The best one, if it stands alone."""
        return None if self.tied else self.best


Beside = Callable[[str, str], Estimate | None]  # (one name, the best's name)


def lead(
    values: Mapping[str, float | None], beside: Beside, *, largest: bool, equality: float
) -> Lead | None:
    """Return the best of the known values; None if there are not two of them, or if the largest is
    to be the best and is 0.

    `equality` is what `beside` says of two figures that are the same: 1 for a ratio, 0 for a
    difference.
    """
    known = {name: value for name, value in values.items() if value is not None}
    if len(known) < 2:
        return None
    best = (max if largest else min)(known, key=lambda name: known[name])
    if largest and known[best] <= 0:
        return None
    others, tied, judged = {}, [], True
    for name in known:
        if name == best:
            continue
        estimate = Estimate(equality, equality, equality)
        if known[name] != known[best]:
            found = beside(name, best)
            judged = judged and found is not None
            if found is None:
                continue
            estimate = found
        others[name] = estimate
        if _reaches(estimate, equality):
            tied.append(name)
    return Lead(best, tuple(tied), others, judged)


def _reaches(estimate: Estimate, equality: float) -> bool:
    if estimate.low is None or estimate.high is None:
        return True  # too little to tell
    return estimate.low <= equality <= estimate.high


@dataclass(frozen=True, slots=True)
class Losses:
    """Of the answers that were scored, one row each, by the index of their sample."""

    index: Int64s
    nll_nats: Floats
    tokens: Int64s


def losses_beside(ours: Losses, theirs: Losses) -> Estimate | None:
    """Return our loss per token less theirs; None where the answers are not the same tokens."""
    common, at, their_at = np.intersect1d(ours.index, theirs.index, return_indices=True)
    tokens = ours.tokens[at]
    if not len(common) or not np.array_equal(tokens, theirs.tokens[their_at]):
        return None
    return _mean(ours.nll_nats[at] - theirs.nll_nats[their_at], tokens.astype(np.float64))


def scores_beside(ours: Floats, theirs: Floats) -> Estimate:
    """Return our mean score less theirs, of the same questions in the same order."""
    return _mean(ours - theirs, np.ones_like(ours))


def _mean(differences: Floats, weights: Floats) -> Estimate:
    """Return the mean of differences (n,) with weights (n,)."""
    sums = np.column_stack((differences, weights))
    over, under = sums.sum(0)
    draws = resampling.resampled(sums)
    return resampling.interval(
        float(over / under), resampling.divided(draws[:, 0], draws[:, 1]), len(sums)
    )


class Pace(NamedTuple):
    """How long each part of a run's tokens took, (parts,) or (0,), and how many tokens it has."""

    seconds: Floats
    tokens: int


def pace_of(token_ns: Int64s) -> Pace:
    """Cut the moments at which tokens came, (n,) from the start and in order, into equally many
    tokens.

    There are no parts where there are fewer tokens than that.
    """
    count = len(token_ns)
    if count < PARTS:
        return Pace(np.empty(0), count)
    last = np.linspace(0, count, PARTS + 1).round().astype(int)[1:] - 1
    return Pace(np.diff(token_ns[last] / 1e9, prepend=0.0), count)


def rates_beside(ours: Pace, theirs: Pace) -> Estimate:
    """Return our tokens per second over theirs; nothing where a run is too short to tell."""
    if not len(ours.seconds) or not len(theirs.seconds):
        return resampling.NOTHING
    size = ours.tokens / theirs.tokens
    sums = np.column_stack((size * theirs.seconds, ours.seconds))
    draws = resampling.resampled(sums)
    over, under = sums.sum(0)
    return resampling.ratio(over, under, draws[:, 0], draws[:, 1], len(sums))
