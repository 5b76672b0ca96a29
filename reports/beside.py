"""What does a page show of texts side by side? Questions, each with one answer or two, in which the
words that differ are marked. The texts are strangers' words: a page escapes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Piece(NamedTuple):
    """A run of words, and whether the other text has others here."""

    text: str
    differs: bool


class Side(NamedTuple):
    """An answer: whose it is and what became of it, what it says, and what to know of that."""

    head: str
    pieces: Sequence[Piece]
    tone: str = ""
    below: str = ""


class Example(NamedTuple):
    """A question with its answers."""

    name: str
    question: str
    tags: Sequence[str]
    below: str
    sides: Sequence[Side]


class Beside(NamedTuple):
    """Examples under a title."""

    title: str
    examples: Sequence[Example]
    note: str = ""
