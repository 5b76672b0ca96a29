"""Was the rate that a search found a peak? LoadGen's search (`scenarios.loadgen.find_peak`) does
not ask.

LoadGen is content with a rate if the latency limits hold at their percentile. Sixty-four queries
that arrive within a microsecond are all answered before a queue could make them late: every rate
"holds", and the search ends at a billion. So here a rate has held only if

    limits          LoadGen's own condition holds
    not_delivered   else: the system clearly served less than DELIVERED_SHARE of the rate
    driver_late     else: the driver could not issue at this rate
    samples_lost    else: a sample failed, timed out or never came back

The rate that was delivered shows in the latencies. If queries arrive at a rate r and are served at
a rate d < r, each waits for the queue that grew before it: latency rises by r/d - 1 seconds per
second of the run. Its slope over the due times (least squares) therefore gives d = r / (1 + slope).
"Clearly": also if the slope were smaller by ERRORS of its standard errors.

A rate is a peak if it held, a higher one did not, and its run was long enough for a queue to break
the limit: an overload of one part in LIMITS_PER_STEP does within that many times the limit. Over
such runs LoadGen's condition is the stricter one, and the search goes LoadGen's way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.kernel.log import RunLog
from harness.kernel.types import Metric, RunSettings, Verdict
from scenarios.loadgen.find_peak import peak_qps

DELIVERED_SHARE = 0.95
ERRORS = 3.0
LIMITS_PER_STEP = 10  # a step lasts at least so many times the limit of the first token
ADVISED_LIMITS_PER_STEP = 30  # shows an overload of 4 % at p90
MAX_STEP_QUERIES = 5_000_000  # 700 MB of records before any token
_WORDS = {
    "limits": "a latency limit was broken",
    "not_delivered": "the system served fewer",
    "driver_late": "the driver itself fell behind",
    "samples_lost": "samples were lost",
    "hopeless": "the run could not hold any more",
    "not_certain": "too few queries to be sure of it",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One rate that was tried. `why` names what did not hold; empty if the rate held."""

    target_qps: float
    limits_kept: bool  # LoadGen's own condition
    why: tuple[str, ...]
    delivered_qps: float | None  # None: too few queries, or all due at once, to tell
    duration_s: float | None  # of the schedule; None in folders that do not say

    @property
    def held(self) -> bool:
        return not self.why


class Growth(NamedTuple):
    """By how many seconds latency rises per second of the run, and its standard error."""

    slope: float
    error: float


def make_step(log: RunLog, settings: RunSettings, limits_kept: bool, driver_late: bool) -> Step:
    """Return what a finished run says of its rate."""
    growth, qps = queue_growth(log), settings.target_qps
    found = {
        "limits": not limits_kept,
        "not_delivered": growth is not None and _clearly_grows(growth),
        "driver_late": driver_late,
        "samples_lost": not log.completed.all(),
    }
    why = tuple(name for name, true in found.items() if true)
    delivered = None if growth is None else qps / (1 + max(growth.slope, 0.0))
    duration_s = float(log.due_ns[-1]) / 1e9 if len(log) else 0.0
    return Step(qps, limits_kept, why, delivered, duration_s)


def queue_growth(log: RunLog) -> Growth | None:
    """Return the slope of latency over due time; None if fewer than three moments leave it open."""
    ok = log.completed
    due_s, latency_s = log.due_ns[ok] / 1e9, log.latency_ns[ok] / 1e9
    n = len(due_s)
    if n < 3 or due_s[0] == due_s[-1]:
        return None
    from_mean_s, excess_s = due_s - due_s.mean(), latency_s - latency_s.mean()
    squares = float(from_mean_s @ from_mean_s)
    slope = float(from_mean_s @ excess_s) / squares
    rest_s = excess_s - slope * from_mean_s
    return Growth(slope, math.sqrt(float(rest_s @ rest_s) / (n - 2) / squares))


def _clearly_grows(growth: Growth) -> bool:
    return growth.slope - ERRORS * growth.error > 1 / DELIVERED_SHARE - 1


def advised_step_s(settings: RunSettings) -> float:
    return ADVISED_LIMITS_PER_STEP * limit_s(settings)


def limit_s(settings: RunSettings) -> float:
    """Return the limit that a growing queue breaks first: TTFT's where tokens are judged."""
    of_tokens = settings.use_tokens or not settings.target_latency_ns
    return (settings.ttft_limit_ns if of_tokens else settings.target_latency_ns) / 1e9


def is_too_large(settings: RunSettings) -> bool:
    """Say whether a run at this rate has more queries than can be kept."""
    by_time = settings.target_qps * settings.min_duration_ns / 1e9
    return max(settings.min_queries, by_time) > MAX_STEP_QUERIES


# ---- the verdict


def best(steps: Sequence[Step]) -> Step | None:
    """Return the run that a search reports; None if no rate held."""
    peak = peak_qps([(step.target_qps, step.held) for step in steps])
    return next((step for step in steps if step.held and step.target_qps == peak), None)


def judge(
    steps: Sequence[Step], settings: RunSettings, ended: str, found: Step | None
) -> list[Verdict]:
    """Judge whether the rate that was `found` is a peak. `ended`: `size` if the next rate was too
    large to be tried.
    """
    if found is None:
        return [_nothing_held(steps)]
    failed = [step for step in steps if not step.held and step.target_qps > found.target_qps]
    if failed:
        bounded = _bounded(found, min(failed, key=lambda step: step.target_qps))
    else:
        bounded = _unbounded(found, settings, ended)
    return [bounded, *_long_enough(found, settings)]


def headline(steps: Sequence[Step], found: Step | None) -> Metric:
    """Return the figure of a search: the rate of its best run, as far as it was delivered."""
    value = None
    if found is not None:
        value = min(found.target_qps, found.delivered_qps or found.target_qps)
    return Metric("peak rate", value, "queries/s", len(steps))


def _nothing_held(steps: Sequence[Step]) -> Verdict:
    first, lowest = steps[0], min(steps, key=lambda step: step.target_qps)
    detail = f"the first rate of {first.target_qps:g}/s did not hold: {_why(first)}"
    if len(steps) > 1:
        detail = f"no rate held in a run of full length, down to {lowest.target_qps:.4g}/s"
        detail += f": {_why(lowest)}" if lowest.why else ""
    return Verdict(
        rule="peak_bounded",
        status="FAIL",
        limit=lowest.target_qps,
        unit="queries/s",
        detail=detail,
        remedy=(
            "free a core for the driver"
            if lowest.why == ("driver_late",)
            else f"start lower: --target-qps {lowest.target_qps / 4:.3g}"
        ),
    )


def _bounded(found: Step, failed: Step) -> Verdict:
    of_the_driver = failed.why == ("driver_late",)
    return Verdict(
        rule="peak_bounded",
        status="FAIL" if of_the_driver else "PASS",
        measured=found.target_qps,
        limit=failed.target_qps,
        unit="queries/s",
        detail=f"held at {found.target_qps:.6g}/s, not at {failed.target_qps:.6g}/s: "
        f"{_why(failed)}",
        remedy="free a core for the driver: the system may be faster" if of_the_driver else "",
    )


def _unbounded(found: Step, settings: RunSettings, ended: str) -> Verdict:
    seconds = f"{advised_step_s(settings):g}s"
    detail = f"every rate that was tried held, up to {found.target_qps:g}/s"
    remedy = f"let each step last longer, so that a queue can grow: --min-duration {seconds}"
    if ended == "size":
        detail += f"; the next would need more than {MAX_STEP_QUERIES:,} queries"
        remedy = "this system is too fast for a search: measure it at fixed rates"
    return Verdict(
        rule="peak_bounded",
        status="FAIL",
        measured=found.target_qps,
        unit="queries/s",
        detail=detail,
        remedy=remedy,
    )


def _long_enough(found: Step, settings: RunSettings) -> list[Verdict]:
    if found.duration_s is None:
        return []
    needed_s = LIMITS_PER_STEP * limit_s(settings)
    enough = found.duration_s >= needed_s
    detail = "too short for a growing queue to break the limit"
    if enough:
        served = found.delivered_qps or found.target_qps
        detail = f"{served:.4g} of {found.target_qps:.4g} queries/s were served"
    return [
        Verdict(
            rule="peak_step_length",
            status="PASS" if enough else "FAIL",
            measured=found.duration_s,
            limit=needed_s,
            unit="s",
            detail=detail,
            remedy="" if enough else f"--min-duration {advised_step_s(settings):g}s",
            margin=found.duration_s / needed_s - 1,
        )
    ]


def _why(step: Step) -> str:
    return ", ".join(_WORDS[name] for name in step.why)
