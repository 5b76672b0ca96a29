"""One user, one question at a time: the next query goes when the last one is complete. Judged by
p90 latency.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.kernel.log import RunLog
from harness.kernel.stats import percentile, percentile_name
from harness.kernel.types import AfterInFlight, Metric, Query, QuerySample, RunSettings, Verdict
from scenarios.loadgen.sample_order import Schedule, Shape, make_schedule
from scenarios.validity import driver_on_time, min_duration, min_queries, tail_estimate


def min_issued(settings: RunSettings) -> int:
    """Return how many are issued at least. Equal issue plans for twice the duration and adds what
    completes a set: a whole one if none is begun (LoadGen).
    """
    if not settings.equal_issue or settings.mode == "accuracy":
        return settings.min_queries
    enough = max(
        settings.min_queries, int(2.0 * (settings.min_duration_ns / 1e9) * settings.target_qps)
    )
    return enough + settings.performance_samples - enough % settings.performance_samples


class SingleStream:
    name = "single-stream"

    def schedule(self, settings: RunSettings) -> Schedule:
        """Plan twice the queries that the expected rate needs, so that a faster SUT does not run
        out (as LoadGen).
        """
        least = min_issued(settings)
        return replace(
            make_schedule(settings, Shape(1, least, 2 * settings.min_duration_ns)), min_issued=least
        )

    def plan(self, settings: RunSettings, schedule: Schedule) -> Iterator[Query]:
        gate = AfterInFlight(1)
        for i, (_, (index,)) in enumerate(schedule.rows()):
            yield Query(i, (QuerySample(i, index),), gate)

    def result(self, log: RunLog, settings: RunSettings) -> Metric:
        latency_ns = log.latency_ns[log.completed]
        value = percentile(latency_ns, settings.percentile)
        name = f"{percentile_name(settings.percentile)} latency"
        return Metric(name, None if value is None else value / 1e6, "ms", len(latency_ns))

    def judge(self, log: RunLog, settings: RunSettings) -> list[Verdict]:
        last_issue_ns = int(log.issued_ns[-1]) if len(log) else 0
        return [
            min_duration(last_issue_ns, settings, log, planned=log.num_queries),
            min_queries(
                log, replace(settings, min_queries=min_issued(settings)), min_issued(settings)
            ),
            tail_estimate(log.latency_ns[log.completed], settings, log),
            driver_on_time(log, settings),
        ]
