"""How are the tokens of a batch chosen where its requests ask for more than the most likely one,
and the host does not wait for the device?

Everything that the choice needs is known before the step is launched: settings, and the number from
0 to 1 that each request's own generator gives for its next token. So the draw is that of
`sut.engine.sampling`, token for token; only where several tokens are equally likely may it be
another of them. Penalties look at the tokens so far, and are not for here (`asking`).

Shapes: B rows of the batch, n rows that ask, t rows whose log-probabilities are told, V vocabulary,
m most likely tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from sut.engine.ahead.launcher import Chosen
from sut.engine.ahead.transfers import sent
from sut.engine.batching import NOT_FINITE
from sut.engine.choice import first_choice, most_likely
from sut.engine.sampling.adjust import shift
from sut.engine.sampling.draw import fallen, number
from sut.engine.sampling.thoughts import Thought
from sut.engine.sampling.wanted import Asking


class Plan:
    """What some rows of a batch ask of their next tokens. To be made once a step: it draws."""

    def __init__(self, rows: Sequence[int], requests: Sequence[Asking]) -> None:
        self._rows, self._requests = rows, requests
        self._drawing = _places(not r.wanted.is_greedy for r in requests)
        self._numbers = [number(requests[i]) for i in self._drawing]
        self._shifted = [(i, r, r.may_end_next) for i, r in enumerate(requests) if _is_shifted(r)]
        self._told = _places(r.wanted.logprobs is not None for r in requests)
        self._counts = [requests[i].wanted.logprobs or 0 for i in self._told]

    def __call__(self, logits: torch.Tensor) -> Chosen:
        """Choose from (B, V). Nothing in it waits for the device."""
        device = logits.device
        rows = sent(self._rows, device, torch.int64)
        tokens = most_likely(logits)  # (B,)
        own = logits[rows].float()  # (n, V)
        chosen = self._tokens(own).to(device)
        tokens[rows] = torch.where(tokens[rows] == NOT_FINITE, NOT_FINITE, chosen)
        if not self._told:
            return Chosen(tokens)
        told = sent(self._told, device, torch.int64)
        return Chosen(tokens, looked_up(own[told], chosen[told], max(self._counts)))

    def thoughts(self, told: Sequence[torch.Tensor]) -> dict[int, Thought]:
        """Make of what was told the thought of each row that wants it, by its row in the batch."""
        if not self._told:
            return {}
        columns = zip(self._told, self._counts, *(tensor.tolist() for tensor in told), strict=True)
        return {
            self._rows[i]: Thought(token, logprob, rank, top_ids[:count], top_logprobs[:count])
            for i, count, token, logprob, rank, top_ids, top_logprobs in columns
        }

    def _tokens(self, logits: torch.Tensor) -> torch.Tensor:
        """Return (n,) of (n, V)."""
        adjusted = logits.clone() if self._shifted else logits
        for i, request, may_end in self._shifted:
            shift(adjusted[i], request.wanted, may_end)
        tokens = first_choice(adjusted)
        if self._drawing:
            drawing = sent(self._drawing, logits.device, torch.int64)
            requests = [self._requests[i] for i in self._drawing]
            tokens[drawing] = drawn(adjusted[drawing], requests, self._numbers)
        return tokens


def drawn(
    logits: torch.Tensor, requests: Sequence[Asking], numbers: Sequence[float]
) -> torch.Tensor:
    """Return (n,) drawn from (n, V), each by its own settings and number."""
    device = logits.device
    heat = sent([r.wanted.temperature for r in requests], device, torch.float32)
    at = sent(numbers, device, torch.float64)
    shares = (logits / heat[:, None]).softmax(-1)
    tokens = fallen(shares, at)
    for has_most in (True, False):  # `top_k` needs no order of the whole vocabulary
        cut = _places(r.wanted.is_cut and (r.wanted.top_k > 0) == has_most for r in requests)
        if cut:
            rows = sent(cut, device, torch.int64)
            own = [requests[i] for i in cut]
            tokens[rows] = _among_the_first(shares[rows], own, at[rows])
    return tokens


def _among_the_first(
    shares: torch.Tensor, requests: Sequence[Asking], numbers: torch.Tensor
) -> torch.Tensor:
    """Draw from (n, V) within `top_k` and `top_p`: all of the requests have a `top_k`, or none."""
    size, device = shares.shape[-1], shares.device
    top_p = sent([r.wanted.top_p for r in requests], device, torch.float64)[:, None]
    if requests[0].wanted.top_k > 0:
        most = [min(r.wanted.top_k, size) for r in requests]
        kept, ids = shares.topk(max(most))  # (n, m)
        limits = sent(most, device, torch.int64)[:, None]
        kept = torch.where(torch.arange(max(most), device=device) < limits, kept, 0.0)
        top_p = top_p * kept.sum(-1, keepdim=True, dtype=torch.float64)
    else:
        kept, ids = shares.sort(descending=True, stable=True)
    before = kept.cumsum(-1, dtype=torch.float64) - kept
    kept = torch.where(before < top_p, kept, 0.0)
    return ids.gather(-1, fallen(kept, numbers)[:, None])[:, 0]


def looked_up(
    logits: torch.Tensor, tokens: torch.Tensor, most: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return of (t, V), and the tokens (t,) that came: these, their log-probabilities and ranks
    (t,), the most likely ids and their log-probabilities (t, m), of equal ones the lowest id first.
    """
    log_probs = logits.log_softmax(-1)
    at = log_probs.gather(-1, tokens[:, None])
    ranks = (log_probs > at).sum(-1) + 1
    if most:
        values, ids = log_probs.sort(descending=True, stable=True)
    else:
        values, ids = log_probs, tokens[:, None]
    return tokens, at[:, 0], ranks, ids[:, :most], values[:, :most]


def _is_shifted(request: Asking) -> bool:
    wanted = request.wanted
    return bool(wanted.logit_bias or (wanted.ends and not request.may_end_next))


def _places(which: Iterable[bool]) -> list[int]:
    return [i for i, is_so in enumerate(which) if is_so]
