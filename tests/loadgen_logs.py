"""One run made twice in virtual time: by the official LoadGen and by our driver, of the same system
under test.

Both are told the same nanoseconds (tests/loadgen_clock.py), so that samples, moments and logs can
be compared character by character. Ours are not LoadGen's in what `reports/mlperf/files.py` lists.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from importlib.util import find_spec
from itertools import groupby
from typing import Any
from unittest.mock import patch

import pytest

from harness import registry
from harness.engine.driver import drive
from harness.engine.recorder import Recorder
from harness.kernel.clock import VirtualClock
from harness.kernel.log import RunLog
from harness.kernel.types import MemoryUse, Output, Query, RunSettings, Sample, Seeds, SutFacts
from reports.mlperf import files as mlperf_logs
from reports.mlperf.files import ACCURACY, DETAIL, MARK, SUMMARY, Header, Settings
from scenarios.loadgen import accuracy_log
from scenarios.loadgen import results as loadgen_results
from scenarios.loadgen import settings as loadgen_settings
from tests.scenario_helpers import BASE, MS

Case = dict[str, Any]
Official = Callable[[Case], dict[str, Any]]
SCENARIOS = {
    "SingleStream": "single-stream",
    "MultiStream": "multi-stream",
    "Server": "server",
    "Offline": "offline",
}
STREAMS = {
    "SingleStream": "single_stream",
    "MultiStream": "multi_stream",
    "Server": "server",
}
START = "2001-09-09T01:46:40+00:00"  # of LoadgenClock
HEADER = Header("run-1", "touchstone 0", "PySUT", "PyQSL", 0, 0, START)
NOT_OURS = {  # what cannot be equal: who wrote it, and how busy its logger was
    "loadgen_version", "loadgen_build_date_local", "loadgen_build_date_utc",
    "loadgen_git_commit_date", "loadgen_git_log_message", "loadgen_git_status_message",
    "loadgen_file_sha1", "touchstone_run_id", "test_datetime", "get_sut_name_duration_ns",
}  # fmt: skip
OF_THE_MACHINE = ("Logging allocation detected", "CAS failed.")
MESSAGES = ("error_runtime", "generic_message")
NO_NUMBERS = ("nan", "-nan", "inf", "-inf")  # they are no JSON: ours writes null
SEEDS = {"qsl_rng_seed": 11, "sample_index_rng_seed": 22, "schedule_rng_seed": 33}
SHAPE = {
    "tokens": [2, 3, 5, 4, 9], "said": [None], "first_ns": [1000], "stall_ns": [0],
    "rest_ns": [60_000, 60_000, 200_000, 60_000, 90_000], "qsl_total": 20, "qsl_perf": 15,
}  # fmt: skip


def case(scenario: str, mode: str = "PerformanceOnly", **changes: Any) -> Case:
    """A run for both. `changes` are TestSettings' attributes, or shape the SUT and its library."""
    shape = SHAPE | {key: changes.pop(key) for key in list(changes) if key in SHAPE}
    settings = {
        "min_query_count": 70, "min_duration_ms": 5, "server_target_qps": 2500.0,
        "offline_expected_qps": 1000.0, "single_stream_expected_latency_ns": 50_000,
        "multi_stream_expected_latency_ns": 100_000, "ttft_latency": 50_000_000,
        "tpot_latency": 50_000_000,
    }  # fmt: skip
    return {"scenario": scenario, "mode": mode, "settings": settings | SEEDS | changes, **shape}


# ---- theirs


class _Wheel:
    """The official LoadGen in a process of its own, which begins again if it dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, asked: Case) -> dict[str, Any]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.loadgen_log_oracle"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self.close()
        assert answer, f"the official LoadGen's process ended at {asked}"
        return without_the_machine(json.loads(answer))

    def close(self) -> None:
        if self._process is not None:
            with suppress(BrokenPipeError):
                self._process.communicate()
            self._process = None


@contextmanager
def official_loadgen() -> Iterator[Official]:
    """A function from a case to the official LoadGen's logs."""
    if find_spec("mlperf_loadgen") is None:
        pytest.skip(
            "the wheel mlcommons-loadgen is not installed (it exists for Linux on x86-64 only)"
        )
    wheel = _Wheel()
    yield wheel
    wheel.close()


def without_the_machine(logs: dict[str, Any]) -> dict[str, Any]:
    """The logs without LoadGen's warnings about its logger, which tell nothing of the run."""
    lines = logs[DETAIL].splitlines(keepends=True)
    kept = [line for line in lines if not any(words in line for words in OF_THE_MACHINE)]
    summary = logs[SUMMARY]
    if len(kept) < len(lines):
        counted = r"^\d+ warnings? encountered\. See detailed log\.$"
        none = "No warnings encountered during test."
        summary = re.sub(counted, none, summary, flags=re.MULTILINE)
    return logs | {DETAIL: "".join(kept), SUMMARY: summary}


# ---- ours


class Modelled:
    """The system under test of tests/loadgen_log_oracle.py."""

    name = "modelled"

    def __init__(self, asked: Case, clock: VirtualClock, samples: int = 0, queries: int = 0):
        self.case, self.clock, self.samples, self.queries = asked, clock, samples, queries
        tokens = asked["settings"].get("use_token_latencies", False)
        self.tells_first = tokens and asked["scenario"] != "Offline"

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
        done_ns = first_ns + _pick(asked["rest_ns"], k)
        if self.tells_first:
            self.clock.call_at(first_ns, lambda: self.sink.first_token(sample, ids[0]))
        self.clock.call_at(done_ns, lambda: self.sink.complete(output))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def memory(self) -> MemoryUse:
        return MemoryUse()

    def facts(self) -> SutFacts:
        return {}

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        return None


def _pick(values: list[Any], k: int) -> Any:
    return values[k % len(values)]


def settings_of(asked: Case) -> RunSettings:
    """LoadGen's setting names and defaults as ours."""
    s, scenario = asked["settings"], asked["scenario"]
    stream = STREAMS.get(scenario, "")
    default_tail = {"SingleStream": 0.9, "MultiStream": 0.99, "Server": 0.99, "Offline": 0.99}
    qps = {
        "SingleStream": 1e9 / s.get("single_stream_expected_latency_ns", 1_000_000),
        "MultiStream": 1e9 / s.get("multi_stream_expected_latency_ns", 8_000_000),
        "Server": s.get("server_target_qps", 1.0),
        "Offline": s.get("offline_expected_qps", 1.0),
    }
    issue = [k for k in ("unique", "same") if s.get(f"performance_issue_{k}")]
    changes = dict(
        scenario=SCENARIOS[scenario],
        mode="accuracy" if asked["mode"] == "AccuracyOnly" else "performance",
        seeds=Seeds(s["qsl_rng_seed"], s["sample_index_rng_seed"], s["schedule_rng_seed"]),
        num_samples=asked["qsl_total"],
        performance_samples=s.get("performance_sample_count_override") or asked["qsl_perf"],
        accuracy_samples=s.get("accuracy_sample_count_override"),
        target_qps=qps[scenario],
        samples_per_query=s.get("multi_stream_samples_per_query", 8)
        if scenario == "MultiStream"
        else 1,
        min_queries=s.get("min_query_count", 100),
        min_duration_ns=s.get("min_duration_ms", 10_000) * MS,
        max_queries=s.get("max_query_count") or None,
        max_duration_ns=s.get("max_duration_ms", 0) * MS or None,
        percentile=s.get(f"{stream}_target_latency_percentile", default_tail[scenario]),
        ttft_limit_ns=s.get("ttft_latency", 100 * MS),
        tpot_limit_ns=s.get("tpot_latency", 100 * MS),
        use_tokens=s.get("use_token_latencies", False),
        equal_issue=s.get("sample_concatenate_permutation", False),
        issue=issue[0] if issue else "random",
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


def our_log(asked: Case, samples: int = 0, queries: int = 0) -> RunLog:
    """Our driver's record of the run. The SUT has answered some `samples` and `queries` before."""
    s = settings_of(asked)
    scenario, clock = registry.scenario(s.scenario), VirtualClock()
    schedule = scenario.schedule(s)
    recorder, sut = Recorder(clock), Modelled(asked, clock, samples, queries)
    sut.load([], recorder)
    limits = replace(s, min_queries=max(s.min_queries, schedule.min_issued))
    with patch(
        "harness.engine.driver.quiet", nullcontext
    ):  # collecting garbage takes longer than the run
        return drive(scenario.plan(s, schedule), sut, clock, recorder, limits)


def our_texts(asked: Case, log: RunLog, generated_before: int = 0) -> dict[str, str]:
    """Our three logs of a run, by file name."""
    s = settings_of(asked)
    header = replace(HEADER, total_count=asked["qsl_total"], performance_count=asked["qsl_perf"])
    names = Settings(
        loadgen_settings.requested(s),
        loadgen_settings.effective_lines(s),
        loadgen_settings.parameters(s),
    )
    sets = registry.scenario(s.scenario).schedule(s).sets
    found = loadgen_results.results(log, s)
    logged = accuracy_log.logged_samples(log, s, generated_before).tolist()
    return {
        DETAIL: mlperf_logs.detail(header, names, sets, found, log),
        SUMMARY: mlperf_logs.summary(header, names, found),
        ACCURACY: mlperf_logs.accuracy(log, logged, s.use_tokens, s.scenario != "offline"),
    }


# ---- side by side


def differences(official: Official, asked: Case) -> list[Any]:
    """What differs between the two: samples with their moments, detail log, summary, answers."""
    theirs, log = official(asked), our_log(asked)
    ours = our_texts(asked, log)
    return [
        *unequal("samples", theirs["samples"], samples_of(log)),
        *unequal("detail", events_of(theirs[DETAIL]), events_of(ours[DETAIL])),
        *unequal("summary", summary_of(theirs[SUMMARY]), summary_of(ours[SUMMARY])),
        *unequal("accuracy", theirs[ACCURACY].splitlines(), ours[ACCURACY].splitlines()),
    ]


def unequal(what: str, theirs: list[Any], ours: list[Any]) -> list[Any]:
    """The first places where two lists differ."""
    pairs = enumerate(zip(theirs, ours, strict=False))
    found = [(what, k, a, b) for k, (a, b) in pairs if a != b][:5]
    if len(theirs) != len(ours):
        found.append((what, "lines", len(theirs), len(ours)))
    return found


def samples_of(log: RunLog) -> list[list[int]]:
    """[sample, query, index, due, issued, done] of each, as the official trace has them."""
    columns = (log.query_id, log.index, log.due_ns, log.issued_ns, log.done_ns)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [[i, *row] for i, row in enumerate(rows)]


def events_of(detail: str) -> list[tuple[str, str]]:
    """(key, value as written) of each line that can be equal.

    Neighbouring messages are sorted: LoadGen says why issuing ended when the last `IssueQuery` has
    returned, and the oracle's returns when its query is complete.
    """
    found: list[tuple[str, str]] = []
    for line in detail.splitlines():
        key, rest = line.removeprefix(f'{MARK}{{"key": "').split('", "value": ', 1)
        if key not in NOT_OURS and not key.startswith("logger_"):
            value = re.sub(r" \(sample \d+\)", "", rest.split(', "time_ms": ', 1)[0])
            found.append((key, "null" if value in NO_NUMBERS else value))
    events: list[tuple[str, str]] = []
    for is_message, group in groupby(found, lambda event: event[0] in MESSAGES):
        found_together = list(group)
        events += sorted(found_together) if is_message else found_together
    return events


def summary_of(summary: str) -> list[str]:
    """Its lines, with our word for what is no number."""
    return re.sub(r"(?<=[:] )-?(?:nan|inf)$", "undefined", summary, flags=re.M).splitlines()
