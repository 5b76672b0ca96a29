"""N samples at once, again and again: the next query of N goes when all of the last are complete.

Judged by the tail of the *query* latency: the last of its N samples decides (LoadGen, MultiStream,
N = 8 by default).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.kernel.log import RunLog
from harness.kernel.stats import percentile, percentile_name
from harness.kernel.types import (
    AfterInFlight,
    Int64s,
    Metric,
    Query,
    QuerySample,
    RunSettings,
    Verdict,
)
from scenarios.loadgen.sample_order import Schedule, Shape, make_schedule
from scenarios.validity import driver_on_time, min_duration, min_queries, tail_estimate


class MultiStream:
    name = "multi-stream"

    def schedule(self, settings: RunSettings) -> Schedule:
        """Take neighbours in the loaded set, from a drawn start on; twice the queries that the
        expected rate needs.
        """
        n = settings.samples_per_query
        return make_schedule(
            settings, Shape(n, settings.min_queries, 2 * settings.min_duration_ns, contiguous=True)
        )

    def plan(self, settings: RunSettings, schedule: Schedule) -> Iterator[Query]:
        gate, sample_id = AfterInFlight(1), 0
        for i, (_, indices) in enumerate(schedule.rows()):
            yield Query(
                i, [QuerySample(sample_id + k, index) for k, index in enumerate(indices)], gate
            )
            sample_id += len(indices)

    def result(self, log: RunLog, settings: RunSettings) -> Metric:
        latency_ns = query_latency_ns(log)
        value = percentile(latency_ns, settings.percentile)
        name = f"{percentile_name(settings.percentile)} query latency"
        return Metric(name, None if value is None else value / 1e6, "ms", len(latency_ns))

    def judge(self, log: RunLog, settings: RunSettings) -> list[Verdict]:
        last_issue_ns = int(log.issued_ns[-1]) if len(log) else 0
        return [
            min_duration(last_issue_ns, settings, log, planned=log.num_queries),
            min_queries(log, settings, settings.min_queries * settings.samples_per_query),
            tail_estimate(query_latency_ns(log), settings, log),
            driver_on_time(log, settings),
        ]


def query_latency_ns(log: RunLog) -> Int64s:
    """Return (q,) last completion - due, of the queries whose samples all completed."""
    last_ns = np.zeros(log.num_queries, np.int64)
    np.maximum.at(last_ns, log.query_id, log.latency_ns)
    whole = np.ones(log.num_queries, np.bool_)
    np.logical_and.at(whole, log.query_id, log.completed)
    return last_ns[whole]
