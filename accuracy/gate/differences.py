"""Where does a variant leave its reference? First diverging tokens, the share that stays, the worst
samples marked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.kernel.types import NEVER, Int64s

_WORD = re.compile(r"\S+\s*|\s+")
_LONGEST = 300  # words of an answer that are put side by side; comparing takes the square of it


class Bin(NamedTuple):
    """Positions `first` to `last` (both included), and how many outputs diverge there."""

    first: int
    last: int
    outputs: int


class Piece(NamedTuple):
    """A run of words that both texts have, or only this one."""

    text: str
    differs: bool


# ---- tokens


def first_difference(
    ours: Sequence[Any] | NDArray[Any], theirs: Sequence[Any] | NDArray[Any]
) -> int:
    """Return the first position where they differ, the end of the shorter one included; NEVER if
    they are equal.
    """
    a, b = np.asarray(ours), np.asarray(theirs)
    n = min(len(a), len(b))
    unlike = np.flatnonzero(a[:n] != b[:n])
    if len(unlike):
        return int(unlike[0])
    return NEVER if len(a) == len(b) else n


def first_differences(ours: Sequence[NDArray[Any]], theirs: Sequence[NDArray[Any]]) -> Int64s:
    """Return the first positions where they differ (n,), NEVER where the outputs are the same."""
    return np.array([first_difference(a, b) for a, b in zip(ours, theirs, strict=True)], np.int64)


def identical_share(positions: Int64s) -> float:
    return float(np.mean(positions == NEVER)) if len(positions) else 1.0


def histogram(positions: Int64s, longest: int) -> list[Bin]:
    """Count how many part at 0, 1, 2-3, 4-7, ...: each bin twice as wide, up to the `longest`
    output. Equal ones do not count.
    """
    edges = [0, 1]
    while edges[-1] <= max(longest, 1):
        edges.append(2 * edges[-1])
    counts, _ = np.histogram(positions[positions != NEVER], [*edges[:-1], np.iinfo(np.int64).max])
    return [
        Bin(first, after - 1, int(k))
        for first, after, k in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


# ---- texts


def worst(losses: NDArray[Any], count: int) -> list[int]:
    """Return the rows that lost most, worst first; rows that lost nothing are none of them."""
    order = np.argsort(-losses, kind="stable")[:count]
    return [int(i) for i in order if losses[i] > 0]


def side_by_side(ours: str, theirs: str) -> tuple[list[Piece], list[Piece]]:
    """Return both texts in pieces, the words that only one of them has marked. What is cut off ends
    in an ellipsis.
    """
    mine, other = _words(ours), _words(theirs)
    matcher = SequenceMatcher(
        None, [w.strip() for w in mine], [w.strip() for w in other], autojunk=False
    )
    left: list[Piece] = []
    right: list[Piece] = []
    for tag, a, b, c, d in matcher.get_opcodes():
        _add(left, mine[a:b], tag != "equal")
        _add(right, other[c:d], tag != "equal")
    for pieces, text, words in ((left, ours, mine), (right, theirs, other)):
        if len("".join(words)) < len(text):
            pieces.append(Piece(" …", False))
    return left, right


def _words(text: str) -> list[str]:
    return [match[0] for match, _ in zip(_WORD.finditer(text), range(_LONGEST), strict=False)]


def _add(pieces: list[Piece], words: Sequence[str], differs: bool) -> None:
    if words:
        pieces.append(Piece("".join(words), differs))


# ---- kinds of question


def groups(labels: Sequence[Sequence[tuple[str, str]]]) -> dict[tuple[str, str], Int64s]:
    """Return rows by label: {("kind", "why"): rows}, keys in the order of the first sample, values
    by name.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for i, sample in enumerate(labels):
        for label in sample:
            found.setdefault((label[0], label[1]), []).append(i)
    keys = list(dict.fromkeys(key for key, _ in found))
    return {
        label: np.array(found[label], np.int64)
        for label in sorted(found, key=lambda kv: (keys.index(kv[0]), kv[1]))
    }
