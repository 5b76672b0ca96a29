"""Why will the run be that long, and how short could a valid one be? Said before it starts
(`harness plan`).
"""

from __future__ import annotations

import scenarios
from harness.kernel.entries import ScenarioEntry
from harness.kernel.stats import percentile_name
from harness.kernel.types import RunSettings
from scenarios.early_stopping import queries_needed
from scenarios.loadgen.sample_order import Schedule


def forecast(settings: RunSettings, schedule: Schedule) -> dict[str, str]:
    """Return sentences by label: `length` (what decides it) and `shortest` (the fewest queries that
    can be valid).
    """
    if settings.mode == "accuracy":
        return {"length": f"accuracy mode: each of {schedule.indices.size} samples once"}
    entry = scenarios.entry_of(settings)
    decided = {"closed": _closed_loop, "open": _open_loop, "at once": _at_once}[entry.loop]
    return {"length": decided(settings, schedule), "shortest": _shortest(settings, entry)}


def _closed_loop(settings: RunSettings, schedule: Schedule) -> str:
    """Forecast a closed loop, which ends when both its count and its duration are reached."""
    count = max(settings.min_queries, schedule.min_issued)
    by_count_s, floor_s = count / settings.target_qps, settings.min_duration_ns / 1e9
    if count > settings.min_queries:
        return (
            f"equal issue asks for {count} queries, {by_count_s:,.0f} s at the expected"
            f" {settings.target_qps:g}/s"
        )
    if by_count_s >= floor_s:
        return (
            f"min_queries: {count} queries, {by_count_s:,.0f} s at the expected"
            f" {settings.target_qps:g}/s"
        )
    return (
        f"min_duration: {floor_s:,.0f} s, about {floor_s * settings.target_qps:,.0f} queries at the"
        " expected rate"
    )


def _open_loop(settings: RunSettings, schedule: Schedule) -> str:
    count, seconds = len(schedule), float(schedule.offsets_ns[-1]) / 1e9
    by_time = settings.min_duration_ns / 1e9 * settings.target_qps
    reason = "min_queries" if settings.min_queries >= by_time else "min_duration"
    if (
        settings.equal_issue
        and count - max(settings.min_queries, by_time) > len(schedule.loaded) / 2
    ):
        reason = f"equal issue (whole rounds of {len(schedule.loaded)} samples)"
    return f"{reason}: {count:,} queries in {seconds:,.1f} s"


def _at_once(settings: RunSettings, schedule: Schedule) -> str:
    count = schedule.indices.size
    by_time = int(1.1 * settings.min_duration_ns / 1e9 * settings.target_qps)
    reason = (
        "min_queries" if settings.min_queries >= by_time else "min_duration at the expected rate"
    )
    if settings.equal_issue and count > max(settings.min_queries, by_time):
        reason = f"equal issue (whole rounds of {len(schedule.loaded)} samples)"
    return (
        f"{reason}: {count:,} samples, {count / settings.target_qps:,.0f} s at the expected"
        f" {settings.target_qps:g}/s"
    )


def _shortest(settings: RunSettings, entry: ScenarioEntry) -> str:
    p = settings.percentile
    if entry.is_at_once:
        return f"one sample: {settings.scenario} judges no tail latency ({_flags(1, settings)})"
    none, one = queries_needed(0, p), queries_needed(1, p)
    seconds = f"{one / settings.target_qps:,.0f} s at {settings.target_qps:g}/s"
    sure = f"{one} queries bound {percentile_name(p)} at 99 % confidence"
    if entry.has_limits:
        sure = (
            f"{none} queries if none is over its limit, {one} with one over ({percentile_name(p)},"
            " 99 % confidence)"
        )
    return f"{sure}: {seconds} ({_flags(one, settings)})"


def _flags(queries: int, settings: RunSettings) -> str:
    """Return what to say on the command line for it; MLPerf's own length is another matter."""
    random = " --issue random" if settings.equal_issue else ""
    return f"--min-queries {queries} --min-duration 0{random}"
