"""How close does the search come to the peak of a queue whose peak is known, and with how many
queries? Beside plain bisection with runs of the same length.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scenarios.early_stopping import over_allowed
from scenarios.peak.queue import saturation
from scenarios.peak.search import FULL, Over, Plan, Seen, Wanted, known, next_step
from scenarios.peak.spent import queries_of
from scenarios.peak.tails import Tail, tail
from scenarios.peak.watch import Watch, rule
from tests.bench.queues import Times, batches, servers

System = Callable[[float, int, int], Times]
_LOOKS = 100  # of a run


class Case(NamedTuple):
    """A queue, its limit, and the rate at which a share p of its queries keeps it: by simulation
    of 27 million (`truth`).
    """

    name: str
    system: System
    peak: float
    limit_s: float
    p: float
    min_duration_s: float
    start: float


CASES = (
    Case("M/G/16, p99 of 1 s", servers, 77.18, 1.0, 0.99, 600.0, 10.0),
    Case("batching, p99 of 1 s", batches, 32.96, 1.0, 0.99, 600.0, 10.0),
)


class Found(NamedTuple):
    qps: float | None
    queries: int


def plan_of(case: Case) -> Plan:
    return Plan(
        start=case.start,
        p=case.p,
        limits_s={"ttft": case.limit_s},
        waits=("ttft",),
        min_queries=64,
        min_duration_s=case.min_duration_s,
    )


def search(case: Case, seed: int, trace: bool = False) -> Found:
    """Return what our search finds."""
    plan, seen = plan_of(case), list[Seen]()
    while not isinstance(wanted := next_step(plan, seen), Over):
        seen.append(measured(case, plan, wanted, 1000 * seed + len(seen)))
        if trace:
            print(wanted, seen[-1])
    found = known(plan, seen)
    if trace:
        print(wanted, found)
    return Found(found.held, found.queries)


def measured(case: Case, plan: Plan, wanted: Wanted, seed: int) -> Seen:
    """Make a run, which ends early if it cannot hold."""
    planned = queries_of(wanted.qps, wanted.min_queries, wanted.min_duration_s)
    due_s, first_s = case.system(wanted.qps, planned, seed)
    due_ns, first_ns = (due_s * 1e9).astype(np.int64), (first_s * 1e9).astype(np.int64)
    limit_ns, ended = int(case.limit_s * 1e9), False
    if wanted.purpose != "saturate":
        watch = Watch(rule(limit_ns, planned, case.p))
        for i in range(planned // _LOOKS, planned, max(planned // _LOOKS, 1)):
            now_ns = int(due_ns[i])
            left_ns = np.where(first_ns[watch.begin : i] <= now_ns, first_ns[watch.begin : i], -1)
            if ended := watch.look(now_ns, due_ns[watch.begin : i], left_ns):
                due_ns, first_ns = due_ns[:i], first_ns[:i]
                break
    waited = first_ns - due_ns
    over = int((waited > limit_ns).sum())
    allowed = over_allowed(len(due_ns), case.p)
    held = not ended and over <= (allowed or 0)
    if wanted.purpose not in FULL:
        held = not ended and over <= (1 - case.p) * len(due_ns)
    seen_tail = tail(wanted.qps, waited / 1e9, case.limit_s, case.p)
    tails = {}
    if seen_tail is not None and wanted.purpose != "saturate":
        tails = {"ttft": seen_tail}
        if ended:
            least = math.log(max(over_allowed(planned, case.p) or 0, 1) / planned)
            tails = {"ttft": Tail(wanted.qps, least, seen_tail.error, True)}
    of_queue = saturation(due_ns, first_ns, limit_ns) if not held else None
    return Seen(
        qps=wanted.qps,
        purpose=wanted.purpose,
        queries=len(due_ns),
        held=held,
        tails=tails,
        saturation=of_queue,
        served_qps=len(due_ns) / (float(first_ns.max()) / 1e9),
        base_s={"ttft": float(np.quantile(waited, 0.02)) / 1e9},
    )


def bisection(case: Case, seed: int) -> Found:
    """Return what plain bisection finds, with runs of full length on one set of seeds each."""
    plan = plan_of(case)
    low, high, qps, spent, tried = 0.0, float("inf"), case.start, 0, 0
    while high == float("inf") or high > low * (1 + plan.precision):
        queries = queries_of(qps, plan.min_queries, plan.min_duration_s)
        due_s, first_s = case.system(qps, queries, 1000 * seed + 500 + tried)
        over, tried = int((first_s - due_s > case.limit_s).sum()), tried + 1
        spent += queries
        if over <= (over_allowed(queries, case.p) or 0):
            low = qps
        else:
            high = qps
        qps = 2 * low if high == float("inf") else (low + high) / 2
    return Found(low, spent)
