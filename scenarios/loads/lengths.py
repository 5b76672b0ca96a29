"""How long are prompts and answers? Distributions of a number of tokens, for any load.

    fixed:N                 all of N tokens
    uniform:LOW..HIGH       each length in it as likely
    normal:MEAN/SD          rounded; what is below 1 is drawn again
    lognormal:MEDIAN/SIGMA  rounded; the logarithm has this standard deviation

Lengths are drawn once for each sample, with the sample-index seed, by numpy's frozen RandomState.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.kernel.errors import BadInput
from harness.kernel.types import Int64s
from scenarios.loads.gamma import random_state
from scenarios.loads.load import number

MOST_TOKENS = 1_000_000  # of one prompt or answer
_FORMS = {
    "fixed": "fixed:512",
    "uniform": "uniform:100..500",
    "normal": "normal:512/64",
    "lognormal": "lognormal:256/0.8",
}
_TRIES = 1000


@dataclass(frozen=True, slots=True)
class Lengths:
    """`kind` with its two numbers, as they were written."""

    kind: str
    first: float
    second: float

    def draw(self, n: int, seed: int) -> Int64s:
        """Return (n,) lengths in tokens."""
        rng = random_state(seed)
        draws: dict[str, Callable[[int], Any]] = {
            "fixed": lambda n: np.full(n, self.first, np.float64),
            "uniform": lambda n: rng.randint(int(self.first), int(self.second) + 1, n),
            "normal": lambda n: rng.normal(self.first, self.second, n),
            "lognormal": lambda n: self.first * np.exp(self.second * rng.standard_normal(n)),
        }
        found = np.rint(draws[self.kind](n))
        for _ in range(_TRIES):
            short = np.flatnonzero((found < 1) | (found > MOST_TOKENS))
            if not len(short):
                break
            found[short] = np.rint(draws[self.kind](len(short)))
        lengths: Int64s = np.clip(found, 1, MOST_TOKENS).astype(np.int64)
        return lengths


def lengths_of(text: str, flag: str = "lengths") -> Lengths:
    """Return the distribution that is written so. Raises BadInput."""
    kind, _, words = text.partition(":")
    forms = " or ".join(_FORMS.values())
    try:
        if kind == "fixed":
            return Lengths(kind, _tokens(words), 0.0)
        if kind == "uniform":
            low, dots, high = words.partition("..")
            if not dots or _tokens(low) > _tokens(high):
                raise ValueError(f"{words!r} is not LOW..HIGH")
            return Lengths(kind, _tokens(low), _tokens(high))
        if kind in ("normal", "lognormal"):
            first, slash, second = words.partition("/")
            what = "standard deviation" if kind == "normal" else "sigma"
            if not slash:
                raise ValueError(f"{words!r} is not two numbers with a slash between them")
            spread = number(second, what, may_be_least=True)
            return Lengths(kind, number(first, "mean or median", 1, may_be_least=True), spread)
        raise ValueError(f"{kind!r} is no distribution")
    except ValueError as error:
        raise BadInput(f"{flag} {text}", str(error), f"expected {forms}, for example") from None


def _tokens(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_TOKENS:
        raise ValueError(f"{text!r} is no number of tokens from 1 to {MOST_TOKENS:,}")
    return int(text)
