"""Runs the official LoadGen with a SUT of varied latencies: one case per line of JSON on stdin, its
logs and every event time (from its trace) as one line of JSON on stdout. A process of its own,
because the wheel keeps process-wide state.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from array import array
from pathlib import Path
from typing import Any

import mlperf_loadgen as loadgen


class Sut:
    """Answers `tokens[k % len]` tokens, waits `delays_us[k % len]` before, and holds every
    `hold`-th sample back until the next query, so that completions come out of order (streams wait
    for a query, so there only its own order is turned).
    """

    def __init__(self, case: dict[str, Any]) -> None:
        self.case, self.seen, self.held, self.kept = case, 0, [], []
        self.tokens_on = case["settings"].get("use_token_latencies", False)
        self.stream = case["scenario"] in ("SingleStream", "MultiStream")

    def issue(self, samples: Any) -> None:
        late, self.held = self.held, []
        for sample in samples:
            k = self.seen
            self.seen += 1
            count = self.case["tokens"][k % len(self.case["tokens"])]
            ids = array("i", [1000 * sample.index + j for j in range(count)])
            self.kept.append(ids)
            pointer, length = ids.buffer_info()
            if self.tokens_on and self.case["scenario"] != "Offline":
                loadgen.FirstTokenComplete(
                    [loadgen.QuerySampleResponse(sample.id, pointer, 4 if length else 0)]
                )
            time.sleep(self.case["delays_us"][k % len(self.case["delays_us"])] / 1e6)
            answer = (sample.id, pointer, 4 * length, *((length,) if self.tokens_on else ()))
            held = not self.stream and k % self.case["hold"] == self.case["hold"] - 1
            (self.held if held else late).append(answer)
        for answer in reversed(late):
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(*answer)])

    def flush(self) -> None:
        for answer in self.held:
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(*answer)])
        self.held = []


def official_logs(case: dict[str, Any]) -> dict[str, Any]:
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, case["scenario"])
    settings.mode = getattr(loadgen.TestMode, case["mode"])
    for name, value in case["settings"].items():
        setattr(settings, name, value)
    worker = Sut(case)
    sut = loadgen.ConstructSUT(worker.issue, worker.flush)
    library = loadgen.ConstructQSL(
        case["qsl_total"], case["qsl_perf"], lambda samples: None, lambda samples: None
    )
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
    wanted = (
        '{"name":"Sample"',
        '{"name":"Token',
        '{"name":"GenerateQueries"',
        '{"name":"SampleLoop"',
    )
    # by line: some of LoadGen's other trace lines are no JSON
    return texts | {
        "events": _event_times(
            [json.loads(line.rstrip(",")) for line in lines if line.startswith(wanted)]
        )
    }


def _event_times(trace: list[dict[str, Any]]) -> dict[str, Any]:
    """Nanoseconds since the trace began. `samples`: [seq, query, index, scheduled, issued, done] in
    completion order; `first`: [seq or None, scheduled, moment] of first tokens; `before_start`,
    `first_loop`: the clock started between them.
    """
    samples, first = [], []
    before_start = first_loop = None
    for event in trace:
        name, args, at = event.get("name"), event.get("args", {}), round(1000 * event.get("ts", 0))
        if name == "Sample" and event["ph"] == "b":
            issued, done = at + args["issue_start_ns"], at + args["complete_ns"]
            samples.append(
                [args["sample_seq"], args["query_seq"], args["sample_idx"], at, issued, done]
            )
        elif name == "Token" and event["ph"] == "b":
            first.append([args["sample_seq"], at, at + args["complete_ns"]])
        elif name == "Token_Latency":  # server: of the sample that was scheduled at `ts`
            first.append([None, at, at + args["issue_delay"] + args["issue_to_done"]])
        elif name == "GenerateQueries" and before_start is None:
            before_start = at + round(1000 * event["dur"])
        elif name == "SampleLoop" and first_loop is None:
            first_loop = at
    return {
        "samples": samples,
        "first": first,
        "before_start": before_start,
        "first_loop": first_loop,
    }


if __name__ == "__main__":
    for request in sys.stdin:
        print(json.dumps(official_logs(json.loads(request))), flush=True)
