"""When is a question that may block asked again? So seldom that it takes 2 % of the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Answered = TypeVar("Answered")
LEAST_NS = 1_000_000_000
MOST_SHARE = 0.02


class Seldom(Generic[Answered]):
    """Asks `ask` once a second, or less often where the last answer took long: one of 40 ms is
    followed by 2 s without.
    """

    def __init__(self, ask: Callable[[], Answered], now_ns: Callable[[], int]) -> None:
        self._ask, self._now_ns = ask, now_ns
        self._due_ns: int | None = None

    def __call__(self) -> Answered | None:
        """Return an answer, or None while it is too early for one."""
        began_ns = self._now_ns()
        if self._due_ns is not None and began_ns < self._due_ns:
            return None
        answer = self._ask()
        took_ns = self._now_ns() - began_ns
        self._due_ns = began_ns + max(LEAST_NS, round(took_ns / MOST_SHARE))
        return answer
