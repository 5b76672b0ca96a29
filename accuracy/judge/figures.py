"""What do a judge's verdicts amount to, and can they be trusted? Verdicts in, figures out.

pair    Each question is asked in both orders. The verdict counts where both orders agree; where
        they do not, it is a tie, as the judge itself cannot tell. A win is half a tie more than a
        tie: win rate = (wins + ties / 2) / questions, with its bootstrap interval over questions,
        and the exact sign test over wins and losses (Dixon and Mood 1946).
score   1 to 10 points; the mean, and the mean difference of two runs over the same questions.

Agreement of two raters beyond chance is Cohen's kappa (1960): 1 is full agreement, 0 what two who
do not look would reach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from accuracy import resampling
from accuracy.resampling import NOTHING, Estimate

Outcome = Literal["win", "loss", "tie"]  # of the candidate
FEWEST = 0.9  # share of the questions that must have a verdict
MOST_TURNED = 0.5  # share of pairs at most whose verdict changes with the order
SURE = 0.05  # of the sign test


class Pair(NamedTuple):
    """The verdicts on one question: with the reference's answer as A, and as B. None where the
    judge gave none. Equal answers are not asked.
    """

    as_a: str | None
    as_b: str | None
    is_equal: bool = False

    @property
    def is_judged(self) -> bool:
        return self.is_equal or None not in (self.as_a, self.as_b)

    @property
    def is_consistent(self) -> bool:
        """Did both orders say the same?"""
        return self.is_equal or (self.as_a, self.as_b) in (("a", "b"), ("b", "a"), ("tie", "tie"))

    @property
    def outcome(self) -> Outcome:
        if self.is_equal or not self.is_consistent or self.as_a == "tie":
            return "tie"
        return "loss" if self.as_a == "a" else "win"


class Pairs(NamedTuple):
    """`asked` are questions, `judged` those with both verdicts, `equal` those of them whose answers
    are the same. `consistent` is a share of those that were asked in both orders and judged;
    `first` the share of verdicts for a side that are for the answer that came first, of `sided`.
    """

    asked: int
    judged: int
    equal: int
    wins: int
    losses: int
    ties: int
    turned: int
    consistent: Estimate
    first: Estimate
    sided: int
    win_rate: Estimate
    sign_p: float | None
    status: str
    reason: str


def pairs(found: Sequence[Pair]) -> Pairs:
    """Return what the verdicts on pairs of answers amount to."""
    judged = [pair for pair in found if pair.is_judged]
    asked = [pair for pair in judged if not pair.is_equal]
    counts = Counter(pair.outcome for pair in judged)
    turned = sum(not pair.is_consistent for pair in asked)
    sides = [side for pair in asked for side in (pair.as_a, pair.as_b) if side != "tie"]
    points = {"win": 1.0, "tie": 0.5, "loss": 0.0}
    p = _sign_p(counts["win"], counts["loss"])
    made = Pairs(
        asked=len(found),
        judged=len(judged),
        equal=sum(pair.is_equal for pair in found),
        wins=counts["win"],
        losses=counts["loss"],
        ties=counts["tie"],
        turned=turned,
        consistent=_share(len(asked) - turned, len(asked)),
        first=_share(sides.count("a"), len(sides)),
        sided=len(sides),
        win_rate=mean([points[pair.outcome] for pair in judged]),
        sign_p=p,
        status="",
        reason="",
    )
    status, reason = _verdict(made)
    return made._replace(status=status, reason=reason)


def _verdict(made: Pairs) -> tuple[str, str]:
    """Say what may be concluded: nothing from a judge who gives no verdicts or contradicts
    itself.
    """
    compared = made.judged - made.equal
    if made.judged < FEWEST * made.asked or not made.asked:
        needed = f"at least {FEWEST * 100:.0f} % are needed"
        return "INVALID", f"{made.judged} of {made.asked} pairs have both verdicts; {needed}"
    if compared and made.turned > MOST_TURNED * compared:
        turned = f"in {made.turned} of {compared} pairs the verdict changes with the order"
        return "INCONCLUSIVE", f"{turned} of the answers: the judge cannot tell them apart"
    won = f"{made.wins} wins, {made.losses} losses, {made.ties} ties"
    if made.sign_p is None or made.sign_p >= SURE:
        words = "" if made.sign_p is None else f" (sign test p = {made.sign_p:.2g})"
        return "INCONCLUSIVE", f"{won}: no difference is shown{words}"
    better = made.wins > made.losses
    return "BETTER" if better else "WORSE", f"{won} (sign test p = {made.sign_p:.2g})"


def _sign_p(wins: int, losses: int) -> float | None:
    """Return the two-sided p of so many wins where both sides win as often; None without any."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else None


def _share(part: int, n: int) -> Estimate:
    """Return a share with its 95 % interval (Wilson 1927)."""
    from scipy.stats import binomtest

    if not n:
        return NOTHING
    ends = binomtest(part, n).proportion_ci(method="wilson")
    return Estimate(part / n, float(ends.low), float(ends.high))


def mean(values: Sequence[float]) -> Estimate:
    """Return the mean with its 95 % interval."""
    if not values:
        return NOTHING
    column = np.array(values, np.float64)
    draws = resampling.resampled(column[:, None])[:, 0] / len(column)
    return resampling.interval(float(column.mean()), draws, len(column))


def kappa(ours: Sequence[Hashable], theirs: Sequence[Hashable]) -> float | None:
    """Return Cohen's kappa of two raters of the same things; None where there is nothing to rate,
    or both always say one and the same.
    """
    n = len(ours)
    if not n:
        return None
    agreed = sum(a == b for a, b in zip(ours, theirs, strict=True)) / n
    mine, other = Counter(ours), Counter(theirs)
    by_chance = sum(mine[name] * other[name] for name in mine) / n**2
    return (agreed - by_chance) / (1 - by_chance) if by_chance < 1 else None


def weighted_kappa(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return the kappa of two raters who give points, a difference weighed by its square (Cohen
    1968); None where there is nothing to rate, or both always give the same points.
    """
    if not ours:
        return None
    a, b = np.array(ours, np.float64), np.array(theirs, np.float64)
    by_chance = float(((a[:, None] - b[None, :]) ** 2).mean())
    return 1 - float(((a - b) ** 2).mean()) / by_chance if by_chance else None
