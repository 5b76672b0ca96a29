"""Everything at once: one query with all samples at the start. Judged by throughput alone."""

from __future__ import annotations

from collections.abc import Iterator

from harness.kernel.log import RunLog
from harness.kernel.types import Metric, Query, QuerySample, RunSettings, Verdict
from scenarios.loadgen.sample_order import Schedule, Shape, make_schedule
from scenarios.validity import driver_on_time, min_duration, min_queries

_SAFETY = 1.1  # LoadGen plans a tenth more than the expected rate needs


class Offline:
    name = "offline"

    def num_samples(self, settings: RunSettings) -> int:
        if settings.issue == "unique":
            return settings.performance_samples
        return max(
            settings.min_queries,
            int(_SAFETY * (settings.min_duration_ns / 1e9) * settings.target_qps),
        )

    def schedule(self, settings: RunSettings) -> Schedule:
        return make_schedule(settings, Shape(self.num_samples(settings), 1, 0, whole_set=True))

    def plan(self, settings: RunSettings, schedule: Schedule) -> Iterator[Query]:
        """Plan one query; in accuracy mode one for each set."""
        first = 0
        for i, (release, indices) in enumerate(schedule.timed_rows()):
            samples = [QuerySample(first + k, index) for k, index in enumerate(indices)]
            yield Query(i, samples, release)
            first += len(indices)

    def result(self, log: RunLog, settings: RunSettings) -> Metric:
        latency_ns = log.latency_ns[log.completed]
        n, last_ns = len(latency_ns), int(latency_ns.max(initial=0))
        return Metric("samples", n / (last_ns / 1e9) if last_ns > 0 else None, "samples/s", n)

    def judge(self, log: RunLog, settings: RunSettings) -> list[Verdict]:
        reached_ns = int(log.latency_ns[log.completed].max(initial=0))  # a time-out is no answer
        return [
            min_duration(reached_ns, settings, log, planned=len(log)),
            min_queries(log, settings, self.num_samples(settings), unit="samples"),
            driver_on_time(log, settings),
        ]
