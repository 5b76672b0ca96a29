"""What would LoadGen call our settings, and what does it make of them before the first draw?

Three views of one RunSettings, under LoadGen's own names: `requested` (what the user said),
`effective` (what holds) and `parameters` (the last block of its summary). The rules are those of
test_settings_internal.cc (6.0.17): in offline all samples are one query without a target duration;
single-stream with equal issue plans whole sets more than it was asked for. Keys that no field of
ours decides have LoadGen's defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import scenarios
from harness.kernel.types import RunSettings
from scenarios.offline import Offline
from scenarios.single_stream import min_issued

Value = str | int | float | bool | None

MODES = {"performance": "PerformanceOnly", "accuracy": "AccuracyOnly"}
_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Effective:
    """LoadGen's `effective_*` values: the fields are its keys, in its order."""

    scenario: str
    test_mode: str
    samples_per_query: int
    target_qps: float
    target_latency_ns: int
    target_latency_percentile: float
    max_async_queries: int
    target_duration_ms: int
    min_duration_ms: int
    max_duration_ms: int
    min_query_count: int
    max_query_count: int
    min_sample_count: int
    qsl_rng_seed: int
    sample_index_rng_seed: int
    schedule_rng_seed: int
    accuracy_log_rng_seed: int
    accuracy_log_probability: float
    accuracy_log_sampling_target: int
    print_timestamps: bool
    performance_issue_unique: bool
    performance_issue_same: bool
    performance_issue_same_index: int
    performance_sample_count: int
    accuracy_sample_count: int
    sample_concatenate_permutation: bool


def name_of(settings: RunSettings) -> str:
    """Return LoadGen's name of the scenario. Raises ValueError where it has none."""
    loadgen = scenarios.entry(settings.scenario).loadgen
    if loadgen is None:
        raise ValueError(f"LoadGen has no scenario {settings.scenario}")
    return loadgen.name


def effective(settings: RunSettings) -> Effective:
    offline, server = settings.scenario == "offline", settings.scenario == "server"
    queries = 1 if offline else _min_query_count(settings)
    per_query = Offline().num_samples(settings) if offline else settings.samples_per_query
    return Effective(
        scenario=name_of(settings),
        test_mode=MODES[settings.mode],
        samples_per_query=per_query,
        target_qps=float(settings.target_qps),
        target_latency_ns=target_latency_ns(settings),
        target_latency_percentile=0.99 if offline else settings.percentile,
        max_async_queries=0 if server else 1,
        target_duration_ms=0 if offline else settings.min_duration_ns // _MS,
        min_duration_ms=settings.min_duration_ns // _MS,
        max_duration_ms=(settings.max_duration_ns or 0) // _MS,
        min_query_count=queries,
        max_query_count=settings.max_queries or 0,
        min_sample_count=queries * per_query,
        performance_sample_count=settings.performance_samples,
        accuracy_sample_count=settings.accuracy_samples or settings.num_samples,
        **_common(settings),
    )


def requested(settings: RunSettings) -> dict[str, Value]:
    """Return LoadGen's `requested_*` lines. We hold rates, so a stream's expected latency is the
    inverse of its rate.
    """
    common = _common(settings)
    seeds_and_log = dict(list(common.items())[:-1])
    wanted: dict[str, Value] = {
        "scenario": name_of(settings),
        "test_mode": MODES[settings.mode],
        **_of_scenario(settings),
        "min_duration_ms": settings.min_duration_ns // _MS,
        "max_duration_ms": (settings.max_duration_ns or 0) // _MS,
        "min_query_count": settings.min_queries,
        "max_query_count": settings.max_queries or 0,
        **seeds_and_log,
        "performance_sample_count_override": 0,
        "accuracy_sample_count_override": settings.accuracy_samples or 0,
        "sample_concatenate_permutation": settings.equal_issue,
    }
    if settings.use_tokens:
        wanted["use_token_latencies"] = True
        if settings.scenario != "offline":
            wanted |= {
                "server_ttft_latency": settings.ttft_limit_ns,
                "server_tpot_latency": settings.tpot_limit_ns,
            }
    return {f"requested_{key}": value for key, value in wanted.items()}


def effective_lines(settings: RunSettings) -> dict[str, Value]:
    return {f"effective_{key}": value for key, value in asdict(effective(settings)).items()}


def parameters(settings: RunSettings) -> dict[str, Value]:
    """Return the block "Test Parameters Used" of the summary: label -> value."""
    e = effective(settings)
    limits: dict[str, Value] = {"target_latency (ns)": e.target_latency_ns}
    if settings.use_tokens:
        limits = {
            "ttft_latency (ns)": settings.ttft_limit_ns,
            "tpot_latency (ns)": settings.tpot_limit_ns,
        }
    rest = asdict(e)
    for shown_above in (
        "scenario",
        "test_mode",
        "target_latency_ns",
        "target_latency_percentile",
        "target_duration_ms",
    ):
        del rest[shown_above]
    del rest["min_sample_count"], rest["sample_concatenate_permutation"]
    head = {key: rest.pop(key) for key in ("samples_per_query", "target_qps")}
    units = {"min_duration_ms": "min_duration (ms)", "max_duration_ms": "max_duration (ms)"}
    return head | limits | {units.get(key, key): value for key, value in rest.items()}


def target_latency_ns(settings: RunSettings) -> int:
    """Return the latency limit of runs without tokens: server only."""
    return settings.target_latency_ns if settings.scenario == "server" else 0


def _min_query_count(settings: RunSettings) -> int:
    """Return the minimum. Equal issue in single-stream asks for more; LoadGen says so in accuracy
    mode too, where nothing depends on it.
    """
    single = settings.scenario == "single-stream"
    return min_issued(replace(settings, mode="performance")) if single else settings.min_queries


def _common(settings: RunSettings) -> dict[str, Any]:
    """Return what requested and effective share, in their common order; the equal-issue flag comes
    last.
    """
    return {
        "qsl_rng_seed": settings.seeds.qsl,
        "sample_index_rng_seed": settings.seeds.sample_index,
        "schedule_rng_seed": settings.seeds.schedule,
        "accuracy_log_rng_seed": settings.accuracy_log_seed,
        "accuracy_log_probability": settings.accuracy_log_probability,
        "accuracy_log_sampling_target": settings.accuracy_log_target,
        "print_timestamps": False,
        "performance_issue_unique": settings.issue == "unique",
        "performance_issue_same": settings.issue == "same",
        "performance_issue_same_index": settings.same_index,
        "sample_concatenate_permutation": settings.equal_issue,
    }


def _of_scenario(settings: RunSettings) -> dict[str, Value]:
    name, qps = settings.scenario.replace("-", "_"), float(settings.target_qps)
    if settings.scenario == "offline":
        return {"offline_expected_qps": qps}
    tail: dict[str, Value] = {f"{name}_target_latency_percentile": settings.percentile}
    if settings.scenario != "server":
        per_query: dict[str, Value] = {f"{name}_samples_per_query": settings.samples_per_query}
        return (
            {f"{name}_expected_latency_ns": 1e9 / qps}
            | tail
            | (per_query if name == "multi_stream" else {})
        )
    return {
        "server_target_qps": qps,
        "server_target_latency_ns": target_latency_ns(settings),
        **tail,
        "server_coalesce_queries": False,
        "server_find_peak_qps_decimals_of_precision": 1,
        "server_find_peak_qps_boundary_step_size": 1.0,
        "server_max_async_queries": 0,
        "server_num_issue_query_threads": 0,
    }


Lines = Mapping[str, Value]
