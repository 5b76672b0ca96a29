"""How does loss fall as models grow? A power law through the models of one family.

    loss = a * N^-b         N parameters; from three different sizes on
    loss = a * N^-b + c     c >= 0, a loss that no size gets below; from four on, as three
                            parameters want a fourth point

Both are least squares of relative errors: that models were trained differently is taken to move a
loss in proportion to it. Without c that is a straight line through the logarithms. With c it is,
for a given b, a line through N^-b with weights 1 / loss^2; b is searched on a grid that is made
finer five times. So there is no starting point to guess, no search that may fail or stop at a side
minimum, and two thousand fits take a fraction of a second. c and a are kept at or above 0; where
the plain law fits better (a loss that grows with size, say), it is taken with c = 0.

Two kinds of doubt, kept apart, as more texts lessen the first only:

    from the texts      the fit is repeated on losses of resampled texts, the same texts for all
                        models
    from the models     how far they lie off the curve: Student's interval of the exponent,
                        linearised at the fit, with as many degrees of freedom as there are models
                        beyond the parameters

Loss is per token for models of one tokenizer; else bits per byte (`accuracy.likelihood.figures`
says why).

What each step in size saves, whether the models bear a law out at all and whether growing pays less
and less stands in `scaling_steps`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from accuracy.likelihood.figures import TextScores, sums_of
from accuracy.likelihood.models import same_texts, same_tokens
from accuracy.resampling import (
    CONFIDENCE,
    FEWEST_TEXTS,
    Estimate,
    Floats,
    divided,
    exp,
    interval,
    resampled,
)
from harness.kernel.errors import BadInput

FEWEST_SIZES, FEWEST_FOR_FLOOR = 3, 4
_FITS, _PART = 2_000, 500  # resampled fits; how many at once
_STEEPNESS = (0.01, 4.0)  # where b is looked for if there is a floor
_GRID, _FINER, _ROUNDS = 100, 15, 5
ROUNDING = 1e-9  # of the loss: what is smaller is no difference

By = Literal["loss_nats", "bits_per_byte"]
UNITS = {"loss_nats": "nats per token", "bits_per_byte": "bits per byte"}


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """M models, smallest first, on the same n texts: what each text cost and how many units
    (tokens, bytes) that was for.
    """

    models: tuple[str, ...]
    sizes: Floats  # (M,) parameters
    totals: Floats  # (M, n)
    units: Floats  # (M, n)
    unit: str

    @property
    def values(self) -> Floats:
        """(M,)"""
        found: Floats = self.totals.sum(axis=1) / self.units.sum(axis=1)
        return found

    @property
    def num_texts(self) -> int:
        return self.totals.shape[1]

    def resampled(self, resamples: int) -> Floats:
        """Return the losses (B, M) of resampled texts."""
        count = len(self.models)
        draws = resampled(np.concatenate([self.totals, self.units]).T.copy(), resamples)
        return divided(draws[:, :count], draws[:, count:])


def losses(
    models: Mapping[str, Sequence[TextScores]], parameters: Mapping[str, int], by: By = "loss_nats"
) -> Losses:
    """Return what each text cost each model. A text that some model could not score is left out
    for all. Raises BadInput for texts or tokens that differ, and for sizes that are none.
    """
    doing = "loss by size"
    for model in models:
        if not (size := parameters[model]) > 0 or not math.isfinite(size):
            raise BadInput(doing, f"{model} has {size} parameters", "more than 0")
    names = sorted(models, key=lambda model: parameters[model])
    sums = np.array([sums_of(column) for column in _columns(doing, models, names, by)])
    # (M, n, 4): nats, tokens, correct tokens, bytes
    usable = ((sums[:, :, 1] > 0) & (sums[:, :, 3] > 0)).all(axis=0)
    if not usable.any():
        raise BadInput(doing, "no text that all models have scored", "one at least")
    nats, tokens, _, num_bytes = np.moveaxis(sums[:, usable], -1, 0)
    sizes = np.array([parameters[name] for name in names], np.float64)
    if by == "loss_nats":
        return Losses(tuple(names), sizes, nats, tokens, UNITS[by])
    return Losses(tuple(names), sizes, nats / math.log(2), num_bytes, UNITS[by])


def _columns(
    doing: str, models: Mapping[str, Sequence[TextScores]], names: Sequence[str], by: By
) -> Iterator[Sequence[TextScores]]:
    """Yield each model's texts, in the order of the first model's."""
    check = same_tokens if by == "loss_nats" else same_texts
    for name in names:
        yield [theirs for _, theirs in check(doing, models[names[0]], models[name])]


# ---- the curve


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """`coefficient` is a, `exponent` b, `floor` c; None where no floor was fitted. Their intervals
    are those from the texts.

    `exponent_models`: the interval from the models. `residuals`: each model's loss over the
    curve's, less 1. `notes`: what speaks against reading much into it.
    """

    losses: Losses
    measured: tuple[Estimate, ...]  # loss of each model
    coefficient: Estimate
    exponent: Estimate
    floor: Estimate | None
    exponent_models: Estimate
    residuals: Floats
    notes: tuple[str, ...]
    _centre: float = field(repr=False)  # sizes are taken as shares of it
    _best: Floats = field(repr=False)  # (3,): a where N is the centre, b, c
    _draws: Floats = field(repr=False)  # (B, 3) the same of the resampled fits

    def curve(self, sizes: Sequence[float]) -> list[Estimate]:
        """Return the curve with its interval from the texts: where it would run for other texts,
        through these models.
        """
        x = np.array(sizes, np.float64) / self._centre
        best, draws = _loss(self._best[None], x)[0], _loss(self._draws, x)
        return [interval(float(best[k]), draws[:, k], self.losses.num_texts) for k in range(len(x))]


def refusal(sizes: Sequence[float] | Floats) -> str:
    """Say why there is no power law to fit; empty if there is."""
    different = len(set(map(float, sizes)))
    if different >= FEWEST_SIZES:
        return ""
    what = f"{different} different size{'s' * (different != 1)}"
    return f"{what}: through one or two points many curves pass"


def fit(losses: Losses) -> Fit:
    """Fit the law to the losses. Raises BadInput for too few sizes and for a loss of 0."""
    _check(losses)
    values, n = losses.values, losses.num_texts
    centre = float(np.exp(np.log(losses.sizes).mean()))
    x = losses.sizes / centre
    with_floor = len(set(losses.sizes.tolist())) >= FEWEST_FOR_FLOOR
    best = _fits(x, values[None], with_floor)[0]
    drawn = losses.resampled(_FITS)
    measured = [interval(float(value), drawn[:, k], n) for k, value in enumerate(values)]
    drawn = drawn[(np.isfinite(drawn) & (drawn > 0)).all(axis=1)]
    parts = [drawn[first : first + _PART] for first in range(0, len(drawn), _PART)]
    draws = np.concatenate([np.empty((0, 3)), *(_fits(x, part, with_floor) for part in parts)])
    on_curve = _loss(best[None], x)[0]
    return Fit(
        losses=losses,
        measured=tuple(measured),
        coefficient=_coefficient(best, draws, n, centre),
        exponent=interval(float(best[1]), draws[:, 1], n),
        floor=interval(float(best[2]), draws[:, 2], n) if with_floor else None,
        exponent_models=_from_models(best, x, np.log(values / on_curve)),
        residuals=values / on_curve - 1,
        notes=tuple(_notes(losses, best, with_floor)),
        _centre=centre,
        _best=best,
        _draws=draws,
    )


def _check(losses: Losses) -> None:
    doing, values = "a power law of loss against size", losses.values
    if why := refusal(losses.sizes):
        fine = f"at least {FEWEST_SIZES} different sizes"
        raise BadInput(doing, why, fine, "Name more models of the family with --models.")
    if (values <= 0).any():
        worst = losses.models[int(values.argmin())]
        raise BadInput(doing, f"{worst} has a loss of {values.min():g}", "a loss above 0")


def _coefficient(best: Floats, draws: Floats, n: int, centre: float) -> Estimate:
    """Return a for N in parameters; in logarithms, as N^b may be beyond any float."""
    if best[0] <= 0:
        return Estimate(0.0)
    some = draws[draws[:, 0] > 0]
    logs = interval(
        math.log(best[0]) + best[1] * math.log(centre),
        np.log(some[:, 0]) + some[:, 1] * math.log(centre),
        n,
    )
    return logs.map(exp)


def _loss(params: Floats, x: Floats) -> Floats:
    """Return the losses (B, M) at parameters (B, 3) and sizes (M,)."""
    a, b, c = (params[:, k, None] for k in range(3))
    found: Floats = a * _power(x, b) + c
    return found


def _power(x: Floats, b: Floats) -> Floats:
    """Return x^-b, kept within floats."""
    return np.exp(np.clip(-b * np.log(x), -600.0, 600.0))


# ---- least squares


def _fits(x: Floats, values: Floats, with_floor: bool) -> Floats:
    """Return a, b, c (B, 3) of sizes (M,) and losses (B, M)."""
    plain = _without_floor(x, values)
    if not with_floor:
        return plain
    floored, error = _with_floor(x, values)
    plain_error = ((_loss(plain, x) / values - 1) ** 2).sum(axis=1)
    return np.where((plain_error < error)[:, None], plain, floored)


def _without_floor(x: Floats, values: Floats) -> Floats:
    """Fit a line through the logarithms."""
    across, up = np.log(x), np.log(values)
    across = across - across.mean()
    slope: Floats = (up @ across) / (across @ across)
    flat = values.max(axis=1) - values.min(axis=1) <= ROUNDING * values.max(axis=1)
    slope = np.where(flat, 0.0, slope)
    level = up.mean(axis=1) - slope * np.log(x).mean()
    return np.stack([np.exp(level), -slope, np.zeros(len(values))], axis=1)


def _with_floor(x: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return the best (B, 3) with c >= 0 and a >= 0, and (B,) its squared relative errors."""
    low, high = (
        np.full(len(values), math.log(_STEEPNESS[0])),
        np.full(len(values), math.log(_STEEPNESS[1])),
    )
    for steps in (_GRID, *[_FINER] * _ROUNDS):
        grid = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, steps)  # (B, G) ln b
        params, error = _lines(x, values, np.exp(grid))
        rows, at = np.arange(len(values)), error.argmin(axis=1)
        best, least = params[rows, at], error[rows, at]
        low, high = grid[rows, np.maximum(at - 1, 0)], grid[rows, np.minimum(at + 1, steps - 1)]
    best[best[:, 0] <= ROUNDING * best[:, 2], :2] = 0.0  # flat: any exponent would do
    return best, least


def _lines(x: Floats, values: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return for each (B, G) exponent the best a, b, c (B, G, 3), and (B, G) squared relative
    errors.
    """
    power, y = _power(x, b[:, :, None]), values[:, None]  # (B, G, M), (B, 1, M)
    share = 1 / values**2
    share = (share / share.sum(axis=1, keepdims=True))[:, None]
    middle, mean = (share * power).sum(-1), (share * y).sum(-1)
    off = power - middle[:, :, None]
    a = (share * off * (y - mean[:, :, None])).sum(-1) / np.maximum(
        (share * off**2).sum(-1), 1e-300
    )
    c = mean - a * middle
    falls, below = a > 0, c < 0
    c = np.where(falls, np.maximum(c, 0.0), mean)
    a = np.where(
        falls & below,
        (share * power * y).sum(-1) / (share * power**2).sum(-1),
        np.where(falls, a, 0.0),
    )
    error = (((a[:, :, None] * power + c[:, :, None]) / y - 1) ** 2).sum(-1)
    return np.stack([a, b, c], axis=-1), error


# ---- how far the models lie off


def _from_models(best: Floats, x: Floats, errors: Floats) -> Estimate:
    """Return the exponent with Student's interval: (M,) relative errors, linearised at the fit."""
    from scipy.special import stdtrit

    a, b, c = best
    falling = a * _power(x, b)
    loss = falling + c
    slopes = np.stack([falling, -falling * np.log(x), np.ones_like(x)], axis=1) / loss[:, None]
    free = 3 if c > 0 else 2  # parameters that the data had a say in
    slopes = slopes[:, :free]  # of ln loss by ln a, b and c
    freedom = len(x) - free
    if freedom < 1 or a <= 0:
        return Estimate(float(b))
    inverse = np.linalg.pinv(slopes.T @ slopes, hermitian=True)
    deviation = math.sqrt(float((errors**2).sum()) / freedom * inverse[1, 1])
    half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 200)) * deviation
    return Estimate(float(b), float(b) - half, float(b) + half)


def _notes(found: Losses, best: Floats, with_floor: bool) -> list[str]:
    notes = []
    if len(set(found.sizes.tolist())) < len(found.models):
        notes.append("Some models have the same size; each counts as a point.")
    if found.num_texts < FEWEST_TEXTS:
        few = f"With fewer than {FEWEST_TEXTS} texts"
        notes.append(f"{few}, nothing shows how far others would move the curve.")
    if with_floor and best[1] > 0.99 * _STEEPNESS[1]:
        notes.append(
            "The loss falls in one step and then stays: that is no power law, and its exponent only"
            " a bound."
        )
    if with_floor and best[2] == 0:
        notes.append("No floor can be seen: the loss falls as a plain power law or slower.")
    if best[0] <= 0 or abs(best[1]) <= ROUNDING:
        notes.append("The loss does not depend on the size.")
    return notes


def merged(sizes: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return the different sizes, and of (B, M) values the mean of the models of one size."""
    different, which, times = np.unique(sizes, return_inverse=True, return_counts=True)
    member = np.zeros((len(sizes), len(different)))
    member[np.arange(len(sizes)), which] = 1 / times[which]
    return different, values @ member
