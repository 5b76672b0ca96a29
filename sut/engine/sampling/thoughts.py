"""What did the model think of a token that came, and which would it have found more likely?

In float32, of the logits as the model gave them: before bias, penalties and temperature.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class Thought(NamedTuple):
    """`rank` is 1 for the most likely token. The most likely stand in order, of equal ones the
    lowest id first.
    """

    token: int
    logprob: float
    rank: int
    top_ids: list[int]
    top_logprobs: list[float]


def thoughts(log_probs: torch.Tensor, tokens: torch.Tensor, counts: list[int]) -> list[Thought]:
    """Return one per row of (n, V), of the token that came in it (n,), with so many beside it."""
    at = log_probs.gather(-1, tokens[:, None])  # (n, 1)
    ranks = (log_probs > at).sum(-1) + 1
    tops = _tops(log_probs, counts)
    rows = zip(tokens.tolist(), at[:, 0].tolist(), ranks.tolist(), tops, strict=True)
    return [Thought(token, value, rank, *top) for token, value, rank, top in rows]


def _tops(log_probs: torch.Tensor, counts: list[int]) -> list[tuple[list[int], list[float]]]:
    """Return the most likely of each row. Which of several equal ones topk takes is its own affair,
    so all are looked at that reach the last of them.
    """
    most = min(max(counts), log_probs.shape[-1])
    if most == 0:
        return [([], [])] * len(counts)
    least = log_probs.topk(most).values  # (n, most)
    tops: list[tuple[list[int], list[float]]] = []
    for row, count, values in zip(log_probs, counts, least, strict=True):
        if count == 0:
            tops.append(([], []))
            continue
        ids = (row >= values[min(count, most) - 1]).nonzero()[:, 0]  # ascending
        order = row[ids].sort(descending=True, stable=True).indices[:count]
        ids = ids[order]
        tops.append((ids.tolist(), row[ids].tolist()))
    return tops
