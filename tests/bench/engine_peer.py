"""The same engine, bare or served: `python -m tests.bench.engine_peer bare|served` prints tokens
per second.

bare      Engine.step in a loop, events thrown away: no driver, no stamps, no process border
served    the harness's offline scenario: child process, channel, driver, recorder, telemetry
Both answer the same 64 questions in bf16 with 32 new tokens, after the same warm-up.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

QUESTIONS, NEW_TOKENS = 64, 32


class Nowhere:
    """A sink that only counts."""

    def __init__(self) -> None:
        self.count = 0

    def first_token(self, sample_id: int, token: int) -> None:
        self.count += 1

    def tokens(self, sample_id: int, ids: object) -> None:
        self.count += 1

    def complete(self, output: object) -> None: ...

    def fail(self, sample_id: int, reason: str) -> None: ...


def bare() -> float:
    from sut.border.threads import environment

    os.environ.update(environment())
    from accuracy.datasets.files import load_dataset
    from harness.kernel.clock import RealClock
    from sut.engine.batching import Engine, Request
    from sut.local_model import LocalModel
    from sut.model.find import resolve

    clock = RealClock()
    sut = LocalModel(clock, path=resolve("smollm2-135m", print).path, variant="bf16")
    samples = load_dataset("qa", NEW_TOKENS).samples
    sut.load(samples, Nowhere())
    for measured in (False, True):
        sink = Nowhere()
        engine = Engine(sut._runner, sink, sut._eos_ids)
        for i in order():
            engine.add(Request(i, sut._encoded.ids[i], NEW_TOKENS))
        start = clock.now_ns()
        while engine.busy:
            engine.step()
        seconds = (clock.now_ns() - start) / 1e9
        if measured:
            return sink.count / seconds
    raise AssertionError


def order() -> list[int]:
    """The samples that the offline scenario of the quick profile issues."""
    from harness.options.settings import load_config
    from harness.running.forecast import forecast

    schedule = forecast(load_config({"scenario": "offline", "min_queries": QUESTIONS})).schedule
    return schedule.indices.tolist()  # type: ignore[no-any-return]


def served() -> float:
    from harness.options.settings import load_config
    from harness.running.session import Run

    with tempfile.TemporaryDirectory() as scratch:
        flags = {
            "scenario": "offline", "variant": "bf16", "max_new_tokens": NEW_TOKENS,
            "min_queries": QUESTIONS, "target_qps": 1.0, "warmup": QUESTIONS,
            "output_dir": Path(scratch),
        }  # fmt: skip
        with Run(load_config(flags), lambda text: None, progress=False) as run:
            result = run.execute()
    assert result.status == "VALID", result.status_reason
    rate = result.throughput["tokens_per_s"]
    assert rate is not None
    return rate


if __name__ == "__main__":
    print(json.dumps({"tokens_per_s": {"bare": bare, "served": served}[sys.argv[1]]()}))
