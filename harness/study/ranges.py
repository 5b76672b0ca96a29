"""Which values does a list on the command line name? Text in, the text of each value out.

    LIST    PART,PART,...
    PART    VALUE              as it stands
            FIRST..LAST        every whole number; after other values, their step goes on
            FIRST..LAST+STEP   add STEP each time
            FIRST..LAST*FACTOR multiply by FACTOR each time

`-` may stand for `..`. LAST is a value if the steps meet it, and is never passed:

    1..4         1,2,3,4          1-128*2      1,2,4,8,16,32,64,128
    1..10+4      1,5,9            1,2,4..64    1,2,4,8,16,32,64
    0.1..0.3+0.1 0.1,0.2,0.3      5,10,15..30  5,10,15,20,25,30
    1s..3s+1s    1s,2s,3s

A step goes on where the two values before FIRST, with it, have one difference or one ratio. From
fewer nobody can tell which it is (2,4..64), so that is refused. Ranges are for numbers and times
alone: in a list of names `int4-quanto` and `a..b` are names. Steps are exact: decimals, not floats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from harness.kernel.errors import BadInput
from harness.options.option import flag_of

MOST = 10_000  # values of one list
_NUMBER = r"(?:\d{1,18}(?:\.\d{1,18})?|\.\d{1,18})(?:[eE][-+]?\d{1,2})?"
_UNIT = r"ms|s|min|m|h"
_RANGE = re.compile(
    rf"({_NUMBER})({_UNIT})?\s*(?:\.\.|-)\s*({_NUMBER})({_UNIT})?"
    rf"(?:\s*([+*])\s*({_NUMBER})({_UNIT})?)?"
)
_VALUE = re.compile(rf"({_NUMBER})({_UNIT})?")


class _Step(NamedTuple):
    """How to come from one value to the next."""

    is_factor: bool
    size: Fraction

    def after(self, value: Fraction) -> Fraction:
        return value * self.size if self.is_factor else value + self.size


def values_of(name: str, text: str, is_number: bool) -> list[str]:
    """Return the values of a setting's list, in order. Raises BadInput."""
    parts = [part.strip() for part in text.split(",")]
    if "" in parts and len(parts) > 1:
        found, fine = f"{text!r} has an empty value", "expected values such as 8,32"
        raise BadInput(flag_of(name), found, fine, "Remove the extra comma.")
    if not is_number:
        return parts
    values: list[str] = []
    for part in parts:
        match = _RANGE.fullmatch(part)
        values += _expanded(name, part, match, values) if match else [_plain(name, part)]
        if len(values) > MOST:
            raise _refused(name, text, f"has more than {MOST:,} values", "Use a larger step.")
    return values


def is_list(text: str, is_number: bool) -> bool:
    """Does it name several values, or might it?"""
    return "," in text or (is_number and ".." in text) or bool(is_number and _RANGE.fullmatch(text))


def _plain(name: str, part: str) -> str:
    if ".." in part:
        todo = "Write FIRST..LAST, FIRST..LAST+STEP or FIRST..LAST*FACTOR, such as 1..64*2."
        raise _refused(name, part, "is no range", todo)
    return part


def _expanded(name: str, part: str, match: re.Match[str], before: Sequence[str]) -> list[str]:
    """Return the values of one range. Raises BadInput."""
    first_text, first_unit, last_text, last_unit, sign, step_text, step_unit = match.groups()
    unit = _unit(name, part, (first_unit, last_unit), step_unit if sign == "+" else first_unit)
    if sign == "*" and step_unit:
        raise _refused(name, part, "multiplies by a time", "Write a factor without a unit.")
    first, last = Fraction(first_text), Fraction(last_text)
    if first > last:
        raise _refused(name, part, "begins above its end", "Write the smaller value first.")
    if sign is not None:
        step = _Step(sign == "*", Fraction(step_text))
    else:
        step = _going_on(name, part, before, first, last, unit)
    if step.after(first) <= first:
        what = "multiply by more than 1" if step.is_factor else "add more than 0"
        raise _refused(name, part, "never comes to its end", f"Let it {what}, from above 0.")
    return [f"{_written(value)}{unit}" for value in _from(first, last, step)]


def _unit(name: str, part: str, units: Sequence[str | None], of_step: str | None) -> str:
    """Return the unit that all of a range has; "" for none. Raises BadInput."""
    named = {unit or "" for unit in (*units, of_step)}
    if len(named) > 1:
        raise _refused(name, part, "mixes units", "Write the same unit everywhere: 1s..5s+1s.")
    return named.pop()


def _from(first: Fraction, last: Fraction, step: _Step) -> Iterator[Fraction]:
    value = first
    for _ in range(MOST + 1):
        if value > last:
            return
        yield value
        value = step.after(value)


def _going_on(
    name: str, part: str, before: Sequence[str], first: Fraction, last: Fraction, unit: str
) -> _Step:
    """Return the step of the values before a range; 1 where there are none. Raises BadInput."""
    if not before:
        if first.denominator == last.denominator == 1 and not unit:
            return _Step(False, Fraction(1))
        raise _refused(name, part, "has no step", f"Write it, as in {part}+1 or {part}*2.")
    known = [_VALUE.fullmatch(text) for text in before[-2:]]
    seen = [Fraction(m[1]) for m in known if m and (m[2] or "") == unit]
    if len(seen) == 2:
        earlier, later = seen
        if first - later == later - earlier:
            return _Step(False, first - later)
        if earlier and later and first / later == later / earlier:
            return _Step(True, first / later)
    found = "goes on from values that show no step"
    todo = f"Write it, as in {part}+1 or {part}*2, or three values before it, as in 1,2,4..64."
    raise _refused(name, part, found, todo)


def _written(value: Fraction) -> str:
    """Write an exact decimal: 0.3, 64."""
    if value.denominator == 1:
        return str(value.numerator)
    digits = 0
    while (value * 10**digits).denominator != 1 and digits < 12:
        digits += 1
    return f"{float(value):.{digits}f}".rstrip("0")


def _refused(name: str, part: str, found: str, todo: str) -> BadInput:
    fine = "expected a list such as 1,2,4..64 or 1..128*2"
    return BadInput(flag_of(name), f"{part!r} {found}", fine, todo)
