"""Runs the official LoadGen: one test per line of JSON on stdin, what it issued as one line of JSON
on stdout.

A process of its own, because the wheel keeps process-wide state. Called by test_sample_order.py.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlperf_loadgen as loadgen


def official_run(case: dict[str, Any]) -> dict[str, Any]:
    """`case` is written as in data/loadgen_schedules.json. The SUT answers at once."""
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, case["scenario"])
    settings.mode = getattr(loadgen.TestMode, case["mode"])
    for name, value in case["settings"].items():
        setattr(settings, name, value)
    issued: list[int] = []
    loaded: list[int] = []

    def issue(samples: Any) -> None:
        issued.extend(sample.index for sample in samples)
        loadgen.QuerySamplesComplete(
            [loadgen.QuerySampleResponse(sample.id, 0, 0) for sample in samples]
        )

    sut = loadgen.ConstructSUT(issue, lambda: None)
    library = loadgen.ConstructQSL(
        case["qsl_total"], case["qsl_perf"], loaded.extend, lambda samples: None
    )
    with tempfile.TemporaryDirectory() as folder:
        output = loadgen.LogOutputSettings()
        output.outdir, output.copy_summary_to_stdout = folder, False
        log = loadgen.LogSettings()
        log.enable_trace, log.log_output = False, output
        loadgen.StartTestWithLogSettings(sut, library, settings, log, "")
        lines = Path(folder, "mlperf_log_detail.txt").read_text().splitlines()
    loadgen.DestroyQSL(library)
    loadgen.DestroySUT(sut)
    # only these lines: with a single query LoadGen writes "-nan" elsewhere, which is not JSON
    events = [json.loads(line.removeprefix(":::MLLOG ")) for line in lines if '"generated_' in line]
    generated = [
        event["value"] for event in events
    ]  # query count, samples per query, duration in ns
    return {"issued": issued, "loaded": loaded, "generated": generated}


if __name__ == "__main__":
    for request in sys.stdin:
        print(json.dumps(official_run(json.loads(request))), flush=True)
