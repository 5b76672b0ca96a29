"""Hand-made logs, virtual runs and verdicts by name: what the tests of scenarios and rules
share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.engine.driver import drive
from harness.engine.recorder import Recorder
from harness.kernel.clock import VirtualClock
from harness.kernel.log import Anomaly, RunLog
from harness.kernel.types import FINISHES, RunSettings, Sample, Verdict
from harness.options.profiles import SEEDS
from sut.simulated import Simulated

MS = 1_000_000
S = 1_000_000_000

BASE = RunSettings(
    scenario="single-stream",
    mode="performance",
    seeds=SEEDS["v6.1"],
    num_samples=100,
    performance_samples=100,
    target_qps=10.0,
    samples_per_query=1,
    min_queries=64,
    min_duration_ns=0,
    max_queries=None,
    max_duration_ns=None,
    percentile=0.90,
    ttft_limit_ns=2 * S,
    tpot_limit_ns=200 * MS,
    use_tokens=True,
    max_new_tokens=32,
    sample_timeout_ns=120 * S,
    drain_timeout_ns=10 * S,
    lag_limit_ns=200 * MS,
    equal_issue=False,
)


def run_settings(**changes: Any) -> RunSettings:
    return replace(BASE, **changes)


@dataclass(frozen=True, slots=True)
class Row:
    """One sample of a hand-made log, in milliseconds; ttft and latency count from `due`, None = it
    never came.
    """

    due: float = 0.0
    ttft: float | None = 10.0
    latency: float | None = 20.0
    lag: float = 0.0
    ids: tuple[int, ...] = (5, 6, 2)
    finish: str = "eos"
    first_token: int | None = None  # None: the first of `ids`
    reported: int = -1
    query: int | None = None  # None: a query of its own
    index: int | None = None
    text: str = ""
    error: str = ""


def hand_log(rows: Sequence[Row], anomalies: Sequence[Anomaly] = ()) -> RunLog:
    ids = [token for row in rows for token in row.ids]
    starts = np.cumsum([0, *(len(row.ids) for row in rows)]).astype(np.int64)
    firsts = [
        row.ids[0] if row.first_token is None and row.ids else row.first_token for row in rows
    ]
    done = [None if row.latency is None else row.due + row.latency for row in rows]
    return RunLog(
        query_id=np.array(
            [i if row.query is None else row.query for i, row in enumerate(rows)], np.int32
        ),
        index=np.array(
            [i if row.index is None else row.index for i, row in enumerate(rows)], np.int32
        ),
        due_ns=_ns([row.due for row in rows]),
        issued_ns=_ns([row.due + row.lag for row in rows]),
        first_ns=_ns([None if row.ttft is None else row.due + row.ttft for row in rows]),
        done_ns=_ns(done),
        first_token=np.array([-1 if token is None else token for token in firsts], np.int32),
        reported_tokens=np.array([row.reported for row in rows], np.int32),
        finish=np.array([FINISHES.index(row.finish) for row in rows], np.int8),
        token_start=starts,
        token_ids=np.array(ids, np.int32),
        stamp_start=np.zeros(len(rows) + 1, np.int64),
        stamp_ns=np.empty(0, np.int64),
        completion_order=np.array(
            [i for i, moment in enumerate(done) if moment is not None], np.int32
        ),
        texts={i: row.text for i, row in enumerate(rows) if row.text},
        errors={i: row.error for i, row in enumerate(rows) if row.error},
        anomalies=list(anomalies),
    )


def virtual_run(
    scenario: Any, settings: RunSettings, sut_class: type[Simulated] = Simulated, **options: Any
) -> RunLog:
    """The whole run on a virtual clock: exact, and over in milliseconds."""
    clock = VirtualClock()
    recorder, sut = Recorder(clock), sut_class(clock, **options)
    sut.load(
        [
            Sample(i, "?", max_new_tokens=settings.max_new_tokens)
            for i in range(settings.num_samples)
        ],
        recorder,
    )
    return drive(
        scenario.plan(settings, scenario.schedule(settings)), sut, clock, recorder, settings
    )


class BlocksInIssue(Simulated):
    """Holds the driver up for 300 ms at each query: what follows is issued late."""

    def issue(self, query: Any) -> None:
        super().issue(query)
        self._clock.advance(300 * MS)


def verdict(verdicts: Sequence[Verdict], rule: str) -> Verdict:
    (found,) = [v for v in verdicts if v.rule == rule]
    return found


def _ns(moments_ms: Sequence[float | None]) -> Any:
    return np.array(
        [-1 if moment is None else round(moment * MS) for moment in moments_ms], np.int64
    )
