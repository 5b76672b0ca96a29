"""What the tasks with choices share: the right choice is kept as its letter, A being the first."""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_uppercase

from accuracy.datasets.rows import Row

MOST = len(ascii_uppercase)


def offered(texts: Iterable[str]) -> tuple[str, ...]:
    """Return choices as continuations of a prompt, each after a space."""
    return tuple(f" {text}" for text in texts)


def letter_of(row: Row, column: str, count: int) -> str:
    """Return the letter of the right one of `count` choices, which a file names by its letter or by
    its place from 0. Raises BadInput.
    """
    letters = ascii_uppercase[:count]
    given = row.cells.get(column)
    if not isinstance(given, str):
        return letters[row.integer(column, count)]
    if given.strip() in tuple(letters):
        return given.strip()
    if given.strip().isdecimal() and int(given) < count:
        return letters[int(given)]
    found = ascii(given[:20]) if given.strip() else "an empty text"
    raise row.complain(column, found, f"a letter from A to {letters[-1]}, or its place from 0")
