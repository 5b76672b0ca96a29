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
        self._rule = rule
        self._late = np.empty(0, np.bool_)  # of the queries from `begin` on that were looked at
        self.begin = 0  # the first query of which it is not known whether it keeps the limit
        self.over = 0

    def look(self, now_ns: int, due_ns: Int64s, left_ns: Int64s) -> bool:
        """Say whether the run cannot hold any more.

        `due_ns`, `left_ns`: of all queries from `begin` on that were issued, in order; left is -1
        for one that still waits for its first token (or its answer, where that is judged).
        """
        waits = left_ns < 0
        late = np.where(waits, now_ns, left_ns) - due_ns > self._rule.limit_ns
        known = len(self._late)
        self.over += int(late.sum()) - int((late[:known] & self._late).sum())
        is_open = waits & ~late
        settled = int(np.argmax(is_open)) if is_open.any() else len(late)
        self.begin, self._late = self.begin + settled, late[settled:]
        return self.over > self._rule.allowed
