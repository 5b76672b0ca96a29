"""The official LoadGen with a null SUT: `python -m tests.bench.loadgen_peer single-stream 0 3`
prints one JSON object.

A process of its own per case: the wheel keeps process-wide state. The SUT completes every sample in
its issue callback, as ours does.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any


def measure(scenario: str, qps: float, seconds: float) -> dict[str, float]:
    import mlperf_loadgen as lg

    def issue(samples: list[Any]) -> None:
        for sample in samples:
            lg.QuerySamplesComplete([lg.QuerySampleResponse(sample.id, 0, 0)])

    settings = lg.TestSettings()
    settings.mode = lg.TestMode.PerformanceOnly
    settings.min_duration_ms = int(seconds * 1000)
    settings.min_query_count = 1
    if scenario == "server":
        settings.scenario = lg.TestScenario.Server
        settings.server_target_qps = qps
    else:
        settings.scenario = lg.TestScenario.SingleStream
        settings.single_stream_expected_latency_ns = 1000
    log = lg.LogSettings()
    log.enable_trace = False
    log.log_output.outdir = os.getcwd()
    sut = lg.ConstructSUT(issue, lambda: None)
    library = lg.ConstructQSL(1000, 1000, lambda indices: None, lambda indices: None)
    lg.StartTestWithLogSettings(sut, library, settings, log, "audit.config")
    text = Path("mlperf_log_summary.txt").read_text()
    if scenario != "server":
        return {"rate": _figure(text, r"QPS w/ loadgen overhead\s*: ([\d.e+]+)")}
    scheduled = _figure(text, r"Scheduled samples per second\s*: ([\d.e+]+)")
    return {
        "rate": _figure(text, r"Completed samples per second\s*: ([\d.e+]+)"),
        "held": _figure(text, r"Completed samples per second\s*: ([\d.e+]+)") / scheduled,
        "latency_p50_us": _figure(text, r"50.00 percentile latency \(ns\)\s*: (\d+)") / 1e3,
        "latency_p99_us": _figure(text, r"99.00 percentile latency \(ns\)\s*: (\d+)") / 1e3,
    }


def _figure(text: str, pattern: str) -> float:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"no {pattern!r} in the summary:\n{text}")
    return float(match[1])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        print(json.dumps(measure(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))))
        os.chdir("/")
