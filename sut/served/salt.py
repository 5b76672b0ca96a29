"""How do prompts stay cold? Servers keep what they computed of earlier prompts, and a sample that
is asked twice would be answered out of that. So each request of a timed part begins with a few
characters, or token ids, of its own.

A request holds MARK where they go, as often as a salt has bytes; the worker puts the salt of the
sample's number there when it sends. All salts have the same length, so the request keeps its own.
No two requests have the same one, in this run or in another that began elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import SystemRandom
from typing import NamedTuple

MARK = b"\x1f"  # JSON never holds it: it would be escaped there
_DIGITS = tuple(b"0123456789abcdef"[i : i + 1] for i in range(16))
_TEXT_LENGTH = 12
_ENOUGH = 10**9  # salts there must be


class Salt(NamedTuple):
    """`length` of the `words`, with `gap` between them; `first` is where this run begins."""

    words: Sequence[bytes]
    length: int
    gap: bytes
    first: int

    @property
    def mark(self) -> bytes:
        """What stands in the request in its place."""
        return MARK * len(self.of(0))

    def of(self, number: int) -> bytes:
        """Return the salt of a request. Its first word changes from each to the next."""
        rest, found = number + self.first, list[bytes]()
        for _ in range(self.length):
            rest, at = divmod(rest, len(self.words))
            found.append(self.words[at])
        return self.gap.join(found)


def put(salt: Salt | None, request: bytes, number: int) -> bytes:
    """Return a request with its salt where the mark was."""
    if salt is None:
        return request
    before, mark, after = request.partition(salt.mark)
    return before + salt.of(number) + after if mark else request


def of_text() -> Salt:
    """Return a salt of hexadecimal digits."""
    return Salt(_DIGITS, _TEXT_LENGTH, b"", _anywhere(16**_TEXT_LENGTH))


def of_ids(rows: int, without: Collection[int] = ()) -> Salt:
    """Return a salt of token ids below `rows`, all with the same number of digits. Special tokens
    are left out.
    """
    ranges = [(10**width, min(10 ** (width + 1), rows)) for width in range(len(str(rows - 1)))]
    lowest, beyond = max(ranges, key=lambda ends: ends[1] - ends[0])
    left_out = set(without)
    words = [b"%d" % one for one in range(lowest, beyond) if one not in left_out]
    length = 1
    while len(words) ** length < _ENOUGH:
        length += 1
    return Salt(words, length, b",", _anywhere(len(words) ** length))


def _anywhere(count: int) -> int:
    return SystemRandom().randrange(count)
