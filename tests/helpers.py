"""Whole runs in no time: a virtual clock, a recorder and a SUT made of arithmetic, joined as the
harness joins them.

virtual_run(open_loop(10, every_ns=10 * MS), simulated(ttft_ms=5), sample_timeout_ns=S)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from harness.engine.driver import Stop, drive
from harness.engine.recorder import Recorder
from harness.kernel.clock import VirtualClock
from harness.kernel.log import RunLog
from harness.kernel.protocols import SUT, Clock, Sink
from harness.kernel.types import (
    AfterInFlight,
    At,
    MemoryUse,
    Output,
    Query,
    QuerySample,
    RunSettings,
    Sample,
    Seeds,
    SutFacts,
)
from sut.simulated import Simulated
from tests.scenario_helpers import BASE, MS, S

US = 1_000

MakeSut = Callable[[Clock], SUT]

_DEFAULTS = replace(
    BASE,
    scenario="server",
    seeds=Seeds(1, 2, 3),
    num_samples=64,
    performance_samples=64,
    min_queries=1,
    percentile=0.99,
    tpot_limit_ns=100 * MS,
    max_new_tokens=10_000,
    sample_timeout_ns=600 * S,
    drain_timeout_ns=30 * S,
)


def settings(**changes: Any) -> RunSettings:
    return replace(_DEFAULTS, **changes)


def library(s: RunSettings) -> list[Sample]:
    return [
        Sample(i, f"question {i}", max_new_tokens=s.max_new_tokens) for i in range(s.num_samples)
    ]


def query(
    query_id: int, first_sample: int, n: int = 1, release: At | AfterInFlight | None = None
) -> Query:
    """Query `query_id` with samples `first_sample`, `first_sample + 1`, ..."""
    return Query(
        query_id,
        [QuerySample(first_sample + k, (first_sample + k) % 64) for k in range(n)],
        release or At(0),
    )


def arrivals(moments_ns: Iterable[int]) -> Iterator[Query]:
    """One single-sample query per moment."""
    for i, moment_ns in enumerate(moments_ns):
        yield query(i, i, release=At(moment_ns))


def open_loop(n: int, every_ns: int) -> Iterator[Query]:
    return arrivals(range(0, n * every_ns, every_ns))


def closed_loop(n: int, samples_per_query: int = 1, below: int = 1) -> Iterator[Query]:
    for i in range(n):
        yield query(i, i * samples_per_query, samples_per_query, AfterInFlight(below))


def simulated(**options: Any) -> MakeSut:
    return partial(Simulated, **options)


class Scripted:
    """A SUT that does in `issue` what a test says: `on_issue(sut, query)`, with `sut.clock` and
    `sut.sink` at hand.
    """

    name = "scripted"

    def __init__(self, on_issue: Callable[[Scripted, Query], None], clock: Clock) -> None:
        self.on_issue, self.clock = on_issue, clock
        self.flushes = 0

    def load(self, samples: Sequence[Sample], sink: Sink) -> None:
        self.sink = sink

    def issue(self, query: Query) -> None:
        self.on_issue(self, query)

    def flush(self) -> None:
        self.flushes += 1

    def close(self) -> None:
        """Nothing is held."""

    def memory(self) -> MemoryUse:
        return MemoryUse()

    def facts(self) -> SutFacts:
        return {}

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        return None

    def complete_after(self, delay_ns: int, sample_id: int) -> None:
        self.clock.call_at(
            self.clock.now_ns() + delay_ns, lambda: self.sink.complete(Output(sample_id))
        )


def scripted(on_issue: Callable[[Scripted, Query], None]) -> MakeSut:
    return partial(Scripted, on_issue)


def virtual_run(
    plan: Any,
    make_sut: MakeSut | None = None,
    *,
    clock: VirtualClock | None = None,
    stop: Stop | None = None,
    on_idle: Callable[[Recorder], None] | None = None,
    **changes: Any,
) -> RunLog:
    """Drive `plan` (queries, or a scenario) through a SUT on a virtual clock. `changes` are fields
    of RunSettings.
    """
    s, clock = settings(**changes), clock or VirtualClock()
    recorder = Recorder(clock)
    sut = (make_sut or simulated())(clock)
    sut.load(library(s), recorder)
    queries = plan.plan(s, plan.schedule(s)) if hasattr(plan, "plan") else plan
    return drive(queries, sut, clock, recorder, s, stop, on_idle)
