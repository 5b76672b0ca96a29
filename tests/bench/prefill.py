"""Prompts of mixed lengths: packed, in padded groups, and padded to the longest of a step, over the
same model and cache. Tokens per second of processor time, the best of three passes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

from sut.engine.batching import Engine, Request
from sut.engine.lean import lean_step
from sut.engine.packing import pack
from sut.engine.prefill.admission import Part
from sut.engine.prefill.packed import Packed, attentions
from sut.engine.slots import SlotRunner
from tests.bench.rows import Row, compared

PROMPTS, REPEATS = 32, 3
LENGTHS = {"16 to 512": (16, 512), "16 to 64": (16, 64)}
SIZES = (512, 2048)
VOCABULARY = 49_152


class ToTheLongest(Engine):
    """Feeds the prompts whose padded size fits the budget in one call."""

    def _admit(self) -> list[list[Part]]:
        joining = [self._waiting.popleft()]
        longest = len(joining[0].prompt_ids)
        while self._waiting and len(joining) < self._runner.max_rows - len(self._running):
            longest = max(longest, len(self._waiting[0].prompt_ids))
            if longest * (len(joining) + 1) > self._prefill_tokens:
                break
            joining.append(self._waiting.popleft())
        return [[Part(request, len(request.prompt_ids)) for request in joining]]


class _Nobody:
    def first_token(self, sample_id: int, token: int) -> None:
        """Hear nothing: each answer is one token."""

    def complete(self, output: Any) -> None:
        """Hear nothing."""


def rows() -> Iterator[Row | str]:
    model = _model()
    step = lean_step(model)
    assert step is not None
    packed = Packed(step, attentions(model)[0])
    for name, (least, most) in LENGTHS.items():
        drawn = random.Random(1)
        lengths = [drawn.randint(least, most) for _ in range(PROMPTS)]
        prompts = [[drawn.randrange(VOCABULARY) for _ in range(n)] for n in lengths]
        padding = SlotRunner(model, PROMPTS, most + 1, step)
        packing = SlotRunner(model, PROMPTS, most + 1, step, packed)
        for size in SIZES:
            base = _rate(ToTheLongest, padding, prompts, size)
            for way, runner in (("packed", packing), ("in groups", padding)):
                ours = _rate(Engine, runner, prompts, size)
                what = f"prefill, {name} tokens, {size} a step, {way}: tokens/s of CPU"
                yield compared(what, ours, base, ours / base, "", True, "{:,.0f}")
    yield "prefill: the peer pads the prompts of a step to the longest"


def _model() -> Any:
    """Return a model of SmolLM2-135M's width and a third of its layers, with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=576, intermediate_size=1536, num_hidden_layers=10,
        num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    pack(model)
    return model


def _rate(kind: type[Engine], runner: Any, prompts: Sequence[Sequence[int]], size: int) -> float:
    """Return tokens per second of the processor, the best of some passes after one to warm up."""
    seconds = [_seconds(kind, runner, prompts, size) for _ in range(REPEATS + 1)]
    return sum(map(len, prompts)) / min(seconds[1:])


def _seconds(kind: type[Engine], runner: Any, prompts: Sequence[Sequence[int]], size: int) -> float:
    engine = kind(runner, _Nobody(), (), size)  # type: ignore[arg-type]
    for i, prompt in enumerate(prompts):
        engine.add(Request(i, prompt, 1))
    start = time.process_time()
    while engine.busy:
        engine.step()
    return time.process_time() - start
