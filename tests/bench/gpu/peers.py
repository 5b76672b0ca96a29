"""What our engine is held against: transformers' `generate` with its defaults, the harness around
the engine, and the answers of a real model, token for token.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from harness.kernel.clock import FAR_FUTURE_NS, RealClock
from harness.kernel.errors import HarnessError
from harness.kernel.types import At, Output, Query, QuerySample, Sample
from sut.local_model import LocalModel
from tests.bench.gpu import shapes
from tests.bench.gpu.engine import Figures, Waiting, finish
from tests.bench.gpu.shapes import Setup

_LOAD = 0.7  # of what the offline scenario reached
_NEAR = 1e-3  # of the spread of the logits: two tokens nearer than that are a tie
_REAL_MODEL = "smollm2-135m"
_AT_ONCE = 64  # requests in a batch, of the scenarios


def generate(setup: Setup, shape: str) -> Figures:
    """Measure a first pass of `generate`, whose shapes are all new to it."""
    work, clock = shapes.work_of(setup), RealClock()
    model = shapes.drawn(setup, shape)
    for rows in work.batches:
        prompts = torch.tensor(shapes.ids(rows, work.prompt_tokens), device=setup.device)
        finish(setup)
        start_ns = clock.now_ns()
        out = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            max_new_tokens=work.new_tokens,
            do_sample=False,
        )
        finish(setup)
        new = out.shape[0] * (out.shape[1] - work.prompt_tokens)
        yield f"generate.tokens_per_s.{rows}", new / ((clock.now_ns() - start_ns) / 1e9)


def harness(setup: Setup) -> Figures:
    """Measure the offline scenario beside its engine called bare, then the server scenario at 70 %
    of it.
    """
    work, path = shapes.work_of(setup), str(shapes.stored(setup, "1B"))
    yield "bare.tokens_per_s", _bare(setup, path)
    shapes.free(setup)
    common = {
        "model": path, "variant": "bf16", "device": setup.device, "max_concurrency": _AT_ONCE,
        "max_new_tokens": work.new_tokens, "min_queries": work.queries,
        "warmup": min(work.queries, _AT_ONCE), "in_process": setup.tiny,
    }  # fmt: skip
    offline = _run(common | {"scenario": "offline", "target_qps": 1.0})
    yield "offline.tokens_per_s", offline.throughput["tokens_per_s"]
    yield "offline.share", offline.self_check.get("share")
    qps = _LOAD * offline.throughput["samples_per_s"]
    server = _run(common | {"scenario": "server", "target_qps": qps})
    yield "server.tpot_p50_ms", server.latency["tpot_ms"]["p50"]
    yield "server.tpot_p99_ms", server.latency["tpot_ms"]["p99"]


def _bare(setup: Setup, path: str) -> float:
    """Answer the questions that the offline scenario issues, twice; return tokens/s of the second
    time.
    """
    from accuracy.datasets.files import load_dataset

    work, clock = shapes.work_of(setup), RealClock()
    sut = LocalModel(clock, path=path, variant="bf16", device=setup.device, max_batch=_AT_ONCE)
    samples = load_dataset("qa", work.new_tokens).samples
    rate = 0.0
    for _ in range(2):
        sink = Waiting(work.queries)
        sut.load(samples, sink)
        start_ns = clock.now_ns()
        sut.issue(Query(0, _issued(work.queries), At(0)))
        while sink.open:
            clock.wait(FAR_FUTURE_NS)
        rate = sink.count / ((clock.now_ns() - start_ns) / 1e9)
    sut.close()
    return rate


def _issued(queries: int) -> list[QuerySample]:
    from harness.options.settings import load_config
    from harness.running.forecast import forecast

    plan = forecast(load_config({"scenario": "offline", "min_queries": queries})).schedule
    return [QuerySample(i, index) for i, index in enumerate(plan.indices.ravel().tolist())]


def _run(flags: dict[str, Any]) -> Any:
    from harness.options.settings import load_config
    from harness.running.session import Run

    with tempfile.TemporaryDirectory() as scratch:
        config = load_config(flags | {"output_dir": Path(scratch)})
        with Run(config, lambda text: None, progress=False) as run:
            result = run.execute()
    if result.status not in ("VALID", "INVALID"):  # its limits are not ours to judge here
        raise RuntimeError(result.status_reason)
    return result


class _Kept(Waiting):
    """A sink that keeps the ids."""

    def __init__(self, requests: int) -> None:
        super().__init__(requests)
        self.ids: list[list[int]] = [[] for _ in range(requests)]

    def first_token(self, sample_id: int, token: int) -> None:
        self.ids[sample_id].append(token)

    def tokens(self, sample_id: int, ids: Any) -> None:
        self.ids[sample_id] += ids

    def complete(self, output: object) -> None:
        assert isinstance(output, Output)
        self.open -= 1


def same(setup: Setup) -> Figures:
    """Count the greedy answers in fp32 that are those of `generate`, and near ties among the
    rest.
    """
    from accuracy.datasets.files import load_dataset

    work, clock = shapes.work_of(setup), RealClock()
    samples = load_dataset("qa", min(32, work.new_tokens)).samples[: work.questions]
    sut = LocalModel(clock, path=_real_model(setup), variant="fp32", device=setup.device)
    sink = _Kept(len(samples))
    asked = [Sample(i, s.prompt, max_new_tokens=s.max_new_tokens) for i, s in enumerate(samples)]
    sut.load(asked, sink)
    sut.issue(Query(0, [QuerySample(i, i) for i in range(len(asked))], At(0)))
    while sink.open:
        clock.wait(FAR_FUTURE_NS)
    counts = {"same": 0, "near_ties": 0, "different": 0}
    for i, answer in enumerate(sink.ids):
        counts[_compared(sut._model, sut._encoded.ids[i], answer)] += 1
    yield "questions", len(samples)
    yield from counts.items()


def _real_model(setup: Setup) -> str:
    """Return the path of SmolLM2; of a dry run, that of random weights."""
    from sut.model.find import resolve

    if setup.tiny:
        return str(shapes.stored(setup, "1B"))
    try:
        return resolve(_REAL_MODEL, lambda text: None).path
    except HarnessError as error:
        raise RuntimeError(f"{_REAL_MODEL} is not on this machine: {error}") from error


@torch.inference_mode()
def _compared(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> str:
    ids = torch.tensor([list(prompt)], device=model.device)
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=len(answer),
        do_sample=False,
        pad_token_id=0,
    )
    theirs = out[0, len(prompt) :].tolist()
    if theirs == list(answer):
        return "same"
    first = next((i for i, (a, b) in enumerate(zip(answer, theirs, strict=False)) if a != b), None)
    if first is None:
        return "different"  # one of them ended early
    text = torch.tensor([[*prompt, *answer[:first]]], device=model.device)
    logits = model(input_ids=text, use_cache=False).logits[0, -1].float()
    apart = (logits[answer[first]] - logits[theirs[first]]).abs() / logits.std()
    return "near_ties" if float(apart) < _NEAR else "different"
