"""A fixed number of users, each of whom asks again as soon as the answer has come: a closed loop.

A query is due when one of the open ones ends. The rate is what the system makes of it; --target-qps
is what is expected, and sizes the plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.kernel.entries import Loop
from harness.kernel.types import AfterInFlight, Query, QuerySample, RunSettings
from scenarios.loadgen.sample_order import Schedule, Shape, make_schedule
from scenarios.loads.load import Load

_MOST_USERS = 100_000
_SPARE = 4  # times the queries that are expected are planned: a faster system must not run out


@dataclass(frozen=True, slots=True)
class Concurrency(Load):
    """`concurrency:USERS`."""

    users: int
    loop: ClassVar[Loop] = "closed"
    slower = "ask for fewer users with --load"

    @classmethod
    def read(cls, words: str) -> Concurrency:
        if not words.isdecimal() or not 1 <= int(words) <= _MOST_USERS:
            raise ValueError(f"{words!r} is no number of users from 1 to {_MOST_USERS:,}")
        return cls(int(words))

    def schedule(self, settings: RunSettings, rows: Any = None) -> Schedule:
        return make_schedule(
            settings, Shape(1, settings.min_queries, _SPARE * settings.min_duration_ns)
        )

    def plan(self, schedule: Schedule, rows: Any = None) -> Iterator[Query]:
        gate = AfterInFlight(self.users)
        for i, (_, (index,)) in enumerate(schedule.rows()):
            yield Query(i, (QuerySample(i, index),), gate)
