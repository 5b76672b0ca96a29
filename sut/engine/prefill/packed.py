"""How do prompts of different lengths go through a model without padding? One behind the other, as
one sequence of tokens.

Linear layers, norms and rotations work token by token and see all prompts at once. Attention alone
must know where a prompt ends. There are two ways of it, tried at load like the rest
(`sut.engine.serving`):

    flash      one kernel for all prompts, which is told their borders (CUDA, 16 bits)
    by prompt  a call for each prompt, anywhere

The layers are those of `sut.engine.lean`; keys and values go straight to the rows of the cache. The
first piece may continue its row: it then sees what the cache holds of it. Shapes: N pieces, T
tokens of all pieces, S of one, L seen by it, H query heads, K key-value heads, D head size, V
vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

import torch
from torch.nn import functional

from sut.engine.ahead.transfers import sent
from sut.engine.lean import LeanStep


class PromptCache(Protocol):
    def write(
        self,
        layer: int,
        rows: torch.Tensor,
        positions: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> None:
        """Store tokens (T, K, D) twice, each in its row (T,) at its position (T,)."""
        ...

    def held(self, layer: int, row: int, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the first `end` positions of a row, (K, L, D) twice."""
        ...


class Attention(NamedTuple):
    """Queries (T, H, D), keys and values (T, K, D), lengths (N,), borders (N + 1,), scale ->
    (T, H, D); `continued` for one piece whose queries (S, H, D) are the last of L keys.
    """

    name: str
    whole: Callable[..., torch.Tensor]
    continued: Callable[..., torch.Tensor]


class Packed:
    """A pass over pieces of prompts, in the layers of a lean step."""

    def __init__(self, step: LeanStep, attention: Attention) -> None:
        self._step, self._attention = step, attention

    def logits(
        self, first_row: int, pieces: Sequence[Sequence[int]], start: int, cache: PromptCache
    ) -> torch.Tensor:
        """Return the logits (N, V) after the last token of each piece. Piece i fills row
        `first_row + i`, the first one from `start` on, the others from 0 on.
        """
        device = self._step.device
        lengths = [len(piece) for piece in pieces]
        starts = [start, *[0] * (len(pieces) - 1)]
        ids = [token for piece in pieces for token in piece]
        at = [s + i for s, length in zip(starts, lengths, strict=True) for i in range(length)]
        rows = [first_row + i for i, length in enumerate(lengths) for _ in range(length)]
        tokens = sent([ids, at, rows], device, torch.int64)  # (3, T)
        attend = self._attend(_Layout(first_row, start, lengths, device), tokens, cache)
        x = self._step.hidden(tokens[0], tokens[1], attend)
        last = sent([end - 1 for end in accumulate(lengths)], device, torch.int64)
        return self._step.logits(x[last])

    def _attend(self, layout: _Layout, tokens: torch.Tensor, cache: PromptCache) -> Any:
        _, at, rows = tokens
        split = layout.lengths[0] if layout.start else 0  # tokens of a piece that continues

        def attend(
            i: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
        ) -> torch.Tensor:
            cache.write(i, rows, at, keys, values)
            seen = []
            scale = self._step.scales[i]
            if split:
                held = cache.held(i, layout.first_row, layout.start + split)
                own = (part.transpose(0, 1) for part in held)  # (L, K, D)
                seen.append(self._attention.continued(queries[:split], *own, scale))
            if split < len(queries):
                new = (part[split:] for part in (queries, keys, values))
                seen.append(self._attention.whole(*new, *layout.whole, scale))
            return torch.cat(seen).flatten(1)

        return attend


class _Layout:
    """Where the pieces lie among the tokens, and which of them are whole from position 0 on."""

    def __init__(self, first_row: int, start: int, lengths: list[int], device: Any) -> None:
        self.first_row, self.start, self.lengths = first_row, start, lengths
        whole = lengths[1:] if start else lengths
        borders = sent([0, *accumulate(whole)], device, torch.int32)
        self.whole = whole, borders


# ---- attention


def attentions(model: Any) -> list[Attention]:
    """Return those that may suit the model's device and type, the best first."""
    flash = Attention("flash", _whole_by_flash, _continued_by_flash)
    by_prompt = Attention("by prompt", _whole_by_prompt, _continued)
    has_flash = model.device.type == "cuda" and model.dtype in (torch.float16, torch.bfloat16)
    return [flash, by_prompt] if has_flash else [by_prompt]


def _whole_by_prompt(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    lengths: Sequence[int],
    _: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    keys, values = _as_many(keys, queries), _as_many(values, queries)
    parts = zip(*(torch.split(x, list(lengths)) for x in (queries, keys, values)), strict=True)
    return torch.cat([_sdpa(q, k, v, scale, is_causal=True) for q, k, v in parts])


def _continued(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
) -> torch.Tensor:
    seen = torch.ones(len(queries), len(keys), dtype=torch.bool, device=queries.device)
    mask = seen.tril(len(keys) - len(queries))
    return _sdpa(queries, _as_many(keys, queries), _as_many(values, queries), scale, attn_mask=mask)


def _sdpa(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float, **how: Any
) -> torch.Tensor:
    """Attend with tokens first: (S, H, D) of (S, H, D) and (L, H, D) twice."""
    q, k, v = (x.transpose(0, 1)[None] for x in (queries, keys, values))
    seen = functional.scaled_dot_product_attention(q, k, v, scale=scale, **how)
    return seen[0].transpose(0, 1)


def _as_many(heads: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
    """Repeat each of K heads for its group of queries: not all kernels know groups."""
    groups = queries.shape[1] // heads.shape[1]
    return heads if groups == 1 else heads.repeat_interleave(groups, 1)


def _whole_by_flash(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    lengths: Sequence[int],
    borders: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    return _flash(queries, keys, values, borders, borders, max(lengths), max(lengths), scale)


def _continued_by_flash(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
) -> torch.Tensor:
    ends = [[0, len(queries)], [0, len(keys)]]
    of_queries, of_keys = sent(ends, queries.device, torch.int32)
    return _flash(queries, keys, values, of_queries, of_keys, len(queries), len(keys), scale)


def _flash(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    query_borders: torch.Tensor,
    key_borders: torch.Tensor,
    most_queries: int,
    most_keys: int,
    scale: float,
) -> torch.Tensor:
    """Call the operation that torch.nn.attention.varlen calls; its own signature changes with the
    versions. Causal from the end: the last query of a prompt sees its last key.
    """
    no_dropout, is_causal, no_debug_mask = 0.0, True, False
    seen: torch.Tensor = torch.ops.aten._flash_attention_forward(
        queries, keys, values, query_borders, key_borders, most_queries, most_keys,
        no_dropout, is_causal, no_debug_mask, scale=scale,
    )[0]  # fmt: skip
    return seen
