"""Who judges what, and how? The user's words in, checked settings out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from accuracy.judge.prompts import Form, Kind
from harness.kernel.errors import BadInput, unknown
from harness.kernel.types import is_address
from sut.served.address import Address, address

By = Literal["pairs", "scores", "both"]
_BY: Sequence[By] = get_args(By)
_FORMS: Sequence[Form] = get_args(Form)
LOCAL = "local:"
MOST_OPEN = 256  # requests at each judge
SHORTEST_S, LONGEST_S = 0.1, 3600.0  # of a request
_FINE = "expected a server's address, http://host:8000#MODEL, or local:MODEL@VARIANT"


class Named(NamedTuple):
    """A judge as it was named: a model at an address, or one to be served here."""

    name: str
    address: Address | None
    model: str  # "": the only one that the server has
    variant: str = ""


class Price(NamedTuple):
    """US dollars for a million tokens of prompts, and of answers."""

    tokens_in: float
    tokens_out: float


class Asked(NamedTuple):
    """`limit` is how many questions are judged at most; `tokens` a judge's answer may have."""

    judges: Sequence[Named]
    by: By
    limit: int | None
    concurrency: int
    timeout_s: float
    tokens: int
    prices: Sequence[Price]
    output_dir: Path
    form: Form = "text"

    @property
    def kinds(self) -> Sequence[Kind]:
        kinds: dict[By, Sequence[Kind]] = {
            "pairs": ("pair",), "scores": ("score",), "both": ("pair", "score"),
        }  # fmt: skip
        return kinds[self.by]


def named(words: Sequence[str], key_variables: Sequence[str] = ()) -> list[Named]:
    """Read whom the user names; a variable with a key is for all, or there is one for each. Raises
    BadInput.
    """
    if not words:
        raise BadInput("--judge", "no judge is named", _FINE, "Name one; it may be given twice.")
    if len(key_variables) not in (0, 1, len(words)):
        found = f"{len(key_variables)} variables for {len(words)} judges"
        raise BadInput("--api-key-env", found, "expected one, or one for each judge")
    variables = list(key_variables) * (len(words) if len(key_variables) == 1 else 1)
    judges = [
        _named(word.strip(), variables[i] if variables else "") for i, word in enumerate(words)
    ]
    if len({judge.name for judge in judges}) < len(judges):
        raise BadInput("--judge", "the same judge is named twice", "expected different ones")
    return judges


def _named(word: str, key_variable: str) -> Named:
    if word.startswith(LOCAL):
        model, _, variant = word.removeprefix(LOCAL).partition("@")
        if not model:
            raise BadInput(f"--judge {word}", "it names no model", _FINE)
        return Named(word, None, model, variant or "fp32")
    if not is_address(word):
        raise BadInput(f"--judge {word}", "it is no address and no local model", _FINE)
    url, _, model = word.partition("#")
    return Named(word, address(url, key_variable), model)


def by(word: str | None, runs: int) -> By:
    """Return how to judge: pairs unless told, scores where there is one run. Raises BadInput."""
    word = word or ("pairs" if runs > 1 else "scores")
    for known in _BY:
        if word == known:
            if runs < 2 and word != "scores":
                fine = "a pair needs a reference and a candidate"
                raise BadInput(f"--by {word}", "one run is given", fine, "Add a run.")
            return known
    raise unknown("--by", word, _BY)


def form(word: str) -> Form:
    """Return what a judge's reply looks like. Raises BadInput."""
    for known in _FORMS:
        if word == known:
            return known
    raise unknown("--judge-format", word, _FORMS)


def check_runs(folders: Sequence[Path]) -> None:
    """Refuse to judge nothing. Raises BadInput."""
    if not folders:
        todo = "Name finished accuracy runs, the reference first."
        raise BadInput("judge", "no run is given", "", todo)


def checked(asked: Asked) -> Asked:
    """Return it, whose numbers a Python program may have given. Raises BadInput."""
    numbers: Sequence[tuple[str, float | None, float, float]] = (
        ("limit", asked.limit, 1, math.inf), ("concurrency", asked.concurrency, 1, MOST_OPEN),
        ("timeout", asked.timeout_s, SHORTEST_S, LONGEST_S), ("tokens", asked.tokens, 1, math.inf),
    )  # fmt: skip
    for name, value, least, most in numbers:
        if value is not None and not least <= value <= most:
            fine = f"expected {least:g} or more" + (f", up to {most:g}" if most < math.inf else "")
            raise BadInput(f"--judge-{name} {value}", "it is out of range", fine)
    return asked


def prices(words: Sequence[str], judges: int) -> list[Price]:
    """Read prices, IN,OUT each; one for all, or one for each judge. Raises BadInput."""
    if len(words) not in (0, 1, judges):
        found = f"{len(words)} prices for {judges} judges"
        raise BadInput("--judge-price", found, "expected one, or one for each judge")
    found_prices = [_price(word) for word in words]
    return found_prices * (judges if len(found_prices) == 1 else 1)


def _price(word: str) -> Price:
    try:
        into, out = (float(part) for part in word.split(","))
        if not (0 <= into < 1e6 and 0 <= out < 1e6):
            raise ValueError
        return Price(into, out)
    except ValueError:
        fine = "expected US dollars per million tokens of prompts and of answers"
        raise BadInput(
            f"--judge-price {word}", "it is no IN,OUT", fine, "For example: 2.5,10."
        ) from None
