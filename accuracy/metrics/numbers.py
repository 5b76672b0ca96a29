"""Is the output's final answer the reference's number or expression? For references with `#### 18`
or `\\boxed{...}`.

The answer is what the reference's own mark shows in the output (strict). Without it, the other
mark; for MATH then the formula that follows "answer is"; at last the last number in the text
(flexible). `read` says which of them it was.

- GSM8K (Cobbe et al. 2021): the first "#### number", as in lm-eval's strict-match; its
  flexible-extract is the last number whether or not there is a mark; MLPerf's is as here. Numbers
  are equal by value: 1,234 = 1234.00.
- MATH (Hendrycks et al. 2021): the last box that is closed. Expressions are equal as LaTeX after
  `plain`, which undoes differences of writing in the manner of Lewkowycz et al. 2022 (Minerva):
  fractions, roots, units, thousands, percent, degrees, `\\text`, `\\left`, `\\right`, spaces.
  Numbers and fractions of numbers are equal by value: 0.5 = \\frac12. There is no algebra: x+1 is
  not 1+x, which lm-eval's sympy would accept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.metrics.references import (
    DIGITS,
    HASHED,
    after_thinking,
    boxed,
    hashed,
    of_kind,
    pairs,
)
from harness.kernel.log import RunLog
from harness.kernel.types import Metric, Sample

KINDS = ("number_match", "number_match_strict")
How = Literal["####", "boxed", "stated", "last number", ""]


class Reading(NamedTuple):
    """An answer and where it stood; "" where there was none."""

    answer: str
    how: How


def references(samples: Sequence[Sample]) -> dict[int, str]:
    return of_kind(samples, "number")


def number_match(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Return the right answers in percent, flexible and strict, over the samples `ids` whose
    reference has a mark.

    With them: how many outputs had that mark, and in how many there was nothing to read (wrong).
    """
    compared = pairs(log, references(samples), ids)
    if not compared:
        return []
    wanted = [target(reference) for _, reference in compared]
    found = [read(text, want.how) for (text, _), want in zip(compared, wanted, strict=True)]
    right = np.array(
        [same(is_.answer, want.answer) for is_, want in zip(found, wanted, strict=True)]
    )
    marked = np.array([is_.how == want.how for is_, want in zip(found, wanted, strict=True)])
    n = len(compared)
    return [
        Metric("number_match", round(100 * float(right.mean()), 4), "%", n),
        Metric("number_match_strict", round(100 * float((right & marked).mean()), 4), "%", n),
        Metric("number_match_marked", float(marked.sum()), "answers", n),
        Metric("number_match_unread", float(sum(not is_.how for is_ in found)), "answers", n),
    ]


def score(text: str, reference: str) -> tuple[float, float]:
    """Return (flexible, strict), each 1 or 0; both 0 for a reference without a mark."""
    wanted = target(reference)
    found = read(text, wanted.how)
    right = bool(wanted.how) and same(found.answer, wanted.answer)
    return float(right), float(right and found.how == wanted.how)


def target(reference: str) -> Reading:
    """Return what the reference asks for, and its mark."""
    if number := hashed(reference):
        return Reading(number, "####")
    box = (boxed(reference) or "").strip()
    return Reading(box, "boxed") if box else Reading("", "")


def read(text: str, mark: How = "####") -> Reading:
    """Return the final answer of an output, where the reference has this mark."""
    text = _numerals(after_thinking(text))
    box = (boxed(text) or "").strip()
    if box and mark == "boxed":
        return Reading(box, "boxed")
    if found := _FIRST_HASHED.search(text):
        return Reading(found["minus"] + found["digits"], "####")
    if box:
        return Reading(box, "boxed")
    if mark == "boxed" and (stated := _STATED.findall(text)):
        return Reading("".join(stated[-1]).strip(), "stated")
    if numbers := _NUMBER.findall(_DOLLAR.sub("", text)):
        return Reading(numbers[-1], "last number")
    return Reading("", "")


_FIRST_HASHED = re.compile(rf"{HASHED}(?![.)][ \t]+\S)")  # not the heading "#### 1. First"
_STATED = re.compile(r"(?i:\banswer\s+is)\s*:?\s*(?:\$([^$\n]{1,200})\$|\\\((.{1,200}?)\\\))")
_NUMBER = re.compile(rf"(?:(?<![\w)}}\].])-)?(?:{DIGITS})(?:/[0-9]+)?")
_DOLLAR = re.compile(r"(?<![0-9])\\?\$(?=-?\.?[0-9])")


def _numerals(text: str) -> str:
    """Write numerals alike: one minus sign; 1{,}234, 1,\\!234 and 1\\,234 as 1,234."""
    return re.sub(
        r"(?<=[0-9])(?:\{,\}|,\\!|\\,|\\!)(?=[0-9]{3}(?![0-9]))",
        ",",
        text.replace("\N{MINUS SIGN}", "-"),
    )


def same(answer: str, wanted: str) -> bool:
    """Say whether two answers are equal as text once written plainly, or equal in value; nothing
    equals an empty answer.
    """
    ours, theirs = plain(answer), plain(wanted)
    if not ours or not theirs:
        return False
    if ours == theirs:
        return True
    number = value(ours)
    return number is not None and number == value(theirs)


# ---- LaTeX, written plainly

_UNITS = (
    "degrees? dollars? cents? percent units? points? seconds? minutes? hours? days? weeks? months?"
    " years? miles? mph inch(?:es)? foot feet ft yards? met(?:er|re)s? centimet(?:er|re)s?"
    " kilomet(?:er|re)s? mm cm km kg grams? kilograms? pounds? lit(?:er|re)s? ways? people"
    " students? digits? edges? meals? integers? multiples?"
).replace(" ", "|")
_LONGEST = 1_000  # characters: no final answer is as long, and what rambles on is compared as it is
_ARGUMENT = r"(\{[^{}]*\}|[0-9A-Za-z])"
_AFTER_VALUE = r"(?:(?<=[0-9})])|(?<=\\pi)|(?<=\\infty))"
_REWRITES = [
    (re.compile(pattern), by)
    for pattern, by in (
        (r"\\(?:left|right)(?![A-Za-z])\.?|\\[bB]igg?[lrm]?(?![A-Za-z])", ""),
        (r"\^?\{?\\(?:circ|degree)(?![A-Za-z])\}?", ""),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (
            r"\\(leq|geq|neq|lt|gt)(?![A-Za-z])",
            lambda m: {"lt": "<", "gt": ">"}.get(m[1], "\\" + m[1][:-1]),
        ),
        (r"(?<=\S)\s*\\(?:text|mbox|mathrm)\{\s[^{}]*\}(?:\^\{?[23]\}?)?$", ""),  # a unit
        # spaces, dollars, percent; \\ between the rows of a matrix stays
        (
            r"(\\\\)|\\[ ,;:!()\[\]$%]|\\q?quad(?![A-Za-z])|\\displaystyle(?![A-Za-z])|[\s~$%€£°]",
            r"\1",
        ),
        (r"\\(?:mbox|text[a-z]{2,6}|math(?:rm|bf|it|sf)|operatorname)(?=\{)", r"\\text"),
        (r",?\\text\{(?:and|or)\}", ","),
        (_AFTER_VALUE + r"\\text\{[^{}]*\}(?:\^\{?[23]\}?)?$", ""),  # one without a space before it
        (r"\\text\{([^{}]*)\}", r"\1"),
        (_AFTER_VALUE + rf"(?:square|cubic)?(?:{_UNITS})(?:per[a-z]+)?(?:\^\{{?[23]\}}?)?$", ""),
        (r"^[A-Za-z]{1,3}(?:\([A-Za-z]\)|_\{?\w\}?)?=(?=[^=]+$)", ""),  # x = 5
        (r"[.,;]+$|^\+", ""),
        (
            rf"\\frac{_ARGUMENT}{_ARGUMENT}",
            lambda m: "\\frac" + "".join(f"{{{part.strip('{}')}}}" for part in m.groups()),
        ),
        (
            r"(?<![\w.}/\\])((?:[0-9]*\\pi|[0-9]+|[A-Za-z]))/([0-9]+|[A-Za-z])(?![\w.{/\\])",
            r"\\frac{\1}{\2}",
        ),
        (r"\\sqrt([0-9A-Za-z])", r"\\sqrt{\1}"),
        (r"([_^])\{(\w)\}", r"\1\2"),
        (r"(?<![0-9])\.(?=[0-9])", "0."),
        (r"^\{([^{}]*)\}$|^\(([A-Za-z])\)$", lambda m: m[1] or m[2] or ""),
    )
]


def plain(answer: str) -> str:
    """Return an answer's LaTeX without what people write differently. Meant to compare with, not to
    be read.
    """
    if len(answer) > _LONGEST:
        return answer
    while (inner := boxed(answer)) is not None:
        answer = inner
    answer = _numerals(answer)
    for pattern, by in _REWRITES:
        answer = pattern.sub(by, answer)
    return answer.casefold() if len(answer) > 1 and answer.isalpha() else answer


_DECIMAL = r"(?:[0-9]{1,3}(?:,[0-9]{2,3}){0,9},[0-9]{3}|[0-9]+)(?:\.[0-9]*)?"
_VALUE = re.compile(
    rf"(?P<sign>-?)(?:(?P<whole>{_DECIMAL})|(?P<mixed>[0-9]*)\\frac\{{(?P<over>-?{_DECIMAL})\}}\{{(?P<under>-?{_DECIMAL})\}})"
)
_MOST_DIGITS = 400  # longer ones are compared as text


def value(plainly: str) -> Fraction | None:
    """Return the number that a plain answer is: 12, -0.5, 1,234, \\frac{1}{2}, 1\\frac{1}{2}; None
    if it is none.
    """
    found = _VALUE.fullmatch(plainly) if len(plainly) <= _MOST_DIGITS else None
    if not found:
        return None
    sign = -1 if found["sign"] else 1
    if found["whole"]:
        return sign * _fraction(found["whole"])
    under = _fraction(found["under"])
    return sign * (int(found["mixed"] or 0) + _fraction(found["over"]) / under) if under else None


def _fraction(digits: str) -> Fraction:
    return Fraction(digits.replace(",", "").rstrip("."))
