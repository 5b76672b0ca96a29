"""Teacher-forced scoring: `python -m tests.bench.scoring_peer ours|record|bare|lm_eval TEXTS DTYPE`
prints its figures.

ours      `sut.likelihood.scoring.token_scores`, a loss for every token
record    `sut.likelihood.distributions.record`: besides, the reference's distributions for KL
bare      the same batches through the same model, all logits, nothing done with them
lm_eval   loglikelihood_rolling of its `hf` model, in batches of 8: for these stories about as many
          tokens as ours hold
All over the first TEXTS embedded stories with the 135M model, for all but lm-eval with its layers
packed, as the harness runs it. Memory is the peak above what is resident before scoring.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

LM_EVAL_BATCH = 8
BATCH_TOKENS = 2048
Sums = list[float]


def ours(model: Any, tokenizer: Any, texts: list[str]) -> Sums:
    from sut.likelihood.scoring import token_scores

    found = dict(token_scores(model, _encoded(tokenizer, texts)))
    return [float(found[i].nll_nats.sum(dtype="float64")) for i in range(len(texts))]


def record(model: Any, tokenizer: Any, texts: list[str]) -> Sums:
    from sut.likelihood.distributions import record

    found = {
        i: float(kept.nll_nats.sum(dtype="float64"))
        for i, kept in record(model, _encoded(tokenizer, texts))
    }
    return [found[i] for i in range(len(texts))]


def bare(model: Any, tokenizer: Any, texts: list[str]) -> Sums:
    import torch

    waiting = sorted((text.ids[:-1] for text in _encoded(tokenizer, texts)), key=len, reverse=True)
    while waiting:
        rows = max(1, BATCH_TOKENS // len(waiting[0]))
        batch, waiting = waiting[:rows], waiting[rows:]
        padded = [[*ids, *[0] * (len(batch[0]) - len(ids))] for ids in batch]
        with torch.inference_mode():
            model(input_ids=torch.tensor(padded), use_cache=False)
    return []


def lm_eval(model: Any, tokenizer: Any, texts: list[str]) -> Sums:
    sys.path.append(os.environ.get("LM_EVAL", ""))
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    peer = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=LM_EVAL_BATCH, device="cpu")
    requests = [Instance("loglikelihood_rolling", {}, (text,), i) for i, text in enumerate(texts)]
    return [-value for value in peer.loglikelihood_rolling(requests, disable_tqdm=True)]


WAYS: dict[str, Callable[[Any, Any, list[str]], Sums]] = {
    "ours": ours,
    "record": record,
    "bare": bare,
    "lm_eval": lm_eval,
}


def _encoded(tokenizer: Any, texts: list[str]) -> list[Any]:
    from sut.likelihood.scoring import Text

    return [
        Text([tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]])
        for text in texts
    ]


def stories(count: int) -> list[str]:
    from accuracy.datasets.files import load_dataset

    return [sample.prompt for sample in load_dataset("stories", 1).samples][:count]


def measured(way: str, count: int, dtype: str) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    from sut.engine.packing import pack
    from sut.model import peak
    from sut.model.find import resolve

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    path = resolve("smollm2-135m", lambda text: None).path
    model = (
        AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
        .eval()
        .requires_grad_(False)
    )
    tokenizer, texts = AutoTokenizer.from_pretrained(path), stories(count)
    tokens = sum(len(text.ids) - 1 for text in _encoded(tokenizer, texts))
    if way != "lm_eval":
        pack(model)
    WAYS[way](model, tokenizer, texts[:1])
    resident_bytes, start = peak.reset(), time.perf_counter()
    sums = WAYS[way](model, tokenizer, texts)
    seconds = time.perf_counter() - start
    return {
        "tokens_per_s": tokens / seconds,
        "peak_bytes": peak.reached_bytes() - resident_bytes,
        "sums": sums,
    }


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
