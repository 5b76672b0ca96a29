"""What is the exact value of `12 * (3 + 4) / 5`? Fractions, no floating point, nothing evaluated by
Python.

    sum      = product (("+" | "-") product)*
    product  = signed (("*" | "/") signed | signed that begins with a bracket)*
    signed   = ("-" | "+")* power
    power    = operand ("^" signed)?
    operand  = number | "(" sum ")" | "\\frac" group group

A percentage is read in three ways, as people write it: 20 % is 0.2 (`20% * 50 = 10`), 20
(`5 / 20 * 100 = 25%`) or 20 % of what it is added to (`50 + 20% = 60`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from accuracy.tasks.errors.tokens import Token

_DEEPEST = 20  # brackets in brackets
_LARGEST_EXPONENT = 100
_MOST_BITS = 4_096  # of a power
Percent = Literal["share", "number", "more"]


class Expression(NamedTuple):
    """One side of an equation. `values` has what it may mean, the strict meaning first; nothing
    where a part of it is unknown.
    """

    text: str
    tokens: Sequence[Token]
    values: tuple[Fraction, ...]
    is_sure: bool  # that all of it was read, and read as it is meant

    @property
    def is_calculation(self) -> bool:
        """Does it have a sign between two operands?"""
        return any(one.kind in ("sign", "frac") for one in self.tokens[1:]) or self._is_frac

    @property
    def _is_frac(self) -> bool:
        return bool(self.tokens) and self.tokens[0].kind == "frac"

    @property
    def is_percentages(self) -> bool:
        """Is each of its numbers a percentage?"""
        numbers = [one for one in self.tokens if one.kind == "number"]
        return bool(numbers) and all(one.is_percent for one in numbers)

    @property
    def has_percentage(self) -> bool:
        return any(one.is_percent for one in self.tokens)

    @property
    def unit(self) -> str:
        """The word behind its last operand."""
        return self.tokens[-1].unit if self.tokens else ""


NOTHING = Expression("", (), (), False)


def read(text: str, found: Sequence[Token]) -> Expression:
    """Return the expression that these tokens of a text are."""
    if not found:
        return NOTHING
    written = " ".join(text[found[0].start : found[-1].end].split())
    has_percentage = any(one.is_percent for one in found)
    meanings: tuple[Percent, ...] = ("share", "number", "more") if has_percentage else ("share",)
    values = []
    is_sure = True
    for percent in meanings:
        parser = _Parser(found, percent)
        try:
            values.append(parser.whole())
        except _UnknownError:
            return Expression(written, found, (), False)
        is_sure &= parser.is_sure
    return Expression(written, found, tuple(dict.fromkeys(values)), is_sure)


class _UnknownError(Exception):
    """The tokens are no expression, or one whose value is not known."""


class _Parser:
    """Reads tokens from left to right."""

    def __init__(self, found: Sequence[Token], percent: Percent) -> None:
        self._all, self._percent, self._at, self._depth = found, percent, 0, 0
        self.is_sure = True

    def whole(self) -> Fraction:
        value = self._sum()
        if self._at < len(self._all):
            raise _UnknownError
        return value

    @property
    def _next(self) -> Token | None:
        return self._all[self._at] if self._at < len(self._all) else None

    def _is_next(self, kind: str, *texts: str) -> bool:
        one = self._next
        return one is not None and one.kind == kind and (not texts or one.text in texts)

    def _take(self) -> Token:
        one = self._next
        if one is None:
            raise _UnknownError
        self._at += 1
        return one

    def _sum(self) -> Fraction:
        value = self._product()
        while self._is_next("sign", "+", "-"):
            sign = 1 if self._take().text == "+" else -1
            first = self._at
            part = self._product()
            is_share = self._at == first + 1 and self._all[first].is_percent
            value += sign * part * (value if is_share and self._percent == "more" else 1)
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while True:
            if self._is_next("sign", "*"):
                self._take()
                value *= self._signed()
            elif self._is_next("sign", "/"):
                self._take()
                value = _over(value, self._signed())
            elif self._is_next("open") or self._is_next("frac"):
                one = self._next
                self.is_sure &= one is not None and one.is_glued and one.kind == "open"
                value *= self._power()
            else:
                return value

    def _signed(self) -> Fraction:
        sign = 1
        while self._is_next("sign", "-", "+"):
            sign *= -1 if self._take().text == "-" else 1
        return sign * self._power()

    def _power(self) -> Fraction:
        base = self._operand()
        if not self._is_next("sign", "^"):
            return base
        self._take()
        return _raised(base, self._inner(self._signed))

    def _operand(self) -> Fraction:
        one = self._take()
        if one.kind == "number":
            is_share = one.is_percent and self._percent != "number"
            return one.value / 100 if is_share else one.value
        if one.kind == "frac":
            return self._frac()
        if one.kind != "open":
            raise _UnknownError
        return self._group()

    def _group(self) -> Fraction:
        """Read what stands in brackets, the first of which was taken, and the second one."""
        value = self._inner(self._sum)
        if self._take().kind != "close":
            raise _UnknownError
        return value

    def _frac(self) -> Fraction:
        one = self._take()
        if one.kind == "number" and one.text.isdigit() and len(one.text) == 2:
            return _over(Fraction(one.text[0]), Fraction(one.text[1]))
        if one.kind != "open":
            raise _UnknownError
        over = self._group()
        if self._take().kind != "open":
            raise _UnknownError
        return _over(over, self._group())

    def _inner(self, read: Callable[[], Fraction]) -> Fraction:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _UnknownError
        value = read()
        self._depth -= 1
        return value


def _over(value: Fraction, by: Fraction) -> Fraction:
    if not by:
        raise _UnknownError
    return value / by


def _raised(base: Fraction, exponent: Fraction) -> Fraction:
    is_small = exponent.denominator == 1 and abs(exponent) <= _LARGEST_EXPONENT
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if not is_small or bits * abs(exponent) > _MOST_BITS or (not base and exponent < 0):
        raise _UnknownError
    return base ** int(exponent)
