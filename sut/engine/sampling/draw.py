"""Which token comes next where the most likely one is not wanted? One that is drawn: a number from
0 to 1 of the request's own generator falls into the share of one token.

So a seed gives the same answer whoever shares the batch (but for rounding of the logits), and no
token is drawn whose probability is 0. First temperature, then the `top_k` most likely, then the
fewest of these that have `top_p` of their probability together.

Shapes: n rows, V vocabulary, m most likely tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sut.engine.sampling.wanted import Asking

_FIRST_LOOK, _LOOK_FURTHER = 256, 16  # most likely tokens that `top_p` may need; then so many times


def draw(logits: torch.Tensor, requests: Sequence[Asking]) -> list[int]:
    """Return a token for each row of (n, V)."""
    device = logits.device
    heat = torch.tensor([r.wanted.temperature for r in requests], device=device)
    shares = (logits / heat[:, None]).softmax(-1)  # (n, V)
    numbers = torch.tensor([number(r) for r in requests], dtype=torch.float64, device=device)
    cut = [i for i, request in enumerate(requests) if request.wanted.is_cut]
    drawn: list[int] = fallen(shares, numbers).tolist()
    for i in cut:
        drawn[i] = _among_the_first(shares[i], requests[i], numbers[i])
    return drawn


def number(request: Asking) -> float:
    """Return the request's next number from 0 to 1: one for each token."""
    assert request.random is not None, "a greedy request draws nothing"
    return float(request.random.random())


def fallen(shares: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Return (n,): the column of (n, m) into whose share the number falls."""
    ends = shares.cumsum(-1, dtype=torch.float64)
    whole = ends[:, -1]
    at = torch.minimum(numbers * whole, torch.nextafter(whole, torch.zeros_like(whole)))
    return torch.searchsorted(ends, at[:, None], right=True)[:, 0]


def _among_the_first(shares: torch.Tensor, request: Asking, number: torch.Tensor) -> int:
    """Draw from (V,) within `top_k` and `top_p`."""
    kept, ids = _first(shares, request)
    before = kept.cumsum(-1, dtype=torch.float64) - kept
    kept = torch.where(before < request.wanted.top_p * _of_all(kept, request), kept, 0.0)
    return int(ids[fallen(kept[None], number[None])[0]])


def _first(shares: torch.Tensor, request: Asking) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the most likely tokens, (m,) shares and ids: as many as may be needed."""
    size, wanted = len(shares), request.wanted
    if wanted.top_k > 0:
        most = shares.topk(min(wanted.top_k, size))
        return most.values, most.indices
    count = min(_FIRST_LOOK, size)
    while True:
        most = shares.topk(count)
        if count == size or float(most.values.sum(dtype=torch.float64)) >= wanted.top_p:
            return most.values, most.indices
        count = min(count * _LOOK_FURTHER, size)


def _of_all(kept: torch.Tensor, request: Asking) -> float:
    """Return the probability that `top_p` is a share of: that of the `top_k` where they are cut."""
    return float(kept.sum(dtype=torch.float64)) if request.wanted.top_k > 0 else 1.0
