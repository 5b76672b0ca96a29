"""How is one field of a request read? A function per kind of value, each of which refuses what it
cannot take in words that name the field.

A null counts as a field that was left out, as it does for OpenAI.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from harness.kernel.texts import on_one_line
from harness.serve.refusals import Refusal

Read = Callable[[str, Any], Any]
_LONGEST = 60  # characters of a value that is shown
MOST_STOPS, MOST_STOP_CHARACTERS = 64, 1_000
MOST_BIASES = 10_000


def flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _wrong(name, value, "true or false")


def text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _wrong(name, value, "a text")


def mapping(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise _wrong(name, value, "an object")


def whole(low: int, high: int) -> Read:
    """Return a reader of integers from `low` to `high`; 5.0 is one too."""

    def read(name: str, value: Any) -> int:
        fine = f"an integer from {low:,} to {high:,}"
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _wrong(name, value, fine)
        return value

    return read


def number(low: float, high: float, is_open: bool = False) -> Read:
    """Return a reader of numbers from `low` (above it, if `is_open`) to `high`."""

    def read(name: str, value: Any) -> float:
        fine = f"a number {'above' if is_open else 'from'} {low:g} {'up ' * is_open}to {high:g}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(name, value, fine)
        if not math.isfinite(value) or not low <= value <= high or (is_open and value == low):
            raise _wrong(name, value, fine)
        return float(value)

    return read


def texts(name: str, value: Any) -> list[str]:
    """Read a text or a list of them; empty ones say nothing and are left out."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise _wrong(name, value, "a text or a list of texts")
    if len(found) > MOST_STOPS or max(map(len, found), default=0) > MOST_STOP_CHARACTERS:
        fine = f"at most {MOST_STOPS} texts of at most {MOST_STOP_CHARACTERS:,} characters"
        raise _wrong(name, value, fine)
    return [one for one in found if one]


def ids(name: str, value: Any) -> list[int]:
    """Read a list of token ids."""
    if isinstance(value, list) and all(is_id(one) for one in value):
        return value
    raise _wrong(name, value, "a list of token ids")


def is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def biases(name: str, value: Any) -> dict[int, float]:
    """Read what is added to the logits of some ids. Names in JSON are texts, so the ids are too."""
    fine = "an object of token ids and numbers from -100 to 100"
    if not isinstance(value, dict) or len(value) > MOST_BIASES:
        raise _wrong(name, value, fine)
    read = number(-100, 100)
    if not all(key.isdecimal() and key.isascii() and len(key) < 10 for key in value):
        raise _wrong(name, value, fine)
    return {int(key): read(f"{name}.{key}", one) for key, one in value.items()}


def top(most: int) -> Read:
    """Return a reader of how many log-probabilities are wanted; of a bool, one or none."""
    read = whole(0, most)

    def read_top(name: str, value: Any) -> int | None:
        if isinstance(value, bool):
            return 1 if value else None
        count: int = read(name, value)
        return count

    return read_top


def known(body: Mapping[str, Any], table: Mapping[str, tuple[Read, Any]]) -> dict[str, Any]:
    """Return the value of each field of `table`: what was sent, else its default."""
    found = {}
    for name, (read, default) in table.items():
        value = body.get(name)
        found[name] = default if value is None else read(name, value)
    return found


def _wrong(name: str, value: Any, fine: str) -> Refusal:
    found = on_one_line(repr(value)[: 4 * _LONGEST], _LONGEST)
    return Refusal(f"{name} is {found}; expected {fine}.", name)
