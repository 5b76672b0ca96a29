"""One run, made twice in virtual time: by the official LoadGen and by our own driver, with the same system under test.

Both sides are told the same nanoseconds (tests/loadgen_clock.py), so their logs can be compared character by character.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.clock import VirtualClock
from harness.driver import drive
from harness.recorder import Recorder
from harness.types import MemoryUse, Output, Query, RunLog, RunSettings, Sample, Seeds, SutFacts
from reports import mlperf_logs
from reports.mlperf_logs import MARK, Header, Settings
from scenarios import accuracy_log, loadgen_results, loadgen_settings
from tests.scenario_helpers import BASE, MS

Case = dict[str, Any]
Official = Callable[[Case], dict[str, Any]]
SCENARIOS = {
    "SingleStream": "single-stream",
    "MultiStream": "multi-stream",
    "Server": "server",
    "Offline": "offline",
}
MODES = {"PerformanceOnly": "performance", "AccuracyOnly": "accuracy"}
START = "2001-09-09T01:46:40+00:00"  # of LoadgenClock
HEADER = Header("run-1", "touchstone 0", "PySUT", "PyQSL", 0, 0, START)
NOT_OURS = {  # what cannot be equal: who wrote it, and how busy its logger was
    "loadgen_version", "loadgen_build_date_local", "loadgen_build_date_utc", "loadgen_git_commit_date",
    "loadgen_git_log_message", "loadgen_git_status_message", "loadgen_file_sha1", "touchstone_run_id", "test_datetime",
    "get_sut_name_duration_ns",
}  # fmt: skip
OF_THE_MACHINE = ("PerfClock and system_clock differ", "Logging allocation detected")
NO_NUMBERS = ("nan", "-nan", "inf", "-inf")  # ours writes null: they are no JSON
SEEDS = {"qsl_rng_seed": 11, "sample_index_rng_seed": 22, "schedule_rng_seed": 33}
SHAPE = {
    "tokens": [2, 3, 5, 4, 9], "said": [None], "first_ns": [60_000], "rest_ns": [1_000, 200_000, 7],
    "stall_ns": [0], "qsl_total": 20, "qsl_perf": 15,
}  # fmt: skip


def case(scenario: str, mode: str = "PerformanceOnly", **changes: Any) -> Case:
    """`changes` are TestSettings' attributes, or shape the SUT and its library (`SHAPE`)."""
    shape = SHAPE | {key: changes.pop(key) for key in list(changes) if key in SHAPE}
    settings = {
        "min_query_count": 70, "min_duration_ms": 5, "server_target_qps": 2500.0, "offline_expected_qps": 1000.0,
        "single_stream_expected_latency_ns": 50_000, "multi_stream_expected_latency_ns": 100_000,
        "ttft_latency": 50_000_000, "tpot_latency": 50_000_000,
    }  # fmt: skip
    return {"scenario": scenario, "mode": mode, "settings": settings | SEEDS | changes, **shape}


TOKENS = {"use_token_latencies": True}
INFER = {"infer_token_latencies": True, "token_latency_scaling_factor": 69}
CASES = {
    "single": case("SingleStream"),
}  # fmt: skip


@contextmanager
def official_loadgen() -> Iterator[Official]:
    if find_spec("mlperf_loadgen") is None:
        pytest.skip(
            "the wheel mlcommons-loadgen is not installed (it exists for Linux on x86-64 only)"
        )
    command = [sys.executable, "-m", "tests.loadgen_log_oracle"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout

        def run(asked: Case) -> dict[str, Any]:
            stdin.write(json.dumps(asked) + "\n")
            stdin.flush()
            answer = stdout.readline()
            assert answer, f"the official LoadGen's process ended at {asked}"
            return without_the_machine(json.loads(answer))

        yield run
        with suppress(BrokenPipeError):
            stdin.close()


def without_the_machine(logs: dict[str, Any]) -> dict[str, Any]:
    lines = logs[mlperf_logs.DETAIL].splitlines(keepends=True)
    about = [line for line in lines if any(words in line for words in OF_THE_MACHINE)]
    errors = sum('"is_error": true' in line for line in about)
    detail, summary = (
        "".join(line for line in lines if line not in about),
        logs[mlperf_logs.SUMMARY],
    )
    detail = re.sub(
        r'("num_errors", "value": )(\d+)', lambda m: f"{m[1]}{int(m[2]) - errors}", detail
    )
    return logs | {
        mlperf_logs.DETAIL: detail,
        mlperf_logs.SUMMARY: fewer(
            fewer(summary, "ERROR", "S", errors), "warning", "s", len(about) - errors
        ),
    }


def fewer(summary: str, noun: str, plural: str, by: int) -> str:
    def line(found: re.Match[str]) -> str:
        left = int(found[1]) - by
        if left <= 0:
            return f"No {noun.lower()}s encountered during test."
        return f"{left} {noun}{plural if left > 1 else ''} encountered. See detailed log."

    return re.sub(
        rf"^(\d+) {noun}{plural}? encountered\. See detailed log\.$",
        line,
        summary,
        flags=re.MULTILINE,
    )


def settings_of(asked: Case) -> RunSettings:
    """LoadGen's setting names as ours."""
    s, scenario = asked["settings"], asked["scenario"]
    stream = {
        "SingleStream": "single_stream",
        "MultiStream": "multi_stream",
        "Server": "server",
    }.get(scenario, "")
    default_tail = {"SingleStream": 0.9, "MultiStream": 0.99, "Server": 0.99, "Offline": 0.99}[
        scenario
    ]
    rates = {"Server": s["server_target_qps"], "Offline": s["offline_expected_qps"]}
    changes = dict(
        scenario=SCENARIOS[scenario],
        mode="accuracy" if asked["mode"] == "AccuracyOnly" else "performance",
        seeds=Seeds(s["qsl_rng_seed"], s["sample_index_rng_seed"], s["schedule_rng_seed"]),
        num_samples=asked["qsl_total"],
        performance_samples=asked["qsl_perf"],
        accuracy_samples=s.get("accuracy_sample_count_override"),
        target_qps=rates.get(scenario) or 1e9 / s[f"{stream}_expected_latency_ns"],
        samples_per_query=s.get("multi_stream_samples_per_query", 8)
        if scenario == "MultiStream"
        else 1,
        min_queries=s["min_query_count"],
        min_duration_ns=s["min_duration_ms"] * MS,
        max_queries=s.get("max_query_count") or None,
        max_duration_ns=s["max_duration_ms"] * MS if s.get("max_duration_ms") else None,
        percentile=s.get(f"{stream}_target_latency_percentile", default_tail),
        ttft_limit_ns=s["ttft_latency"],
        tpot_limit_ns=s["tpot_latency"],
        use_tokens=s.get("use_token_latencies", False),
        equal_issue=s.get("sample_concatenate_permutation", False),
        issue="unique"
        if s.get("performance_issue_unique")
        else "same"
        if s.get("performance_issue_same")
        else "random",
        same_index=s.get("performance_issue_same_index", 0),
        accuracy_log_probability=s.get("accuracy_log_probability", 0.0),
        accuracy_log_target=s.get("accuracy_log_sampling_target", 0),
        accuracy_log_seed=s.get("accuracy_log_rng_seed", 0),
        target_latency_ns=s.get("server_target_latency_ns", 100 * MS),
        inferred_tokens_per_sample=s.get("token_latency_scaling_factor", 1)
        if s.get("infer_token_latencies")
        else None,
        sample_timeout_ns=10**18,
    )
    return replace(BASE, **changes)


class Modelled:
    """The system under test of tests/loadgen_log_oracle.py."""

    name = "modelled"

    def __init__(self, asked: Case, clock: VirtualClock) -> None:
        self.case, self.clock, self.samples, self.queries = asked, clock, 0, 0
        self.tells_first = (
            asked["settings"].get("use_token_latencies", False) and asked["scenario"] != "Offline"
        )

    def load(self, samples: Sequence[Sample], sink: Any) -> None:
        self.sink = sink

    def issue(self, query: Query) -> None:
        for sample in query.samples:
            self._plan(sample.id, sample.index)
        self.clock.advance(_pick(self.case["stall_ns"], self.queries))
        self.queries += 1

    def _plan(self, sample: int, index: int) -> None:
        k, asked = self.samples, self.case
        self.samples += 1
        ids = [1000 * index + j for j in range(_pick(asked["tokens"], k))]
        output = Output(sample, "eos", ids, reported_tokens=_pick(asked["said"], k))
        first_ns = self.clock.now_ns() + _pick(asked["first_ns"], k)
        if self.tells_first:
            self.clock.call_at(first_ns, lambda: self.sink.first_token(sample, ids[0]))
        self.clock.call_at(
            first_ns + _pick(asked["rest_ns"], k), lambda: self.sink.complete(output)
        )

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def memory(self) -> MemoryUse:
        return MemoryUse()

    def facts(self) -> SutFacts:
        return {}

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        return None


def _pick(values: list[Any], k: int) -> Any:
    return values[k % len(values)]


def our_log(asked: Case) -> RunLog:
    settings = settings_of(asked)
    scenario = registry.scenario(settings.scenario)
    schedule = scenario.schedule(settings)
    limits = replace(settings, min_queries=max(settings.min_queries, schedule.min_issued))
    clock = VirtualClock()
    recorder, sut = Recorder(clock), Modelled(asked, clock)
    sut.load([], recorder)
    return drive(scenario.plan(settings, schedule), sut, clock, recorder, limits)


def our_texts(asked: Case, log: RunLog) -> dict[str, str]:
    s = settings_of(asked)
    header = Header(**{f.name: getattr(HEADER, f.name) for f in fields(HEADER)} | {
        "total_count": asked["qsl_total"], "performance_count": asked["qsl_perf"]})  # fmt: skip
    names = Settings(
        loadgen_settings.requested(s),
        loadgen_settings.effective_lines(s),
        loadgen_settings.parameters(s),
    )
    sets = registry.scenario(s.scenario).schedule(s).sets
    found, logged = loadgen_results.results(log, s), accuracy_log.logged_samples(log, s).tolist()
    return {
        mlperf_logs.DETAIL: mlperf_logs.detail(header, names, sets, found, log),
        mlperf_logs.SUMMARY: mlperf_logs.summary(header, names, found),
        mlperf_logs.ACCURACY: mlperf_logs.accuracy(
            log, logged, s.use_tokens, s.scenario != "offline"
        ),
    }


def events_of(detail: str) -> list[tuple[str, str]]:
    """(key, value as written) of each line that can be equal.

    Messages stand in no order between two results: LoadGen says why issuing ended once the last
    query's `IssueQuery` has returned, and here that returns when the query is complete.
    """
    found: list[tuple[str, str]] = []
    for line in detail.splitlines():
        key, rest = line.removeprefix(f'{MARK}{{"key": "').split('", "value": ', 1)
        if key not in NOT_OURS and not key.startswith("logger_"):
            value = re.sub(r" \(sample \d+\)", "", rest.split(', "time_ms": ', 1)[0])
            found.append((key, "null" if value in NO_NUMBERS else value))
    grouped = groupby(found, lambda event: event[0] in ("error_runtime", "generic_message"))
    return [event for is_message, group in grouped for event in (sorted(group) if is_message else group)]
