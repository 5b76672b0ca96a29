"""The transformers library: `python -m tests.bench.transformers_peer generate|generate_batch MODEL
DTYPE SLOTS`.

generate         static batches of SLOTS requests in order of arrival, left-padded; each runs to its
                 longest member. Its defaults: SDPA attention, a growing cache, logits of the last
                 position only
generate_batch   its own continuous batching: SDPA attention (no flash kernels on a CPU), pages of
                 256 tokens, SLOTS requests and up to 512 tokens per step; its manager, which takes
                 time to set up and to take down, is kept
EOS is switched off in both, so no stopping rule is evaluated.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig
from transformers.utils import logging

from tests.bench.answering import Answer, Work, serve, timed

PAD = 0
PAGE_TOKENS = 256


@torch.inference_mode()
def generate(model: Any, work: Work, slots: int) -> list[list[int]]:
    answers: list[list[int]] = []
    for batch in _batches(len(work.prompts), slots):
        prompts, lengths = work.prompts[batch], work.new_tokens[batch]
        ids, seen = _left_padded(prompts)
        out = model.generate(ids, attention_mask=seen, max_new_tokens=max(lengths), do_sample=False)
        new = out[:, ids.shape[1] :].tolist()
        answers += [row[:length] for row, length in zip(new, lengths, strict=True)]
    return answers


def generate_batch(model: Any, work: Work, slots: int) -> list[list[int]]:
    length = work.new_tokens[0]
    pages = max(-(-(len(prompt) + length) // PAGE_TOKENS) for prompt in work.prompts)
    asked = GenerationConfig(
        max_new_tokens=length, do_sample=False, eos_token_id=-1, pad_token_id=PAD
    )
    room = ContinuousBatchingConfig(
        page_size=PAGE_TOKENS, num_blocks=pages * slots + 1, max_batch_tokens=512,
        max_requests_per_batch=slots, auto_switch_to_flash=False,
    )  # fmt: skip
    prompts = [list(prompt) for prompt in work.prompts]
    done = model.generate_batch(
        prompts, generation_config=asked, continuous_batching_config=room, persistent_manager=True
    )
    order = {tuple(prompt): i for i, prompt in enumerate(prompts)}
    answers: list[list[int]] = [[] for _ in prompts]
    for output in done.values():
        answers[order[tuple(output.prompt_ids)]] = output.generated_tokens
    return answers


WAYS: dict[str, Callable[[Any, Work, int], list[list[int]]]] = {
    "generate": generate,
    "generate_batch": generate_batch,
}


def load(way: str, path: str, dtype: str, slots: int) -> tuple[Answer, dict[str, Any]]:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = (
        AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
        .eval()
        .requires_grad_(False)
    )
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = PAD
    weights_bytes = sum(p.numel() * p.element_size() for p in model.parameters())
    return lambda work: timed(lambda: WAYS[way](model, work, slots)), {
        "weights_bytes": weights_bytes
    }


def _batches(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _left_padded(prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (longest - len(p)) + list(p) for p in prompts])
    seen = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    return ids, seen


if __name__ == "__main__":
    serve(lambda: load(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
