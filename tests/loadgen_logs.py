"""One run of the official LoadGen, told twice: by its own logs, and by ours from the same event
times.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import registry
from harness.types import RunLog, RunSettings, Seeds
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
HEADER = Header("run-1", "touchstone 0", "PySUT", "PyQSL", 0, 0, "2026-11-20T10:00:00+00:00")
NOT_OURS = {  # what cannot be equal: who wrote it, when, and how busy its logger was
    "loadgen_version", "loadgen_build_date_local", "loadgen_build_date_utc",
    "loadgen_git_commit_date", "loadgen_git_log_message", "loadgen_git_status_message",
    "loadgen_file_sha1", "touchstone_run_id", "test_datetime", "get_sut_name_duration_ns",
    "power_begin", "power_end",
}  # fmt: skip
OF_THE_MACHINE = ("PerfClock and system_clock differ", "Logging allocation detected")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)?")
SEEDS = {"qsl_rng_seed": 11, "sample_index_rng_seed": 22, "schedule_rng_seed": 33}


def case(scenario: str, mode: str = "PerformanceOnly", **changes: Any) -> Case:
    """`changes` are TestSettings' attributes; `tokens`, `delays_us`, `hold`, `qsl_total`,
    `qsl_perf` shape the SUT.
    """
    shape = {
        "tokens": [2, 3, 5, 4, 9],
        "delays_us": [60, 60, 200, 60, 90],
        "hold": 7,
        "qsl_total": 20,
        "qsl_perf": 15,
    }
    shape |= {key: changes.pop(key) for key in list(changes) if key in shape}
    settings = {
        "min_query_count": 70, "min_duration_ms": 5, "server_target_qps": 2500.0,
        "offline_expected_qps": 1000.0, "single_stream_expected_latency_ns": 50_000,
        "multi_stream_expected_latency_ns": 100_000, "ttft_latency": 50_000_000,
        "tpot_latency": 50_000_000,
    }  # fmt: skip
    return {"scenario": scenario, "mode": mode, "settings": settings | SEEDS | changes, **shape}


TOKENS = {"use_token_latencies": True}
INFER = {"infer_token_latencies": True, "token_latency_scaling_factor": 69}
CASES = {
    "single": case("SingleStream"),
    "single, tokens": case("SingleStream", **TOKENS),
    "single, tokens, enough for the p99 estimate": case("SingleStream", min_query_count=700,
        delays_us=[50, 60], **TOKENS),
    "single, p95, too few": case("SingleStream", single_stream_target_latency_percentile=0.95,
        **TOKENS),
    "single, one query": case("SingleStream", min_query_count=2, min_duration_ms=0),
    "single, equal issue runs out": case("SingleStream", sample_concatenate_permutation=True,
        min_duration_ms=30,
                                         single_stream_expected_latency_ns=1_000_000,
                                         delays_us=[50], **TOKENS),
    "single, unique": case("SingleStream", performance_issue_unique=True, min_query_count=15,
        min_duration_ms=0, **TOKENS),
    "multi": case("MultiStream", multi_stream_samples_per_query=3, min_query_count=80),
    "multi, tokens, p90": case("MultiStream", multi_stream_samples_per_query=4, delays_us=[50],
                               multi_stream_target_latency_percentile=0.9, **TOKENS),
    "multi, p99": case("MultiStream", multi_stream_samples_per_query=2, min_query_count=670,
        delays_us=[50], **TOKENS),
    "multi, max queries": case("MultiStream", max_query_count=50, **TOKENS),
    "server": case("Server"),
    "server, p90, valid": case("Server", server_target_latency_percentile=0.9),
    "server, over its latency": case("Server", server_target_latency_ns=100_000),
    "server, tokens, p90": case("Server", server_target_latency_percentile=0.9, **TOKENS),
    "server, tokens, ttft too slow": case("Server", ttft_latency=20_000,
        server_target_latency_percentile=0.9, **TOKENS),
    "server, tokens, tpot too slow": case("Server", tpot_latency=20_000,
        server_target_latency_percentile=0.9, **TOKENS),
    "server, tokens, both too slow": case("Server", ttft_latency=20_000, tpot_latency=20_000,
        **TOKENS),
    "server, tokens and inferred": case("Server", **TOKENS, **INFER),
    "server, inferred, max duration": case("Server", max_duration_ms=10, min_duration_ms=30,
        **INFER),
    "server, equal issue": case("Server", sample_concatenate_permutation=True, **TOKENS),
    "server, same": case("Server", performance_issue_same=True, performance_issue_same_index=3,
        **TOKENS),
    "offline": case("Offline", delays_us=[20]),
    "offline, tokens": case("Offline", delays_us=[100], **TOKENS),
    "offline, too short": case("Offline", delays_us=[1], min_duration_ms=100, qsl_total=9,
        qsl_perf=9, **TOKENS),
    "offline, tokens and inferred": case("Offline", delays_us=[20], **TOKENS, **INFER),
    "offline, equal issue": case("Offline", sample_concatenate_permutation=True, delays_us=[100],
        **INFER),
    "single, accuracy": case("SingleStream", "AccuracyOnly", **TOKENS),
    "single, accuracy, equal issue": case("SingleStream", "AccuracyOnly",
        sample_concatenate_permutation=True),
    "multi, accuracy": case("MultiStream", "AccuracyOnly", multi_stream_samples_per_query=4,
        **TOKENS),
    "server, accuracy": case("Server", "AccuracyOnly", **TOKENS),
    "offline, accuracy": case("Offline", "AccuracyOnly", qsl_total=31, **TOKENS),
}  # fmt: skip


@contextmanager
def official_loadgen() -> Iterator[Official]:
    if find_spec("mlperf_loadgen") is None:
        pytest.skip(
            "the wheel mlcommons-loadgen is not installed (it exists for Linux on x86-64 only)"
        )
    command = [sys.executable, str(Path(__file__).parent / "loadgen_log_oracle.py")]
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
    """The logs without LoadGen's complaints about a busy machine: that time passed between its
    reads of two clocks, that its logger fell behind. In a run of milliseconds they are common, and
    they tell nothing of the run.
    """
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
    """The summary whose last lines count `by` fewer errors or warnings."""

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
        target_qps=rates.get(scenario) or 1e9 / s[f"{stream}_expected_latency_ns"],
        samples_per_query=(
            s.get("multi_stream_samples_per_query", 8) if scenario == "MultiStream" else 1
        ),
        min_queries=s["min_query_count"],
        min_duration_ns=s["min_duration_ms"] * MS,
        max_queries=s.get("max_query_count"),
        max_duration_ns=s["max_duration_ms"] * MS if "max_duration_ms" in s else None,
        percentile=s.get(f"{stream}_target_latency_percentile", default_tail),
        ttft_limit_ns=s["ttft_latency"],
        tpot_limit_ns=s["tpot_latency"],
        use_tokens=s.get("use_token_latencies", False),
        equal_issue=s.get("sample_concatenate_permutation", False),
        issue=(
            "unique"
            if s.get("performance_issue_unique")
            else "same"
            if s.get("performance_issue_same")
            else "random"
        ),
        same_index=s.get("performance_issue_same_index", 0),
        accuracy_log_probability=s.get("accuracy_log_probability", 0.0),
        accuracy_log_target=s.get("accuracy_log_sampling_target", 0),
        accuracy_log_seed=s.get("accuracy_log_rng_seed", 0),
        target_latency_ns=s.get("server_target_latency_ns", 100 * MS),
        inferred_tokens_per_sample=(
            s.get("token_latency_scaling_factor", 1) if s.get("infer_token_latencies") else None
        ),
    )
    return replace(BASE, **changes)


def log_of(asked: Case, events: dict[str, Any], start_ns: int) -> RunLog:
    """The RunLog of LoadGen's own event times, counted from `start_ns`."""
    samples = sorted(events["samples"])
    sequence, query, index, due, issued, done = (
        np.array(column, np.int64) for column in zip(*samples, strict=True)
    )
    first = {at if seq is None else seq: moment for seq, at, moment in events["first"]}
    server = asked["scenario"] == "Server"
    first_ns = [
        first.get(at if server else seq, -1)
        for seq, at in zip(sequence.tolist(), due.tolist(), strict=True)
    ]
    counts = [asked["tokens"][k % len(asked["tokens"])] for k in range(len(samples))]
    ids = [
        1000 * i + j for i, count in zip(index.tolist(), counts, strict=True) for j in range(count)
    ]
    starts = np.cumsum([0, *counts])
    return RunLog(
        query_id=query.astype(np.int32),
        index=index.astype(np.int32),
        due_ns=due - start_ns,
        issued_ns=issued - start_ns,
        first_ns=np.array([-1 if at == -1 else at - start_ns for at in first_ns], np.int64),
        done_ns=done - start_ns,
        first_token=np.where(np.array(first_ns) >= 0, 1000 * index, -1).astype(np.int32),
        reported_tokens=np.full(len(samples), -1, np.int32),
        finish=np.ones(len(samples), np.int8),
        token_start=starts.astype(np.int64),
        token_ids=np.array(ids, np.int32),
        stamp_start=np.zeros(len(samples) + 1, np.int64),
        stamp_ns=np.empty(0, np.int64),
        completion_order=np.array([row[0] for row in events["samples"]], np.int32),
    )


def possible_starts(asked: Case, theirs: dict[str, Any]) -> tuple[int, int]:
    """When LoadGen's clock started: known exactly where queries are due at start + offset.
    Elsewhere it was between two events of the trace, and each rate that LoadGen printed narrows
    that; a wrong formula leaves nothing between them.
    """
    events, printed = theirs["events"], dict(events_of(theirs["mlperf_log_detail.txt"]))
    *_, (*_, issued, _) = sorted(events["samples"])
    if asked["scenario"] in ("Server", "Offline") or asked["mode"] == "AccuracyOnly":
        return (min(events["samples"])[3],) * 2
    if exact := re.search(r"duration_ns (\d+)", printed.get("error_runtime", "")):
        return (issued - int(exact[1]),) * 2
    early, late = events["before_start"], events["first_loop"]
    n = len(events["samples"])
    tokens = sum(asked["tokens"][k % len(asked["tokens"])] for k in range(n))
    amounts = {
        "result_qps_with_loadgen_overhead": n - 1,
        "result_token_throughput_with_loadgen_overhead": tokens,
    }
    for key, amount in amounts.items():
        if (rate := float(printed.get(key, 0))) > 0:
            half_digit = 0.5 * 10 ** (math.floor(math.log10(rate)) - 5)
            early = max(early, math.floor(issued - 1e9 * amount / (rate - half_digit)))
            late = min(late, math.ceil(issued - 1e9 * amount / (rate + half_digit)))
    assert early <= late, f"{early - late} ns between what LoadGen printed and its formula"
    return early, late


def our_texts(asked: Case, log: RunLog) -> dict[str, str]:
    """Our three logs of the same run, by file name."""
    s = settings_of(asked)
    header = Header(**{f.name: getattr(HEADER, f.name) for f in fields(HEADER)} | {
        "total_count": asked["qsl_total"], "performance_count": asked["qsl_perf"]})  # fmt: skip
    names = Settings(
        loadgen_settings.requested(s),
        loadgen_settings.effective_lines(s),
        loadgen_settings.parameters(s),
    )
    sets = loadgen_settings.generated_sets(s, registry.scenario(s.scenario).schedule(s))
    found, logged = loadgen_results.results(log, s), accuracy_log.logged_samples(log, s).tolist()
    return {
        mlperf_logs.DETAIL: mlperf_logs.detail(header, names, sets, found, log),
        mlperf_logs.SUMMARY: mlperf_logs.summary(header, names, found),
        mlperf_logs.ACCURACY: mlperf_logs.accuracy(
            log, logged, s.use_tokens, s.scenario != "offline"
        ),
    }


def told_twice(official: Official, asked: Case) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """(LoadGen's logs, ours for the earliest and for the latest moment at which its clock may have
    started).
    """
    theirs = official(asked)
    starts = possible_starts(asked, theirs)
    return theirs, [our_texts(asked, log_of(asked, theirs["events"], start)) for start in starts]


def events_of(detail: str) -> list[tuple[str, str]]:
    """(key, value as written) of each line that can be equal."""
    found = []
    for line in detail.splitlines():
        key, rest = line.removeprefix(f'{MARK}{{"key": "').split('", "value": ', 1)
        if key not in NOT_OURS and not key.startswith("logger_"):
            found.append((key, rest.split(', "time_ms": ', 1)[0]))
    return found


def between(theirs: str, early: str, late: str) -> bool:
    """Equal; or, where a start that is known to some nanoseconds moves our figure, between our two
    figures.
    """
    if early == late:
        return theirs == early
    if len({_NUMBER.sub("#", text) for text in (theirs, early, late)}) > 1:
        return False
    figures = zip(
        *([float(x) for x in _NUMBER.findall(text)] for text in (theirs, early, late)), strict=True
    )
    return all(min(a, b) <= value <= max(a, b) for value, a, b in figures)
