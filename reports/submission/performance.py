"""Does the performance log hold a run that counts?

First what the official checker looks at, with its own limits; then what it lets pass and the rules
do not: INVALID runs, interactive limits, errors, lines that were added later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite
from typing import Any

from reports.mlperf.files import DETAIL, SUMMARY
from reports.submission.places import Log, Place, Problem, Tree, json_object, read_log
from reports.submission.rules import MIN_DURATION_MS, NETWORK_SUT, Benchmark

_SEEDS = (
    "effective_qsl_rng_seed",
    "effective_sample_index_rng_seed",
    "effective_schedule_rng_seed",
)
_FIGURES = {
    "Offline": ("result_samples_per_second", "result_tokens_per_second"),
    "Server": ("result_completed_samples_per_sec", "result_completed_tokens_per_second"),
    "SingleStream": ("early_stopping_latency_ss",),
    "MultiStream": ("early_stopping_latency_ms",),
}
_EDGE_FIGURES = {
    "SingleStream": ("early_stopping_latency_ss", "result_90.00_percentile_latency_ns")
}
_TAILS = (
    "result_first_token_99.00_percentile_latency_ns",
    "result_time_per_output_token_99.00_percentile_ns",
)
_STOPS_EARLY = ("Server", "SingleStream", "MultiStream")
_PRETENDERS = ("simulated", "null")  # systems under test that answer without a model


def performance(
    tree: Tree, place: Place, name: str, benchmark: Benchmark, seeds: tuple[int, ...]
) -> Iterator[Problem]:
    """Check performance/run_1 of one result. `name` is MLPerf's of the benchmark."""
    folder = f"{place.results}/performance/run_1"
    path = f"{folder}/{DETAIL}"
    log, complaint = read_log(tree, path)
    yield from _summary(tree, f"{folder}/{SUMMARY}", log)
    if complaint:
        yield Problem(path, complaint)
        return
    for what in (
        *_settings(log, place, benchmark, seeds),
        *_scenario(log, place, name, benchmark),
        *_network(tree, log, place),
    ):
        yield Problem(path, what)
    for what in (*_run(log), *_issue(log), *_system_under_test(log)):
        yield Problem(path, what, seen=False)
    for what, seen in _latencies(log, place, name, benchmark):
        yield Problem(path, what, seen)


def figures(scenario: str, benchmark: Benchmark) -> tuple[str, ...]:
    """Return the keys of the results that the checker reads; the last one is published."""
    edge = _EDGE_FIGURES.get(scenario) if benchmark.edge else None
    return edge or _FIGURES.get(scenario, ())


# ---- what the official checker looks at


def _settings(
    log: Log, place: Place, benchmark: Benchmark, seeds: tuple[int, ...]
) -> Iterator[str]:
    for key, seed in zip(_SEEDS, seeds, strict=True):
        if log.values.get(key) != seed:
            yield f"{key} is {log.values.get(key)}, not {seed}"
    yield from _at_least(log, "effective_performance_sample_count", benchmark.samples)
    yield from _at_least(log, "effective_min_duration_ms", MIN_DURATION_MS)
    if log.values.get("effective_scenario") == "Offline":
        closed = place.division == "closed"
        yield from _at_least(
            log, "effective_samples_per_query", benchmark.samples if closed else None
        )
        yield from _at_least(log, "effective_min_query_count", 1)
    if not log.values.get("requested_use_token_latencies"):
        yield "use_token_latencies is off"


def _scenario(log: Log, place: Place, name: str, benchmark: Benchmark) -> Iterator[str]:
    """Check that the run is of the folder's scenario, was long enough for its tail, and has its
    figures.
    """
    scenario = log.values.get("effective_scenario")
    if scenario != ("Server" if place.kind == "Interactive" else place.kind):
        yield f"the log of a {scenario} run in the folder {place.scenario}"
    if scenario in _STOPS_EARLY and not log.values.get("early_stopping_met"):
        yield "early stopping was not met"
    if scenario == "Server" and place.kind not in benchmark.limits_ms:
        yield f"{name} has no scenario {place.scenario}"
    for key in figures(str(scenario), benchmark):
        value = log.number(key)
        if value is None:
            yield f"{key} is {'not a number' if key in log.values else 'missing'}"
    published = log.number((figures(str(scenario), benchmark) or ("",))[-1])
    if published == 0:
        yield f"{figures(str(scenario), benchmark)[-1]} is 0: a result of nothing"


def _network(tree: Tree, log: Log, place: Place) -> Iterator[str]:
    system, _ = json_object(tree, place.system_file)
    is_network = str(system.get("is_network", "")).lower() == "true"
    if is_network and NETWORK_SUT not in str(log.values.get("sut_name")):
        yield f"sut_name is {log.values.get('sut_name')!r}, without {NETWORK_SUT!r}"


def _latencies(
    log: Log, place: Place, name: str, benchmark: Benchmark
) -> Iterator[tuple[str, bool]]:
    """Yield (complaint, seen). The checker holds interactive runs to the limits of Server."""
    if log.values.get("effective_scenario") != "Server" or place.kind not in benchmark.limits_ms:
        return
    limits_ms, checked_ms = benchmark.limits_ms[place.kind], benchmark.limits_ms["Server"]
    for key, limit_ms, lax_ms in zip(_TAILS, limits_ms, checked_ms, strict=True):
        value_ns = log.number(key)
        if value_ns is None:
            yield f"{key} is missing", True
        elif value_ns >= limit_ms * 10**6:
            words = f"{value_ns / 1e6:g} ms; {place.kind} needs less than {limit_ms} ms"
            yield f"{key} is {words}", value_ns >= lax_ms * 10**6
    most_s = benchmark.target_latency_s
    target_ns = log.number("effective_target_latency_ns")
    if most_s is not None and (target_ns is None or target_ns > most_s * 10**9):
        yield f"effective_target_latency_ns is {target_ns}; at most {most_s} s", True


def _at_least(log: Log, key: str, least: int | None) -> Iterator[str]:
    value = log.number(key)
    if value is None or (least is not None and value < least):
        yield f"{key} is {log.values.get(key)}; at least {1 if least is None else least}"


# ---- what it does not look at


def _run(log: Log) -> Iterator[str]:
    """Check that LoadGen itself called the run VALID, and that its log was left alone."""
    values = log.values
    if values.get("effective_test_mode") != "PerformanceOnly":
        yield f"the mode is {values.get('effective_test_mode')}, not PerformanceOnly"
    if values.get("result_validity") != "VALID":
        reason = values.get("result_invalid_reason")
        verdict = values.get("result_validity", "without a verdict")
        yield f"the run is {verdict}" + (f": {reason}" if reason else "")
    for key in ("result_min_duration_met", "result_min_queries_met", "result_perf_constraints_met"):
        if values.get(key) is False:
            yield f"{key} is false"
    if log.errors:
        yield f"errors in the log: {len(log.errors)}, the first: {log.errors[0]}"
    if log.doubled:
        yield f"{', '.join(log.doubled)}: more than one line; LoadGen writes one"
    if strange := [key for key, value in values.items() if _is_impossible(key, value)]:
        yield f"{', '.join(strange)}: not a finite figure of at least 0"


def _is_impossible(key: str, value: Any) -> bool:
    is_figure = key.startswith("result_") and isinstance(value, (int, float))
    return is_figure and not (isfinite(value) and value >= 0)


def _issue(log: Log) -> Iterator[str]:
    if not log.values.get("effective_sample_concatenate_permutation"):
        yield "samples were not issued equally often (sample_concatenate_permutation)"
    for flag in ("unique", "same"):
        if log.values.get(f"effective_performance_issue_{flag}"):
            yield f"performance_issue_{flag} is on"


def _system_under_test(log: Log) -> Iterator[str]:
    words = str(log.values.get("sut_name", "")).split()
    if kind := next((word for word in _PRETENDERS if word in words), None):
        yield f"the system under test was {kind}: no model ran"


def _summary(tree: Tree, path: str, log: Log) -> Iterator[Problem]:
    """The page for people says what the log says."""
    if path not in tree:
        yield Problem(path, "missing", seen=False)
        return
    told = re.search(r"^Result is : (\w+)", tree[path], re.MULTILINE)
    verdict = log.values.get("result_validity")
    if told and verdict and told[1] != verdict:
        yield Problem(path, f"says {told[1]}, the detail log {verdict}", seen=False)
