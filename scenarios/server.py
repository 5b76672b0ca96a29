"""Many users who do not wait for one another: queries arrive by a Poisson process, whatever is
still open. Other loads (`scenarios.loads`) are judged the same way; they are not MLPerf's.

Latency counts from the moment a query was *due*. Valid if the tails of TTFT and TPOT keep their
limits and there are enough queries to say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from harness.kernel.log import RunLog
from harness.kernel.types import Metric, Query, RunSettings, Verdict
from scenarios.loadgen.sample_order import Schedule
from scenarios.loads import load_of
from scenarios.validity import (
    driver_on_time,
    min_duration,
    min_queries,
    tail_is_certain,
    tail_limit,
)


class Server:
    name = "server"

    def __init__(self, rows: Any = None) -> None:
        """Take what stands in the file of the load, where it has one."""
        self._rows = rows

    def schedule(self, settings: RunSettings) -> Schedule:
        return load_of(settings.load).schedule(settings, self._rows)

    def plan(self, settings: RunSettings, schedule: Schedule) -> Iterator[Query]:
        return load_of(settings.load).plan(schedule, self._rows)

    def result(self, log: RunLog, settings: RunSettings) -> Metric:
        """Return LoadGen's completed samples per second: (n - 1) over the completion of the last
        *issued* query that completed.
        """
        done_ns = log.done_ns[log.completed]
        n = len(done_ns)
        last_s = float(done_ns[-1]) / 1e9 if n > 1 else 0.0
        return Metric("completed samples", (n - 1) / last_s if last_s > 0 else None, "samples/s", n)

    def judge(self, log: RunLog, settings: RunSettings) -> list[Verdict]:
        last_due_ns = int(log.due_ns[-1]) if len(log) else 0
        is_open = load_of(settings.load).loop == "open"
        planned = None if is_open else log.num_queries
        return [
            *(
                self._tokens(log, settings)
                if settings.use_tokens
                else self._whole_latency(log, settings)
            ),
            min_duration(last_due_ns, settings, log, planned),
            min_queries(log, settings, settings.min_queries),
            driver_on_time(log, settings),
        ]

    def _tokens(self, log: RunLog, settings: RunSettings) -> list[Verdict]:
        first = np.flatnonzero(log.completed & (log.first_ns >= 0))
        ttft_ns, tpot_ns = log.ttft_ns[first], log.tpot_ns
        ttft_limit, tpot_limit = settings.ttft_limit_ns, settings.tpot_limit_ns
        return [
            tail_limit("ttft", ttft_ns, first, ttft_limit, settings, log),
            tail_limit("tpot", tpot_ns, np.flatnonzero(log.has_tpot), tpot_limit, settings, log),
            tail_is_certain("ttft", ttft_ns, ttft_limit, settings, log),
            tail_is_certain("tpot", tpot_ns, tpot_limit, settings, log),
        ]

    def _whole_latency(self, log: RunLog, settings: RunSettings) -> list[Verdict]:
        done = np.flatnonzero(log.completed)
        latency_ns, limit_ns = log.latency_ns[done], settings.target_latency_ns
        return [
            tail_limit("latency", latency_ns, done, limit_ns, settings, log),
            tail_is_certain("latency", latency_ns, limit_ns, settings, log),
        ]
