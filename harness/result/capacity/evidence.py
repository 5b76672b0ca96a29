"""What does a step of a search tell of the peak? Kept in its row, and read back from there.

So a search that goes on after Ctrl-C decides from the same numbers: `scenarios.peak.search` has
rows in, the next rate out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.kernel.log import RunLog
from harness.kernel.types import RunSettings
from scenarios.early_stopping import over_allowed
from scenarios.peak.queue import Saturation, saturation
from scenarios.peak.search import Known, Plan, Seen
from scenarios.peak.tails import Tail, tail
from scenarios.peak.verdict import MAX_STEP_QUERIES

Row = Mapping[str, Any]
_OTHER = "other"  # what fails for another reason than a limit: the driver was late, samples lost


def plan_of(settings: RunSettings, start: float) -> Plan:
    """Return what is searched for; `settings` are those of a run of full length."""
    limits = limits_ns(settings)
    return Plan(
        start=start,
        p=settings.percentile,
        limits_s={name: limit_ns / 1e9 for name, limit_ns in limits.items()},
        waits=(waits_by(settings),),
        min_queries=settings.min_queries,
        min_duration_s=settings.min_duration_ns / 1e9,
        max_queries=MAX_STEP_QUERIES,
    )


def limits_ns(settings: RunSettings) -> dict[str, int]:
    """Return the limits that are judged, by name."""
    if settings.use_tokens:
        return {"ttft": settings.ttft_limit_ns, "tpot": settings.tpot_limit_ns}
    return {"latency": settings.target_latency_ns}


def waits_by(settings: RunSettings) -> str:
    """Return the limit that a growing queue breaks."""
    return "ttft" if settings.use_tokens else "latency"


def evidence(
    log: RunLog, settings: RunSettings, why: Sequence[str], planned: int, ended: bool
) -> dict[str, Any]:
    """Return what a step tells. `why` it did not hold, `planned` queries; `ended`: it was, since it
    could not hold any more.
    """
    waits, limits = waits_by(settings), limits_ns(settings)
    values = {name: _values_s(log, name) for name in limits}
    tails = {}
    for name, limit_ns in limits.items():
        bound = planned if ended and name == waits else 0
        found = _tail(settings, values[name], limit_ns / 1e9, bound)
        if found is not None:
            tails[name] = asdict_of(found)
    if set(why) & {"driver_late", "samples_lost"}:
        tails[_OTHER] = asdict_of(Tail(settings.target_qps, math.log(1 - settings.percentile), 0.3))
    left_ns = log.first_ns if settings.use_tokens else log.done_ns
    there = log.completed & (left_ns >= 0)
    overloaded = saturation(log.due_ns[there], left_ns[there], limits[waits]) if why else None
    finite = values[waits][np.isfinite(values[waits])]
    return {
        "queries": len(log),
        "planned_queries": planned,
        "ended_early": ended,
        "tails": tails,
        "saturation": None if overloaded is None else overloaded._asdict(),
        "base_s": {waits: float(np.quantile(finite, 0.02))} if len(finite) else {},
    }


def asdict_of(found: Tail) -> dict[str, Any]:
    """Return a tail as a row has it."""
    return {name: value for name, value in found._asdict().items() if name != "qps"}


def seen_of(rows: Iterable[Row]) -> list[Seen]:
    """Return the steps as the search sees them."""
    rows = list(rows)
    is_other = any(_OTHER in row["tails"] for row in rows)
    return [_seen(row, is_other) for row in rows]


def found_of(plan: Plan, found: Known) -> dict[str, Any]:
    """Return what the search found, as find_peak.json has it."""
    return {
        "held_qps": found.held,
        "failed_qps": found.failed,
        "peak_qps": None if found.peak is None else found.peak._asdict(),
        "precision": plan.precision,
        "queries": found.queries,
        "bisection_queries": found.bisection,
    }


def _seen(row: Row, is_other: bool) -> Seen:
    qps = row["target_qps"]
    tails = {name: Tail(qps, **told) for name, told in row["tails"].items()}
    if is_other:  # the runs that did not fail so tell of it too
        failed = tails.get(_OTHER)
        tails[_OTHER] = failed._replace(at_least=True) if failed else Tail(qps, -8.0, 2.0)
    told = row["saturation"]
    return Seen(
        qps=qps,
        purpose=row["purpose"],
        queries=row["queries"],
        held=row["held"],
        tails=tails,
        saturation=None if told is None else Saturation(**told),
        served_qps=row["delivered_qps"],
        base_s=dict(row["base_s"]),
    )


def _tail(settings: RunSettings, values: NDArray[Any], limit_s: float, bound: int) -> Tail | None:
    """Return the tail of a limit; `bound`: of a run of so many queries that could not hold."""
    found = tail(settings.target_qps, values, limit_s, settings.percentile)
    if not bound:
        return found
    allowed = max(over_allowed(bound, settings.percentile) or 0, 1)
    error = 1.0 if found is None else found.error
    return Tail(settings.target_qps, math.log(allowed / bound), error, at_least=True)


def _values_s(log: RunLog, name: str) -> NDArray[Any]:
    """Return what is judged of each query that has it, in seconds, in the order of their due times;
    infinite where no answer came.
    """
    if name == "tpot":
        return log.tpot_ns / 1e9
    came = log.completed & (log.first_ns >= 0) if name == "ttft" else log.completed
    values = (log.ttft_ns if name == "ttft" else log.latency_ns) / 1e9
    return np.where(came, values, np.inf)
