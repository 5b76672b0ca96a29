"""Which settings of this run contradict each other? Said before it starts (`harness plan`, and at
the start of `harness run`).

What can never be is refused when the settings are read. Here are those that are possible and defeat
the purpose: `certain` if the run cannot be VALID whatever the system does, else if that depends on
how fast it is, or if the run is merely another than its settings suggest. The plan is known to the
last query, so most of this is looked up in it, not estimated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import scenarios
from harness.kernel.stats import percentile_name
from harness.kernel.types import RunSettings
from scenarios.early_stopping import queries_needed
from scenarios.loadgen.sample_order import Schedule
from scenarios.loads import load_of
from scenarios.peak.verdict import LIMITS_PER_STEP, advised_step_s, limit_s

Value = float | int | str


@dataclass(frozen=True, slots=True)
class Conflict:
    """`settings` are those involved, by the names of their flags; times in seconds."""

    kind: str
    settings: dict[str, Value]
    certain: bool  # the run cannot be VALID
    detail: str
    remedy: str


def conflicts(
    settings: RunSettings,
    schedule: Schedule,
    warmup: int = 0,
    search: bool = False,
    rate_known: bool = True,
) -> list[Conflict]:
    """Return every contradiction, the certain ones first. `warmup`: samples before the run;
    `search`: the settings are those of the first step of a search; not `rate_known`: the rate is
    still to be calibrated, so nothing follows from it.
    """
    found = [*_always(settings, schedule, warmup)]
    if settings.mode == "performance":
        plan = _Plan(settings, schedule)
        found += [*_numbers(plan), *_percentile(plan), *_one_token(plan)]
        if search:
            found += _of_a_search(settings)
        else:
            found += [*_durations(plan), *_certainty(plan)]
        if rate_known and not search:
            found += _at_the_rate(plan)
    return sorted(found, key=lambda conflict: not conflict.certain)


class _Plan:
    """How many queries will be issued: at most, at least, and at the expected rate."""

    def __init__(self, settings: RunSettings, schedule: Schedule) -> None:
        self.settings, self.schedule = settings, schedule
        self.entry = scenarios.entry_of(settings)
        self.closed = self.entry.is_closed
        self.needed = max(settings.min_queries, schedule.min_issued)
        self.most = self._most()
        by_time = settings.target_qps * settings.min_duration_ns / 1e9
        self.expected = self.most
        if self.closed:
            self.expected = min(self.most, max(self.needed, int(by_time)))

    def _most(self) -> int:
        s, planned = self.settings, len(self.schedule)
        most = planned if s.max_queries is None else min(planned, s.max_queries)
        if self.closed or s.max_duration_ns is None:
            return most
        in_time = np.searchsorted(self.schedule.offsets_ns, s.max_duration_ns, side="right")
        return min(most, int(in_time) + 1)  # LoadGen stops after the first query beyond it

    @property
    def last_due_s(self) -> float:
        return float(self.schedule.offsets_ns[self.most - 1]) / 1e9 if self.most else 0.0


# ---- whatever the mode


def _always(s: RunSettings, schedule: Schedule, warmup: int) -> Iterator[Conflict]:
    timeout_s, ttft_s, tpot_s = (
        x / 1e9 for x in (s.sample_timeout_ns, s.ttft_limit_ns, s.tpot_limit_ns)
    )
    answer_s = s.target_latency_ns / 1e9 or ttft_s + (s.max_new_tokens - 1) * tpot_s
    silence_s = s.target_latency_ns / 1e9 or max(ttft_s, tpot_s)
    limits: dict[str, Value] = {"ttft_limit": ttft_s, "tpot_limit": tpot_s}
    if s.target_latency_ns:
        limits = {"target_latency": answer_s}
    if timeout_s < answer_s:
        yield Conflict(
            kind="timeout_below_limit" if timeout_s < silence_s else "timeout_below_answer",
            settings={"sample_timeout": timeout_s, **limits, "max_new_tokens": s.max_new_tokens},
            certain=False,
            detail=_timeout_words(timeout_s, silence_s, answer_s),
            remedy=f"raise --sample-timeout to {_up(answer_s):g}s",
        )
    samples = int(schedule.indices.size)
    if warmup > samples:
        yield Conflict(
            kind="warmup_larger_than_run",
            settings={"warmup": warmup, "samples": samples},
            certain=False,
            detail=f"the warm-up has {warmup} samples, the run itself {samples}",
            remedy=f"lower --warmup to {samples} at most",
        )
    if s.mode == "accuracy" and (s.accuracy_samples or 0) > s.num_samples:
        yield Conflict(
            kind="accuracy_samples_beyond_library",
            settings={"accuracy_samples": s.accuracy_samples or 0, "num_samples": s.num_samples},
            certain=False,
            detail=f"{s.accuracy_samples} samples are asked for, there are {s.num_samples}",
            remedy="lower --accuracy-samples, or use a larger dataset",
        )


def _timeout_words(timeout_s: float, silence_s: float, answer_s: float) -> str:
    if timeout_s < silence_s:
        return (
            f"a sample is given up after {timeout_s:g} s of silence, and may be silent for"
            f" {silence_s:g} s within its limits"
        )
    return (
        f"an answer may take {answer_s:g} s within its limits: from a system that does not stream"
        f" its tokens it would be given up after {timeout_s:g} s"
    )


# ---- how many queries, for how long


def _numbers(plan: _Plan) -> Iterator[Conflict]:
    """Find where the plan, or a maximum, ends before the number of queries that the verdict asks
    for.
    """
    if plan.most >= plan.needed or plan.entry.is_at_once:
        return
    names: dict[str, Value] = {"min_queries": plan.needed, "queries": plan.most}
    by, remedy = _what_ends_it(plan)
    yield Conflict(
        kind="fewer_queries_than_needed",
        settings=names | by,
        certain=True,
        detail=f"at most {plan.most:,} queries are issued, {plan.needed:,} are needed",
        remedy=remedy,
    )


def _durations(plan: _Plan) -> Iterator[Conflict]:
    floor_s = plan.settings.min_duration_ns / 1e9
    if not plan.entry.is_open or plan.last_due_s >= floor_s:
        return
    by, remedy = _what_ends_it(plan)
    yield Conflict(
        kind="shorter_than_min_duration",
        settings={"min_duration": floor_s, "queries": plan.most, **by},
        certain=True,
        detail=f"the last query is due after {plan.last_due_s:,.1f} s, the run must last"
        f" {floor_s:g} s",
        remedy=remedy,
    )


def _at_the_rate(plan: _Plan) -> Iterator[Conflict]:
    """Return what follows if queries come, or are answered, at the rate that was given."""
    s, qps = plan.settings, plan.settings.target_qps
    floor_s, needed_s = s.min_duration_ns / 1e9, s.min_queries / qps
    if floor_s and needed_s > floor_s:
        yield Conflict(
            kind="longer_than_min_duration",
            settings={"min_queries": s.min_queries, "target_qps": qps, "min_duration": floor_s},
            certain=False,
            detail=f"at {qps:g}/s {s.min_queries:,} queries take {needed_s:,.0f} s: the run lasts"
            f" longer than the {floor_s:g} s of --min-duration",
            remedy="lower --min-queries, or use a faster system"
            if not plan.entry.is_open
            else "raise the rate, or lower --min-queries",
        )
    if not plan.closed:
        return
    needed_s = plan.needed / qps
    if s.max_duration_ns is not None and s.max_duration_ns / 1e9 < needed_s:
        most_s = s.max_duration_ns / 1e9
        yield Conflict(
            kind="max_duration_below_plan",
            settings={"max_duration": most_s, "min_queries": plan.needed, "target_qps": qps},
            certain=False,
            detail=f"at the expected {qps:g}/s {plan.needed:,} queries take {needed_s:,.0f} s, the"
            f" run is stopped after {most_s:g} s",
            remedy=f"raise --max-duration to {_up(1.2 * needed_s):g}s",
        )
    if s.max_queries is not None and s.max_queries / qps < floor_s:
        yield Conflict(
            kind="max_queries_below_plan",
            settings={"max_queries": s.max_queries, "min_duration": floor_s, "target_qps": qps},
            certain=False,
            detail=f"at the expected {qps:g}/s {s.max_queries:,} queries take"
            f" {s.max_queries / qps:,.0f} s, the run must last {floor_s:g} s",
            remedy=f"raise --max-queries to {int(1.2 * floor_s * qps) + 1}",
        )


def _what_ends_it(plan: _Plan) -> tuple[dict[str, Value], str]:
    """Return the setting that ends the run before its plan does, and the way out."""
    s, planned = plan.settings, len(plan.schedule)
    if longer := load_of(s.load).longer:
        return {"load": s.load}, longer
    if plan.most < planned and s.max_queries is not None and plan.most == s.max_queries:
        needed = max(plan.needed, planned)
        return {"max_queries": s.max_queries}, f"raise --max-queries to {needed}"
    if plan.most < planned and s.max_duration_ns is not None:
        whole_s = float(plan.schedule.offsets_ns[-1]) / 1e9
        remedy = f"raise --max-duration to {_up(whole_s):g}s"
        return {"max_duration": s.max_duration_ns / 1e9}, remedy
    if s.issue == "unique":
        remedy = "leave --issue unique out: its plan has each sample once"
        return {"issue": "unique", "performance_samples": s.performance_samples}, remedy
    return {}, "raise --min-queries, or lower --target-qps"


def _one_token(plan: _Plan) -> Iterator[Conflict]:
    """Find a limit of TPOT where no answer can have a second token."""
    s = plan.settings
    if not plan.entry.is_open or not s.use_tokens or s.max_new_tokens > 1:
        return
    yield Conflict(
        kind="tpot_of_one_token",
        settings={"tpot_limit": s.tpot_limit_ns / 1e9, "max_new_tokens": s.max_new_tokens},
        certain=False,
        detail="no answer can have a second token, so TPOT is not judged",
        remedy="raise --max-new-tokens, or judge the whole latency with --target-latency",
    )


# ---- how sure


def _certainty(plan: _Plan) -> Iterator[Conflict]:
    p, needed = plan.settings.percentile, _needed_for_certainty(plan)
    if plan.entry.is_at_once or plan.expected >= needed:
        return
    yield Conflict(
        kind="early_stopping_out_of_reach",
        settings=_of_the_tail(plan),
        certain=plan.most < needed,
        detail=f"{percentile_name(p)} needs {needed:,} queries to be sure of (99 % confidence),"
        f" {plan.expected:,} are planned",
        remedy=_more_queries(plan),
    )


def _percentile(plan: _Plan) -> Iterator[Conflict]:
    p = plan.settings.percentile
    if plan.entry.is_at_once or int(plan.expected * p) < plan.expected - 1:
        return
    yield Conflict(
        kind="percentile_is_the_slowest",
        settings=_of_the_tail(plan),
        certain=False,
        detail=f"{percentile_name(p)} of {plan.expected:,} queries is the slowest of them",
        remedy=_more_queries(plan),
    )


def _needed_for_certainty(plan: _Plan) -> int:
    return queries_needed(1 if plan.closed else 0, plan.settings.percentile)


def _of_the_tail(plan: _Plan) -> dict[str, Value]:
    percent = 100 * plan.settings.percentile
    return {"percentile": percent, "min_queries": plan.needed, "queries": plan.expected}


def _more_queries(plan: _Plan) -> str:
    """Ask for more queries, to be sure of the tail; what stands in the way has to go first."""
    s, needed = plan.settings, _needed_for_certainty(plan)
    words = load_of(s.load).longer or f"raise --min-queries to {needed}"
    if s.issue == "unique":
        return f"leave --issue unique out, and {words}"
    if s.max_queries is not None and s.max_queries < needed:
        return f"{words}, and --max-queries too"
    return words if s.max_duration_ns is None else f"{words}, and --max-duration as needed"


def _of_a_search(s: RunSettings) -> Iterator[Conflict]:
    """Keep what counts in a search: time for a queue to grow does, early stopping and length do
    not.
    """
    needed_s, step_s = LIMITS_PER_STEP * limit_s(s), s.min_duration_ns / 1e9
    if step_s < needed_s:
        yield Conflict(
            kind="search_steps_too_short",
            settings={"min_duration": step_s, "limit": limit_s(s)},
            certain=False,
            detail=f"a step lasts {step_s:g} s, and it takes {needed_s:g} s for a growing queue to"
            " break the limit",
            remedy=f"raise --min-duration to {advised_step_s(s):g}s, or leave it out",
        )


def _up(seconds: float) -> float:
    return float(np.ceil(seconds))
