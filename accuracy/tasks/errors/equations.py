"""Which equations does an answer write, and do they hold? `12 * 3 = 36`, `<<12*3=36>>36`,
`12 \\times 3 = 36`, chains `2 + 3 = 5 * 4 = 20`.

An equation counts only if its left side is a calculation of known numbers. It holds if both sides
are equal exactly; a result may be rounded to the digits that are written (10 / 3 = 3.33), to a
whole number only where that moves it by half a percent at most. What may be read in another way,
`half of 3 * 4 = 6`, `1/2 hour = 30 minutes`, is no equation unless it holds: an equation that is
called wrong shall be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from accuracy.tasks.errors.expressions import Expression, read
from accuracy.tasks.errors.spans import after, before, resolved
from accuracy.tasks.errors.tokens import Token, tokens, words

_LONGEST_TEXT = 20_000  # characters: what is longer is no solution of a problem
_ANNOTATION = re.compile(r"<<([^<>\n]{0,200})>>")
_WHOLE_MAY_MOVE = Fraction(1, 200)
_ABOUT_MAY_MOVE = Fraction(1, 50)  # where the answer writes "about"
_MEASURES = words(
    "h hr hrs hour minute min second sec day week month year km m cm mm meter metre kilometer"
    " kilometre centimeter centimetre mile foot feet inch yard kg g gram kilogram pound ounce oz"
    " ton litre liter l ml gallon cup pint quart dollar cent euro penny dime nickel quarter"
)


class Equation(NamedTuple):
    """A calculation that an answer writes down, and what it says the result is."""

    left: str
    right: str
    value: Fraction  # of the left side
    written: Fraction  # of the right side
    is_right: bool
    side: Expression  # the left side, to be calculated again

    @property
    def text(self) -> str:
        return f"{self.left} = {self.right}"


def equations(text: str) -> list[Equation]:
    """Return the equations of a text in order, each once; takes time in proportion to its length
    and raises nothing.
    """
    text = text[:_LONGEST_TEXT]
    text = re.sub(r"(?<=[0-9])(?:\{,\}|\\,|\\!|,\\!)(?=[0-9]{3}(?![0-9]))", ",", text)
    noted = (one[1] for one in _ANNOTATION.finditer(text))
    parts = [_ANNOTATION.sub(" ", text), *noted]
    found = dict[tuple[Fraction, Fraction], Equation]()
    for part in parts:
        for one in _equations(part):
            found.setdefault((one.value, one.written), one)
    return list(found.values())


def repaired(steps: Sequence[Equation], result: Fraction) -> Fraction:
    """Return what a result would be, had every equation that leads to it been calculated rightly:
    a wrong result is put right in the equations that follow, too. Where two have the same wrong
    result, the first counts: what the text says before what an annotation does.
    """
    exact = dict[Fraction, Fraction]()  # by what the text has in its place
    for one in steps:
        again = [
            token._replace(value=exact.get(token.value, token.value)) for token in one.side.tokens
        ]
        value = next(iter(read("", again).values), one.value)
        if value != one.written and not (one.is_right and again == list(one.side.tokens)):
            exact.setdefault(one.written, value)
    return exact.get(result, result)


def numbers(text: str) -> set[Fraction]:
    """Return the numbers that a text mentions."""
    return {one.value for one in tokens(text[:_LONGEST_TEXT]) if one.kind == "number"}


def written(value: Fraction) -> str:
    """Write a number as people do: 12, 0.25, 1/3."""
    if value.denominator == 1:
        return str(value.numerator)
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1 or value.denominator > 10**6:
        return f"{value.numerator}/{value.denominator}"
    return f"{Decimal(value.numerator) / Decimal(value.denominator):f}"


def _equations(text: str) -> Iterator[Equation]:
    found = resolved(tokens(text))
    for i, one in enumerate(found):
        if one.kind == "equals" and (made := _equation(text, found, i)) is not None:
            yield made


def _equation(text: str, found: Sequence[Token], equals: int) -> Equation | None:
    """Return the equation at a sign of equality; None where there is none to check."""
    start, is_whole = before(found, equals)
    left = read(text, found[start:equals])
    if not left.values or not left.is_calculation:
        return None
    right = read(text, found[equals + 1 : after(found, equals)])
    if not right.values:
        return None
    is_about = found[equals].text != "="
    held = _held(left, right, is_about)
    if held is not None:
        return Equation(left.text, right.text, held[0], held[1], True, left)
    if not (is_whole and left.is_sure and right.is_sure) or _is_conversion(left, right):
        return None
    if _first(text, right) in left.values:  # 12 * 3 = 36 + 4 = 40
        return Equation(left.text, right.text, left.values[0], left.values[0], True, left)
    value = min(_meanings(left, right), key=lambda value: abs(value - right.values[0]))
    return Equation(left.text, right.text, value, right.values[0], False, left)


def _held(left: Expression, right: Expression, is_about: bool) -> tuple[Fraction, Fraction] | None:
    """Return the meanings of both sides that are equal; None if there are none."""
    for value in _meanings(left, right):
        for result in right.values:
            if value == result or _is_rounded(value, result, right, is_about):
                return value, result
    return None


def _meanings(left: Expression, right: Expression) -> Sequence[Fraction]:
    """Return what a left side may mean; a percentage is a share of 1 in 20% * 50 = 1000."""
    is_loose = right.has_percentage or left.is_percentages or left.tokens[-1].is_percent
    return left.values if is_loose else left.values[:1]


def _is_rounded(value: Fraction, result: Fraction, right: Expression, is_about: bool) -> bool:
    """Is a result the rounded value?"""
    error = abs(value - result)
    if is_about and error <= abs(value) * _ABOUT_MAY_MOVE:
        return True
    last = right.tokens[-1]
    if len(right.tokens) > 2 or last.kind != "number":
        return False
    places = len(last.text.partition(".")[2])
    unit = Fraction(1, 10**places) * (result / last.value if last.value else 1)
    if not places:
        return error <= abs(unit) / 2 and error <= abs(value) * _WHOLE_MAY_MOVE
    return error <= abs(unit) / 2 or (places > 1 and abs(result) < abs(value) and error < abs(unit))


def _is_conversion(left: Expression, right: Expression) -> bool:
    """May the two sides be in different units: 1/2 hour = 30 minutes, 1/4 = 3 apples?"""
    units = [side.unit.removesuffix("s") for side in (left, right)]
    if units[0] != units[1] and all(unit in _MEASURES for unit in units):
        return True
    is_fraction = len(left.tokens) == 3 and left.tokens[1].text == "/" and 0 < left.values[0] < 1
    is_part = right.is_calculation or right.has_percentage or abs(right.values[0]) < 1
    return is_fraction and not is_part


def _first(text: str, side: Expression) -> Fraction | None:
    """Return the value of the first operand of a calculation."""
    if not side.is_calculation or side.tokens[0].kind != "number":
        return None
    return read(text, side.tokens[:1]).values[0]
