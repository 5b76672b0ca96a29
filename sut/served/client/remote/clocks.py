"""How far apart are the clocks of two machines, and how sure is that? As NTP finds out: a question
goes there, the other says what its clock shows, the answer comes back.

    offset = there - (sent + back) / 2        wrong by (back - sent) / 2 at most

The question that was back soonest tells most (RFC 5905, the clock filter). Clocks also run at
different speeds, so they are compared before and after a run: what the offset has moved by is part
of the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

QUESTIONS = 24  # a network that is shared has some quiet moments among so many


class Asked(NamedTuple):
    """One question, in nanoseconds: sent and back by our clock, what the other's showed."""

    sent_ns: int
    there_ns: int
    back_ns: int


class Offset(NamedTuple):
    """What to add to a moment of ours to have theirs, in nanoseconds, and by how much that may be
    wrong.
    """

    offset_ns: int
    error_ns: int


def offset(asked: Sequence[Asked]) -> Offset:
    """Return the offset by the question that was back soonest."""
    best = min(asked, key=lambda one: one.back_ns - one.sent_ns)
    middle_ns = (best.sent_ns + best.back_ns) // 2
    return Offset(best.there_ns - middle_ns, -(-(best.back_ns - best.sent_ns) // 2))


def error_ns(before: Offset, after: Offset) -> int:
    """Return by how much a stamp of the run may be wrong that was translated with `before`: at
    most, whenever in the run it was made, if the clocks ran evenly.
    """
    return max(before.error_ns, after.error_ns) + abs(after.offset_ns - before.offset_ns)
