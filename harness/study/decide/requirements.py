"""What must a deployment keep to be chosen? "rouge>=99%, ttft_p99<=2s, memory<=8GiB" in, checked
limits out.

A requirement is a figure, >= or <= (or > and <, which mean the same), and a number with its unit.
Times, memory and shares need their unit: 8 is no memory, and 0.99 might be 99 % or less than one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from harness.kernel.errors import BadInput
from harness.kernel.words.measure import UNITS, Measure
from harness.study.decide.figures import find

FLAG = "--require"
_ONE = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(>=|<=|>|<|==|=|≥|≤)\s*(\S.*?)\s*")
_NUMBER = re.compile(r"\$?([+-]?(?:\d[\d_]*)?\.?\d+(?:[eE][+-]?\d+)?)\s*([A-Za-zµ%]*)")
_SIGNS = {">=": ">=", ">": ">=", "≥": ">=", "<=": "<=", "<": "<=", "≤": "<="}
_EXAMPLES = {"s": "2s", "bytes": "8GiB", "share": "99%", "of 100": "40", "USD": "10"}


class Requirement(NamedTuple):
    """A limit on a figure, in seconds, bytes, a share of 1, or the figure's own unit."""

    measure: Measure
    sign: Literal[">=", "<="]
    limit: float
    text: str  # as it was asked for

    def holds(self, value: float) -> bool:
        """Does a value keep it?"""
        return value >= self.limit if self.sign == ">=" else value <= self.limit

    def missing(self, value: float) -> float:
        """Return by how much of the limit a value misses it; negative: what it has to spare."""
        difference = self.limit - value if self.sign == ">=" else value - self.limit
        return difference / abs(self.limit) if self.limit else difference


def requirements(text: str) -> list[Requirement]:
    """Read and check them. Raises BadInput."""
    parts = [part for part in text.split(",") if part.strip()]
    found = [_one(part) for part in parts]
    _check_together(found)
    return found


def _one(part: str) -> Requirement:
    match = _ONE.fullmatch(part)
    if match is None:
        fine = "expected a figure, >= or <=, and a limit"
        raise BadInput(FLAG, f"{part.strip()!r} cannot be read", fine, "For example: memory<=8GiB.")
    name, sign, limit = match.groups()
    if sign not in _SIGNS:
        found, fine = f"{part.strip()!r} asks for one exact value", "expected >= or <="
        raise BadInput(FLAG, found, fine, f"For example: {name}>={limit}.")
    measure = find(name, FLAG)
    value = _limit(measure, limit, part.strip())
    return Requirement(measure, ">=" if _SIGNS[sign] == ">=" else "<=", value, part.strip())


def _limit(measure: Measure, text: str, part: str) -> float:
    """Return a limit in the figure's own unit. Raises BadInput for a number that is none, and for
    a unit that is not the figure's, or is missing.
    """
    match, units = _NUMBER.fullmatch(text), UNITS[measure.kind]
    example = f"For example: {measure.name}{'>=' if measure.better == 'higher' else '<='}"
    example += f"{_EXAMPLES.get(measure.kind, '100')}."
    if match is None:
        raise BadInput(FLAG, f"{part!r} has no number as its limit", "", example)
    unit = match[2].replace("µ", "u")
    usual = ", ".join(name for name in list(units)[:3] if name)
    if not unit and "" not in units:
        found = f"the limit of {part!r} has no unit"
        raise BadInput(FLAG, found, f"expected one, such as {usual}", example)
    if unit not in units:
        fine = f"expected {usual}" if usual else "expected a number without a unit"
        raise BadInput(FLAG, f"{unit!r} is no unit of {measure.name}", fine, example)
    value = float(match[1].replace("_", "")) * units[unit]
    if not math.isfinite(value) or value < 0:
        raise BadInput(FLAG, f"the limit of {part!r} is {match[1]}", "expected 0 or more", example)
    return value


def _check_together(asked: Sequence[Requirement]) -> None:
    """Refuse limits of one figure that no value can keep, or that say the same twice. Raises
    BadInput.
    """
    for i, one in enumerate(asked):
        for other in asked[:i]:
            if other.measure != one.measure:
                continue
            if other.sign == one.sign:
                found = f"{other.text} and {one.text} are two limits of one kind"
                raise BadInput(FLAG, found, "expected one", "Leave the looser one out.")
            least, most = (one, other) if one.sign == ">=" else (other, one)
            if least.limit > most.limit:
                found = f"{least.text} and {most.text} contradict each other"
                raise BadInput(FLAG, found, "no value keeps both", "Change one of them.")


class Objective(NamedTuple):
    """The figure that decides between those that keep every requirement."""

    measure: Measure
    largest: bool

    def better(self, value: float, other: float) -> bool:
        """Is a value better than another one?"""
        return value > other if self.largest else value < other


def objective(maximise: str | None, minimise: str | None, default: str) -> Objective:
    """Return what is sought. Raises BadInput where both are given, or the direction is wrong."""
    if maximise is not None and minimise is not None:
        found, fine = "both --maximise and --minimise are given", "expected one of them"
        raise BadInput("decide", found, fine, "Make the other one a requirement.")
    if maximise is None and minimise is None:
        measure = find(default, "decide")
        return Objective(measure, measure.better == "higher")
    flag = "--maximise" if minimise is None else "--minimise"
    measure = find(str(maximise if minimise is None else minimise), flag)
    wanted = "lower" if minimise is None else "higher"
    if measure.better == wanted:
        turned = "--minimise" if minimise is None else "--maximise"
        found = f"{measure.name} is better when it is {wanted}"
        raise BadInput(flag, found, f"expected {turned}", f"Pass {turned} {measure.name}.")
    return Objective(measure, minimise is None)
