"""What does each step in size save, and what may be said of a family of sizes?

A step leads from one size to the next larger one: the loss it saves per doubling of N, paired text
by text, with an interval over texts, and the number of texts on which the larger model is better.
The rule of `perplexity_ranking` decides whether the larger model is better, worse or tied.

A law is told only where the models bear it out: from three sizes on, if every step is decided for
the larger model, and if the scatter of the models around the curve leaves the sign of its exponent
in no doubt.

Diminishing returns are asked of a loss that falls: no step may be decided against the larger model,
and one must be decided for it. Then each gain is held against the one before, with an interval over
texts at 95 % for all comparisons together (Bonferroni). "yes" if some gain shrinks and none grows
for certain; "no" if none shrinks, and one grows for certain or all are certain not to shrink; else
"cannot tell". It is a statement about these models; what others of the family would do is not in
the texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from accuracy.likelihood.ranking import Decision, decided
from accuracy.likelihood.scaling import FEWEST_SIZES, ROUNDING, Fit, Losses, merged
from accuracy.resampling import CONFIDENCE, FEWEST_TEXTS, RESAMPLES, Estimate, Floats, interval

Answer = Literal["yes", "no", "cannot tell"]


class Step(NamedTuple):
    """From one size to the next: the loss saved per doubling, negative where the larger model is
    worse; `texts_better` of `texts` have a lower loss under the larger model, which is what
    `decision` judges.

    `smaller_models` and `larger_models` name the models of these sizes.
    """

    smaller: float
    larger: float
    smaller_models: tuple[str, ...]
    larger_models: tuple[str, ...]
    gain: Estimate
    texts: int
    texts_better: int
    decision: Decision


@dataclass(frozen=True, slots=True)
class Returns:
    diminishing: Answer
    why: str
    changes: tuple[Estimate, ...]  # each step's gain less the one before


class _Gains(NamedTuple):
    """Of S steps: (S,) losses saved per doubling, (B, S) the same of the draws, and the size below
    which a difference is rounding.
    """

    values: Floats
    draws: Floats
    noise: float


def steps(found: Losses) -> tuple[Step, ...]:
    """Return a family's steps, from the smallest size on."""
    sizes, by_text = merged(found.sizes, (found.totals / found.units).T)  # (n, S + 1)
    gains, n = _gains(found), found.num_texts
    made = []
    for k, (small, large) in enumerate(pairwise(sizes.tolist())):
        gain = interval(float(gains.values[k]), gains.draws[:, k], n)
        better = int((by_text[:, k] - by_text[:, k + 1] > gains.noise).sum())
        names = (_of_size(found, small), _of_size(found, large))
        made.append(Step(small, large, *names, gain, n, better, decided(gain, True)))
    return tuple(made)


def _gains(found: Losses) -> _Gains:
    sizes, values = merged(found.sizes, found.values[None])
    _, draws = merged(found.sizes, found.resampled(RESAMPLES))
    noise = ROUNDING * float(np.abs(values).max(initial=0.0))
    doublings = np.diff(np.log2(sizes))
    gains, drawn = (-np.diff(one, axis=1) / doublings for one in (values, draws))
    gains, drawn = (np.where(np.abs(one) <= noise, 0.0, one) for one in (gains, drawn))
    return _Gains(gains[0], drawn, noise)


def _of_size(found: Losses, size: float) -> tuple[str, ...]:
    pairs = zip(found.models, found.sizes.tolist(), strict=True)
    return tuple(model for model, own in pairs if own == size)


# ---- a law


def no_law(made: Sequence[Step], curve: Fit | None) -> str:
    """Say why these models bear no law out; empty if they do. `curve` is None if there is none to
    fit.
    """
    if len(made) + 1 < FEWEST_SIZES:
        return f"it takes {FEWEST_SIZES} sizes, here are {len(made) + 1}"
    if undecided := next((step for step in made if step.decision != "better"), None):
        return _not_better(undecided)
    if curve is None:
        return "no curve can be fitted to these losses"
    exponent = curve.exponent_models
    if exponent.low is None or exponent.high is None:
        return f"a curve through {len(made) + 1} sizes leaves none over to check it with"
    if not exponent.excludes_zero:
        around = f"{exponent.low:.3g} to {exponent.high:.3g}"
        return f"with {len(made) + 1} sizes the exponent may lie anywhere from {around}"
    return ""


def _not_better(step: Step) -> str:
    small, large = (" and ".join(names) for names in (step.smaller_models, step.larger_models))
    if step.decision == "worse":
        return f"{large} predicts these texts worse than the smaller {small}"
    if step.decision == "open":
        return f"{step.texts} texts, and {FEWEST_TEXTS} are needed to tell {large} from {small}"
    return f"these texts do not tell {large} from the smaller {small}"


# ---- diminishing returns


def diminishing(found: Losses) -> Returns:
    """Say whether each doubling saves less than the one before."""
    made, gains, n = steps(found), _gains(found), found.num_texts
    count = max(len(made) - 1, 0)
    joint = 100 - (100 - CONFIDENCE) / max(count, 1)
    changes = tuple(
        interval(
            float(gains.values[k + 1] - gains.values[k]),
            gains.draws[:, k + 1] - gains.draws[:, k],
            n,
            joint,
        )
        for k in range(count)
    )
    if not changes:
        sizes = len(set(found.sizes.tolist()))
        why = f"To compare two gains takes {FEWEST_SIZES} different sizes; here are {sizes}."
        return Returns("cannot tell", why, changes)
    answer, why = _judged([_direction(change, gains.noise) for change in changes], made, found.unit)
    return Returns(answer, why, changes)


def _direction(change: Estimate, noise: float) -> Literal["shrinks", "grows", "stays", "open"]:
    if change.low is None or change.high is None:
        return "open"
    if change.high < -noise:
        return "shrinks"
    if change.low > noise:
        return "grows"
    return "stays" if change.low >= -noise else "open"


def _judged(directions: Sequence[str], made: Sequence[Step], unit: str) -> tuple[Answer, str]:
    series = ", ".join(f"{step.gain.value:.4g}" for step in made)
    gains = f"Each doubling saves {series} {unit}, step by step"
    if why := _no_returns(made):
        return "cannot tell", f"{gains}; {why}."
    shrinks, grows = directions.count("shrinks"), directions.count("grows")
    of_all = _comparisons(len(directions))
    if shrinks and not grows:
        why = f"the gain shrinks beyond chance in {shrinks} of {of_all} and grows in none."
        return "yes", f"{gains}: {why}"
    if grows and not shrinks:
        why = f"the gain grows beyond chance in {grows} of {of_all} and shrinks in none."
        return "no", f"{gains}: {why}"
    if shrinks:
        why = f"beyond chance, the gain shrinks in {_comparisons(shrinks)} and grows in {grows}."
        return "cannot tell", f"{gains}: {why}"
    if "open" in directions:
        why = "other texts could turn the order of successive gains round."
        return "cannot tell", f"{gains}: {why}"
    return "no", f"{gains}: they do not shrink."


def _no_returns(made: Sequence[Step]) -> str:
    """Say why there are no returns that could diminish; empty if there are."""
    if any(step.decision == "open" for step in made):
        return f"with fewer than {FEWEST_TEXTS} texts, nothing shows how far chance moves them"
    if worse := next((step for step in made if step.decision == "worse"), None):
        return f"but {_not_better(worse)}"
    if not any(step.decision == "better" for step in made):
        return "none of it is beyond chance"
    return ""


def _comparisons(count: int) -> str:
    return f"{count} comparison{'s' * (count != 1)}"
