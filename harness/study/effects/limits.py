"""Which changes would be too large, and is that so? --fail-if in words, PASS / FAIL / INCONCLUSIVE
out.

    ttft_p99>+5%          fails if TTFT p99 rose by more than 5 %
    tokens_per_s<-3%      fails if the rate fell by more than 3 %
    latency_mean>+50ms    the same of a difference; in us, ms, s, B, MiB, GiB

FAIL: the data show a change beyond the limit; the chance that any of the limits fails wrongly is
2.5 % at most (one side of a 95 % interval, Holm's correction). PASS: the 95 % interval excludes
such a change; as all limits must pass together, that needs no correction. INCONCLUSIVE: the data
can tell neither.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.kernel.errors import BadInput
from harness.kernel.stats import holm
from harness.study.effects.effect import CONFIDENCE, Effect, effect
from harness.study.effects.figures import Figure, named
from harness.study.effects.readings import Reading

DOING = "--fail-if"
_EXAMPLE = 'For example: --fail-if "ttft_p99>+5%, tokens_per_s<-3%".'
_TERM = re.compile(r"([\w.]+)\s*([<>])\s*([+-])\s*(\d+(?:\.\d*)?|\.\d+)\s*([^\s\d].*)?")
_UNITS = {
    "ms": {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3},
    "B": {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
}
_ONE_SIDE = (1 - CONFIDENCE) / 2


class Limit(NamedTuple):
    """A change that is too large: `change` is a share of the baseline (0.05) if `is_percent`, else
    in the figure's unit.
    """

    text: str
    figure: Figure
    above: bool
    change: float
    is_percent: bool

    @property
    def on_scale(self) -> float:
        """Return it as effects have it: a logarithm of a ratio, or a difference."""
        return math.log1p(self.change) if self.is_percent else self.change


class Verdict(NamedTuple):
    """What became of one limit. `needed` is how many samples or runs a side would decide it."""

    status: str  # PASS, FAIL, INCONCLUSIVE
    found: Effect | None
    needed: int | None = None
    why: str = ""


# ---- the words


def parse(text: str) -> list[Limit]:
    """Read the terms of --fail-if. Raises BadInput."""
    terms = [term.strip() for term in text.split(",")]
    if not any(terms):
        raise BadInput(DOING, "it is empty", "expected limits of figures", _EXAMPLE)
    if "" in terms:
        raise BadInput(DOING, f"{text!r} has an empty limit", "", "Remove the extra comma.")
    limits = [_limit(term) for term in terms]
    for one in limits:
        _refuse_contradiction(one, limits)
    return limits


def _limit(term: str) -> Limit:
    found = _TERM.fullmatch(term)
    if not found:
        unsigned = re.fullmatch(r"[\w.]+\s*[<>]\s*[\d.].*", term)
        fine = "expected a figure, > or <, and a change with its sign and unit"
        if unsigned:
            fine = "expected a change, which has a sign: + for a rise, - for a fall"
        raise BadInput(DOING, f"{term!r} is not a limit", fine, _EXAMPLE)
    name, sign, direction, digits, unit = found.groups()
    figure = named(name, DOING)
    size = float(digits) * (1 if direction == "+" else -1)
    unit = (unit or "").strip()
    if unit == "%":
        if size <= -100:
            fine = "expected a change above -100 %, at which nothing is left"
            raise BadInput(DOING, f"{term!r} can never be reached", fine, _EXAMPLE)
        return Limit(_clean(term), figure, sign == ">", size / 100, True)
    return Limit(_clean(term), figure, sign == ">", size * _factor(term, unit, figure), False)


def _factor(term: str, unit: str, figure: Figure) -> float:
    """Return how much of the figure's unit one of `unit` is. Raises BadInput."""
    units = _UNITS.get(figure.unit, {figure.unit: 1.0})
    bare_is_fine = figure.unit not in _UNITS  # of a time or a size, nobody knows which
    if unit in units or (not unit and bare_is_fine):
        return units.get(unit, 1.0)
    found = f"{term!r} has the unit {unit!r}" if unit else f"{term!r} has no unit"
    known = ", ".join(filter(None, ("%", *units)))
    raise BadInput(DOING, found, f"expected one of {known}", _EXAMPLE)


def _clean(term: str) -> str:
    return re.sub(r"\s+", "", term)


def _refuse_contradiction(one: Limit, limits: Sequence[Limit]) -> None:
    """Refuse two limits that no run can keep both."""
    for other in limits:
        is_pair = other.figure == one.figure and other.is_percent == one.is_percent
        if is_pair and one.above and not other.above and other.change > one.change:
            fine = "no change keeps both"
            raise BadInput(DOING, f"{one.text} and {other.text} contradict", fine, "Leave one out.")


# ---- the verdict

Side = Sequence[Mapping[str, Reading]]


def judge(limits: Sequence[Limit], before: Side, after: Side) -> list[Verdict]:
    """Judge the runs of one side beside those of the other, a verdict a limit."""
    effects = [_effect(limit, before, after) for limit in limits]
    corrected = holm(
        [
            1.0 if found is None else found.p_beyond(limit.on_scale, limit.above)
            for limit, found in zip(limits, effects, strict=True)
        ]
    )
    return [
        _verdict(limit, found, p)
        for limit, found, p in zip(limits, effects, corrected, strict=True)
    ]


def _effect(limit: Limit, before: Side, after: Side) -> Effect | None:
    name = limit.figure.name
    first, second = ([run[name] for run in side if name in run] for side in (before, after))
    if not first or not second:
        return None
    return effect(first, second, as_ratio=limit.is_percent)


def _verdict(limit: Limit, found: Effect | None, p_fail: float) -> Verdict:
    if found is None:
        why = f"no {limit.figure.name} was measured on both sides"
        return Verdict("INCONCLUSIVE", None, why=why)
    if limit.is_percent and not found.is_ratio:
        return Verdict("INCONCLUSIVE", found, why="a change from 0 has no percentage")
    ends = found.ends()
    if ends is None:
        return Verdict("INCONCLUSIVE", found, found.fewest or None, found.why)
    if p_fail < _ONE_SIDE:
        return Verdict("FAIL", found)
    low, high = ends
    if (high <= limit.on_scale) if limit.above else (low >= limit.on_scale):
        return Verdict("PASS", found)
    return Verdict("INCONCLUSIVE", found, found.needed(_distance(limit, found)))


def _distance(limit: Limit, found: Effect) -> float:
    """Return what must be told apart: the limit from no change; from the change as it was seen,
    where that is beyond the limit.
    """
    past = found.change - limit.on_scale
    is_beyond = past > 0 if limit.above else past < 0
    return past if is_beyond or limit.on_scale == 0 else limit.on_scale


def overall(statuses: Sequence[str]) -> str:
    """Return FAIL if any fails, PASS if all pass."""
    for status in ("FAIL", "INCONCLUSIVE"):
        if status in statuses:
            return status
    return "PASS"
