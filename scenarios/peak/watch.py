"""Can this run still hold? Asked while it is under way, of what has been seen so far.

A run of n queries may have so many over a limit and no more (`scenarios.early_stopping`). Once
there are more, it cannot be VALID, whatever comes: it may end, and its verdict is that of the whole
run. A query that still waits and has passed the limit counts too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.kernel.types import Int64s
from scenarios.early_stopping import over_allowed


class Rule(NamedTuple):
    """A limit, and how many queries may break it."""

    limit_ns: int
    allowed: int


def rule(limit_ns: int, queries: int, p: float) -> Rule:
    """Return the rule of a run of so many queries."""
    return Rule(limit_ns, over_allowed(queries, p) or 0)


class Watch:
    """Counts the queries over a limit, each once, however often it looks."""

    def __init__(self, rule: Rule) -> None:
        self._rule, self._counted, self._waiting = rule, 0, np.empty(0, np.int64)
        self.over = 0

    def look(self, now_ns: int, due_ns: Int64s, left_ns: Int64s) -> bool:
        """Say whether the run cannot hold any more.

        `due_ns`, `left_ns`: (n,) of all queries that were issued, in order; left is -1 for one that
        still waits for its first token (or its answer, where that is judged).
        """
        limit_ns = self._rule.limit_ns
        new = np.arange(self._counted, len(due_ns))
        open_ = np.concatenate([self._waiting, new])
        waits = left_ns[open_] < 0
        late = np.where(waits, now_ns, left_ns[open_]) - due_ns[open_] > limit_ns
        self.over += int(late.sum())
        self._waiting, self._counted = open_[waits & ~late], len(due_ns)
        return self.over > self._rule.allowed
