"""Our engine on a model of random weights, through the door that a run takes
(`sut.local_model.LocalModel`) but without a process border: what it serves in a first pass, what a
decode step takes, and how fast it scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from harness.kernel.clock import FAR_FUTURE_NS, RealClock
from harness.kernel.types import At, Query, QuerySample, Sample
from sut import local_model
from sut.engine.lean import lean_step
from sut.engine.slots import SlotRunner
from sut.limit.bandwidth import copy_bytes_per_s
from sut.limit.reads import step_bytes
from sut.precision.table import Precision
from tests.bench.engine_peer import Nowhere
from tests.bench.gpu import shapes
from tests.bench.gpu.shapes import Setup

Figures = Iterator[tuple[str, Any]]
_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
_WARM_UPS = 3


class Waiting(Nowhere):
    """A sink that counts tokens, and who is still waiting."""

    def __init__(self, requests: int) -> None:
        super().__init__()
        self.open = requests

    def complete(self, output: object) -> None:
        self.open -= 1

    def fail(self, sample_id: int, reason: str) -> None:
        raise RuntimeError(f"request {sample_id}: {reason}")


def loaded(setup: Setup, shape: str, variant: str, requests: int) -> local_model.LocalModel:
    """Return a SUT that has drawn its weights (fp32, bf16) or read them (other variants), with
    prompts for as many requests.
    """
    work = shapes.work_of(setup)
    texts = shapes.texts(requests, work.prompt_tokens)
    new_tokens = max(work.new_tokens, work.context_tokens - work.prompt_tokens + 1)
    samples = [Sample(i, text, max_new_tokens=new_tokens) for i, text in enumerate(texts)]
    is_drawn = variant in _DTYPES
    path = (shapes.described if is_drawn else shapes.stored)(setup, shape)
    sut = local_model.LocalModel(
        RealClock(), path=str(path), variant=variant, max_batch=requests, device=setup.device
    )
    with _drawing(setup, shape, variant) if is_drawn else nullcontext():
        sut.load(samples, Waiting(0))
    return sut


@contextmanager
def _drawing(setup: Setup, shape: str, variant: str) -> Iterator[None]:
    """Let a variant draw its weights on the device instead of reading files."""

    def load(path: str, **_: Any) -> Any:
        torch.backends.cuda.enable_cudnn_sdp(False)  # as `sut.model.loading` does
        model = shapes.drawn(setup, shape, _DTYPES[variant])
        model.name_or_path = path
        return model

    row = local_model.PRECISIONS[variant]
    local_model.PRECISIONS[variant] = Precision(load, row.summary, lambda device, device_map: None)
    try:
        yield
    finally:
        local_model.PRECISIONS[variant] = row


def first_pass(sut: local_model.LocalModel, requests: int, new_tokens: int) -> float:
    """Serve as many requests at once, of shapes that were not served before; return tokens/s."""
    clock, sink = RealClock(), Waiting(requests)
    samples = [Sample(s.index, s.prompt, max_new_tokens=new_tokens) for s in sut._samples]
    sut.load(samples, sink)
    start_ns = clock.now_ns()
    sut.issue(Query(0, [QuerySample(i, i) for i in range(requests)], At(0)))
    while sink.open:
        sut._clock.wait(FAR_FUTURE_NS)
    return sink.count / ((clock.now_ns() - start_ns) / 1e9)


def step_ms(setup: Setup, runner: Any, rows: int) -> float:
    """Return what a decode step of as many rows takes: launched one after the other, waited for at
    the end.
    """
    work, clock = shapes.work_of(setup), RealClock()
    ids = torch.full((rows,), 65, device=setup.device)
    at = torch.full((rows,), work.context_tokens, device=setup.device)

    def steps(count: int) -> float:
        finish(setup)
        start_ns = clock.now_ns()
        with torch.inference_mode():
            for _ in range(count):
                runner.logits_at(ids, at, work.context_tokens + 1)
        finish(setup)
        return (clock.now_ns() - start_ns) / 1e6 / count

    steps(_WARM_UPS)
    return steps(work.timed_steps)


def finish(setup: Setup) -> None:
    if setup.device.startswith("cuda"):
        torch.cuda.synchronize()


def engine(setup: Setup, shape: str, rows: tuple[int, ...]) -> Figures:
    """Measure the whole engine in a first pass, then its bare steps, then scoring."""
    work = shapes.work_of(setup)
    sut = loaded(setup, shape, "bf16", max(rows))
    yield "path", sut.facts()["decode_step"]
    yield "load_s", sut.facts()["load_s"]
    yield "trial_s", sut.facts()["trial_s"]
    for requests in work.batches:
        yield f"engine.tokens_per_s.{requests}", first_pass(sut, requests, work.new_tokens)
    yield from _steps(setup, sut, rows)
    if shape == "8B":
        sut._runner = sut._engine = sut._watch = None  # type: ignore[assignment]
        yield from _scoring(setup, sut._model)


def _steps(setup: Setup, sut: local_model.LocalModel, rows: tuple[int, ...]) -> Figures:
    work, model, runner = shapes.work_of(setup), sut._model, sut._runner
    bytes_per_s = copy_bytes_per_s(RealClock(), model.device)
    yield "copy_bytes_per_s", bytes_per_s
    for count in rows:
        read = step_bytes(model) + count * work.context_tokens * (sut._way.token_bytes or 0)
        yield f"limit_ms.{count}", 1e3 * read / bytes_per_s if bytes_per_s else None
        yield f"step_ms.{count}", step_ms(setup, runner, count)
    eager = SlotRunner(model, max(rows), runner.max_len, lean_step(model))
    eager.prefill(0, [[1]], 0)
    for count in rows:
        yield f"eager_step_ms.{count}", step_ms(setup, eager, count)


def _scoring(setup: Setup, model: Any) -> Figures:
    """Measure scored tokens per second beside a bare forward pass in batches of the best size."""
    from sut.likelihood.scoring import Text, token_scores

    work = shapes.work_of(setup)
    windows = shapes.ids(work.windows, work.window_tokens, seed=2)
    texts = [Text(ids) for ids in windows]
    few = max(1, work.windows // 8)

    def score(count: int) -> None:
        assert len(list(token_scores(model, texts[:count]))) == count

    score(few)
    tokens = work.windows * work.window_tokens
    yield "scoring.tokens_per_s", tokens / _seconds(setup, lambda: score(work.windows))
    best = 0.0
    for rows in (1, 2, 4, 8, 16):
        batch = torch.tensor(windows[:rows], device=setup.device)
        batches = max(1, few // rows)

        def forward(batch: Any = batch, batches: int = batches) -> None:
            with torch.inference_mode():
                for _ in range(batches):
                    model(input_ids=batch, use_cache=False)

        _seconds(setup, forward)
        best = max(best, batches * batch.numel() / _seconds(setup, forward))
    yield "forward.tokens_per_s", best


def _seconds(setup: Setup, work: Callable[[], None]) -> float:
    clock = RealClock()
    finish(setup)
    start_ns = clock.now_ns()
    work()
    finish(setup)
    return (clock.now_ns() - start_ns) / 1e9


def variant(setup: Setup, name: str) -> Figures:
    """Measure a variant of the 8B shape at 8 requests: tokens/s in a first pass, and its steps."""
    work = shapes.work_of(setup)
    requests = min(8, max(work.rows))
    sut = loaded(setup, "8B", name, requests)
    yield f"{name}.tokens_per_s", first_pass(sut, requests, work.new_tokens)
    checked = sut.self_check()
    yield f"{name}.step_ms", checked.get("step_ms")
    yield f"{name}.share", checked.get("share")
    yield f"{name}.path", sut.facts()["decode_step"]
