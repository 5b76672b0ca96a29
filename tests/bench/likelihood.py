"""Losses of given texts beside the bare forward pass in batches of its best size: on a GPU with
random weights in the shapes of Llama 3.2 1B and Llama 3.1 8B, in bfloat16; elsewhere with the 135M
model, its layers packed.

The texts are random ids, all as long as the window, so that nobody pads. The bare pass makes all
logits and does nothing with them. Both work in turn; every ratio is the median of the rounds'.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, NamedTuple

import torch

from tests.bench.rows import Row, compared

TARGET = 0.90
SIZES = (2048, 4096, 8192, 16_384, 32_768)


class Work(NamedTuple):
    """`windows` texts of `tokens` tokens and one more to predict, `rounds` times."""

    windows: int
    tokens: int
    rounds: int


ON_GPU, ON_CPU, QUICK = Work(64, 1024, 3), Work(8, 512, 3), Work(2, 256, 1)


class Speeds(NamedTuple):
    """Tokens per second of each round."""

    ours: list[float]
    bare: list[float]
    recorded: list[float]
    bare_batch: int
    our_batch: int

    def ratio(self) -> float:
        return median(a / b for a, b in zip(self.ours, self.bare, strict=True))


def rows(asked: Work | None = None) -> Iterator[Row | str]:
    on_gpu = torch.cuda.is_available()
    work = asked or (ON_GPU if on_gpu else ON_CPU)
    for name, make in (_on_gpu() if on_gpu else _on_cpu()).items():
        model = make()
        yield from rows_of(name, speeds(model, work))
        del model
    yield f"likelihood: {work.windows} windows of {work.tokens} tokens, {work.rounds} rounds"


def rows_of(name: str, found: Speeds) -> Iterator[Row]:
    target = f"at least {TARGET:.2f}x"
    ratio, form = found.ratio(), "{:,.0f}"
    ours, bare = median(found.ours), median(found.bare)
    what = f"losses, {name}, tokens/s: a bare pass of {found.bare_batch:,}"
    yield compared(what, ours, bare, ratio, target, ratio >= TARGET, form)
    recorded = median(found.recorded)
    what = f"  with distributions recorded; batches of {found.our_batch:,}"
    yield compared(what, recorded, ours, recorded / ours, "", True, form)


def speeds(model: Any, work: Work) -> Speeds:
    """Measure a model that is loaded, whatever device it is on."""
    from sut.likelihood.distributions import record
    from sut.likelihood.scoring import Settings, Text, token_scores

    draw, heard = random.Random(1), list[int]()
    size = model.config.get_text_config(decoder=True).vocab_size
    texts = [
        Text([draw.randrange(size) for _ in range(work.tokens + 1)]) for _ in range(work.windows)
    ]
    settings = Settings(context=work.tokens, heard=heard.append)
    ids = torch.tensor([text.ids[:-1] for text in texts]).to(model.device)
    batch = best_size(model, ids)
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: list(token_scores(model, texts, settings)),
        "bare": lambda: bare(model, ids, batch),
        "recorded": lambda: list(record(model, texts, settings)),
    }
    for way in ways.values():
        way()
    tokens = work.tokens * work.windows
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(work.rounds):
        for name, way in ways.items():
            rates[name].append(tokens / seconds(model, way))
    return Speeds(**rates, bare_batch=batch, our_batch=heard[-1])


def best_size(model: Any, ids: torch.Tensor) -> int:
    """Return the size of batches in which the bare pass is fastest, of those that fit."""
    sizes = [size for size in SIZES if size <= ids.numel()] or [ids.numel()]
    took = {size: _tried(model, ids, size) for size in sizes}
    return min(took, key=lambda size: took[size])


def _tried(model: Any, ids: torch.Tensor, size: int) -> float:
    try:
        bare(model, ids, size)
        return seconds(model, lambda: bare(model, ids, size))
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return float("inf")


@torch.inference_mode()
def bare(model: Any, ids: torch.Tensor, size: int) -> None:
    for batch in ids.split(max(1, size // ids.shape[1])):
        model(input_ids=batch, use_cache=False)


def seconds(model: Any, work: Callable[[], object]) -> float:
    _finish(model)
    start = time.perf_counter()
    work()
    _finish(model)
    return time.perf_counter() - start


def _finish(model: Any) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)


# ---- the models


def _on_gpu() -> dict[str, Callable[[], Any]]:
    return {
        "1B, bf16": lambda: shaped(2048, 8192, 16, is_tied=True),
        "8B, bf16": lambda: shaped(4096, 14_336, 32, is_tied=False),
    }


def shaped(hidden: int, inner: int, layers: int, is_tied: bool) -> Any:
    """Return a Llama of random weights, made on the device."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.backends.cuda.enable_cudnn_sdp(False)
    config = LlamaConfig(
        vocab_size=128_256, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=8192,
        tie_word_embeddings=is_tied,
    )  # fmt: skip
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return model.eval().requires_grad_(False)


def _on_cpu() -> dict[str, Callable[[], Any]]:
    return {"135M, fp32": lambda: _packed("float32"), "135M, bf16": lambda: _packed("bfloat16")}


def _packed(dtype: str) -> Any:
    from transformers import AutoModelForCausalLM

    from sut.engine.packing import pack
    from sut.model.find import resolve

    path = resolve("smollm2-135m", lambda text: None).path
    model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
    pack(model.eval().requires_grad_(False))
    return model
