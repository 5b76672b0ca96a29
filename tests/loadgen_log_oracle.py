"""Runs the official LoadGen in virtual time: a case per line of JSON on stdin, its logs as a line
of JSON on stdout.

A process of its own, because the wheel keeps process-wide state and its clock is changed for good.
`Sut` is the system under test that tests/loadgen_logs.py has too.
"""

from __future__ import annotations

import json
import sys
import tempfile
from array import array
from pathlib import Path
from typing import Any

import mlperf_loadgen as loadgen

from tests.loadgen_clock import LoadgenClock

CLOCK = LoadgenClock()


class Sut:
    """A model of a system: four lists say what each sample or query meets, over and over.

    Sample k sends its first token `first_ns` after its issue and completes `rest_ns` later with
    `tokens` ids, of whose number it says `said` (None: the truth). Query q keeps its caller for
    `stall_ns`.
    """

    def __init__(self, case: dict[str, Any]) -> None:
        self.case, self.samples, self.queries, self.kept = case, 0, 0, []
        self.tokens_on = case["settings"].get("use_token_latencies", False)

    def issue(self, samples: Any) -> None:
        CLOCK.run(CLOCK.now_ns)
        for sample in samples:
            self._plan(sample.id, sample.index)
        CLOCK.advance(_pick(self.case["stall_ns"], self.queries))
        self.queries += 1
        if self.case["scenario"] != "Server":  # the issuing thread waits for them
            CLOCK.run()

    def flush(self) -> None:
        CLOCK.run()

    def _plan(self, sample: int, index: int) -> None:
        k, case = self.samples, self.case
        self.samples += 1
        ids = array("i", [1000 * index + j for j in range(_pick(case["tokens"], k))])
        self.kept.append(ids)
        pointer, length = ids.buffer_info()
        said = _pick(case["said"], k)
        count = (length if said is None else said,) if self.tokens_on else ()

        def first() -> None:
            size = 4 if length else 0
            loadgen.FirstTokenComplete([loadgen.QuerySampleResponse(sample, pointer, size)])

        def complete() -> None:
            answer = loadgen.QuerySampleResponse(sample, pointer, 4 * length, *count)
            loadgen.QuerySamplesComplete([answer])

        first_ns = CLOCK.now_ns + _pick(case["first_ns"], k)
        if self.tokens_on and case["scenario"] != "Offline":
            CLOCK.call_at(first_ns, first)
        CLOCK.call_at(first_ns + _pick(case["rest_ns"], k), complete)


def _pick(values: list[Any], k: int) -> Any:
    return values[k % len(values)]


def official_logs(case: dict[str, Any]) -> dict[str, Any]:
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, case["scenario"])
    settings.mode = getattr(loadgen.TestMode, case["mode"])
    for name, value in case["settings"].items():
        setattr(settings, name, value)
    CLOCK.restart()
    worker = Sut(case)
    sut = loadgen.ConstructSUT(worker.issue, worker.flush)
    library = loadgen.ConstructQSL(case["qsl_total"], case["qsl_perf"], _nothing, _nothing)
    with tempfile.TemporaryDirectory() as folder:
        output = loadgen.LogOutputSettings()
        output.outdir, output.copy_summary_to_stdout = folder, False
        log = loadgen.LogSettings()
        log.enable_trace, log.log_output = True, output
        loadgen.StartTestWithLogSettings(sut, library, settings, log, "")
        texts = {path.name: path.read_text() for path in Path(folder).iterdir()}
    loadgen.DestroyQSL(library)
    loadgen.DestroySUT(sut)
    lines = texts.pop("mlperf_log_trace.json").splitlines()
    samples = [json.loads(line.rstrip(",")) for line in lines if '"name":"Sample"' in line]
    return texts | {"samples": sorted(_times(event) for event in samples if event["ph"] == "b")}


def _times(event: dict[str, Any]) -> list[int]:
    """[sample, query, index, due, issued, done], in nanoseconds since the start."""
    args, due_ns = event["args"], round(1000 * event["ts"])
    done_ns, issued_ns = due_ns + args["complete_ns"], due_ns + args["issue_start_ns"]
    return [args["sample_seq"], args["query_seq"], args["sample_idx"], due_ns, issued_ns, done_ns]


def _nothing(samples: Any) -> None:
    """The answers are made up: nothing is loaded."""


if __name__ == "__main__":
    for request in sys.stdin:
        print(json.dumps(official_logs(json.loads(request))), flush=True)
