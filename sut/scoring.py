"""How well does a model predict a given answer? Teacher-forced: one pass over prompt and answer, only the answer counts.

An answer is its text's ids and, where the chat template closes an assistant's turn with an end token, that token too:
whether a model knows when to stop is part of the answer. Prompts are those of the run.

Batches hold sequences of similar length under a budget of tokens, padded on the right: under a causal mask no real token
sees padding, so nobody's figures depend on who shares the batch (but for bitsandbytes' INT8, which looks for outliers in the
whole batch). The output layer is given only the positions that predict an answer token; the log-softmax of these runs over a
few rows at a time, in float32, so the logits of a batch exist once, in the model's own type.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

_BATCH_TOKENS = 2048  # padding included
_ROWS = 128  # of the logits in float32 at once: 25 MB for 49,152 words
_MARK = "answer"


class Pair(NamedTuple):
    prompt_ids: Sequence[int]
    answer_ids: Sequence[int]

    @property
    def length(self) -> int:
        return len(self.prompt_ids) + len(self.answer_ids)


class Score(NamedTuple):
    """Sums over all answer tokens: negative log likelihood in nats, and how many the model would have chosen itself."""

    nll_nats: float
    correct: int
    tokens: int


def score(model: Any, pairs: Sequence[Pair], batch_tokens: int = _BATCH_TOKENS) -> Score:
    """`model` is a causal language model of the transformers library; no prompt may be empty."""
    parts = [_batch_score(model, batch) for batch in batches(pairs, batch_tokens)]
    return Score(*(sum(column) for column in zip(*parts, strict=True))) if parts else Score(0.0, 0, 0)


def batches(pairs: Sequence[Pair], batch_tokens: int) -> Iterator[list[Pair]]:
    """Longest first, so that memory runs out at once or never. A sequence beyond the budget goes alone."""
    batch: list[Pair] = []
    for pair in sorted((p for p in pairs if p.answer_ids), key=lambda p: -p.length):
        if batch and batch[0].length * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(pair)
    if batch:
        yield batch


def answer_ids(tokenizer: Any, answer: str, end_ids: Sequence[int]) -> list[int]:
    ids: list[int] = tokenizer(answer, add_special_tokens=False)["input_ids"]
    return [*ids, *end_ids] if ids else []


def turn_end_ids(tokenizer: Any, eos_ids: frozenset[int]) -> list[int]:
    """The EOS that follows an assistant's words in the chat template; nothing without a template, or where none follows."""
    if tokenizer.chat_template is None:
        return []
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": _MARK}]
    after = tokenizer.apply_chat_template(turns, tokenize=False).rpartition(_MARK)[2]
    ids: list[int] = tokenizer(after, add_special_tokens=False)["input_ids"]
    return ids[:1] if ids and ids[0] in eos_ids else []


@torch.inference_mode()
def _batch_score(model: Any, batch: Sequence[Pair]) -> Score:
    longest = max(pair.length for pair in batch)
    ids = torch.zeros((len(batch), longest), dtype=torch.long)  # (B, T)
    for i, pair in enumerate(batch):
        ids[i, : pair.length] = torch.tensor([*pair.prompt_ids, *pair.answer_ids])
    counts = torch.tensor([len(pair.answer_ids) for pair in batch])
    rows = torch.repeat_interleave(counts)  # (N,), N answer tokens
    columns = torch.cat([torch.arange(len(pair.prompt_ids), pair.length) for pair in batch])
    with _output_layer_sees(model, rows, columns - 1):
        logits = model(input_ids=ids.to(model.device), use_cache=False).logits[0]  # (N, V)
    nll_nats, correct = _sums(logits, ids[rows, columns].to(logits.device))
    return Score(nll_nats, correct, len(rows))


@contextmanager
def _output_layer_sees(model: Any, rows: torch.Tensor, columns: torch.Tensor) -> Iterator[None]:
    """The output layer gets the states at these positions as one sequence: (B, T, D) becomes (1, N, D)."""

    def pick(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        states, *rest = args
        return states[rows.to(states.device), columns.to(states.device)][None], *rest

    hook = model.get_output_embeddings().register_forward_pre_hook(pick)
    try:
        yield
    finally:
        hook.remove()


def _sums(logits: torch.Tensor, targets: torch.Tensor) -> tuple[float, int]:
    """(negative log likelihood of the targets, how many of them rank first)."""
    nll_nats, correct = 0.0, 0
    for first in range(0, len(targets), _ROWS):
        row_logits, wanted = logits[first : first + _ROWS].float(), targets[first : first + _ROWS]
        losses = row_logits.logsumexp(-1) - row_logits.gather(-1, wanted[:, None])[:, 0]
        nll_nats += float(losses.sum())
        correct += int((row_logits.argmax(-1) == wanted).sum())
    return nll_nats, correct
