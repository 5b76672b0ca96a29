"""Does a text end in a loop, the same words again and again?

The end of a text is looked at backwards: it loops if it repeats one period at least three times
over 60 characters or more. Lines that differ in their numbers alone (`The answer is 7.`, `The
answer is 8.`) count as the same from six of them on.
"""

from __future__ import annotations

import re

_LOOKED_AT = 3_000  # last characters
_TIMES, _SHORTEST = 3, 60  # characters
_TIMES_BUT_NUMBERS, _SHORTEST_BUT_NUMBERS = 6, 120
_DIGITS = re.compile(r"[0-9]+")


def is_loop(text: str) -> bool:
    """Say whether a text ends in a loop."""
    end = " ".join(text.split())[-_LOOKED_AT:]
    if _repeats(end, _TIMES, _SHORTEST):
        return True
    return _repeats(_DIGITS.sub("0", end), _TIMES_BUT_NUMBERS, _SHORTEST_BUT_NUMBERS)


def _repeats(end: str, times: int, shortest: int) -> bool:
    """Say whether some end of the text is a period so many times.

    The borders of all beginnings of the reversed text (Knuth, Morris and Pratt 1977) give the
    shortest period of each end in one pass.
    """
    back = end[::-1]
    border = [0] * len(back)
    k = 0
    for i in range(1, len(back)):
        while k and back[i] != back[k]:
            k = border[k - 1]
        k += back[i] == back[k]
        border[i] = k
        length = i + 1
        if length >= shortest and length >= times * (length - k):
            return True
    return False
