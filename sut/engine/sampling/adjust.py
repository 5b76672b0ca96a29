"""How do bias, penalties and a least length change the logits? In the order in which vLLM does it:
ends that may not come yet, bias, penalties.

    repetition   a logit above 0 is divided by it, one below multiplied; tokens of prompt and answer
    presence     subtracted once from tokens of the answer
    frequency    subtracted for each time a token is in the answer
"""

from __future__ import annotations

from collections import Counter

import torch

from sut.engine.ahead.transfers import sent
from sut.engine.sampling.wanted import Asking, Wanted


def adjust(logits: torch.Tensor, request: Asking) -> None:
    """Change the row (V,) in place."""
    shift(logits, request.wanted, request.may_end)
    if request.wanted.penalises:
        _penalise(logits, request)


def shift(logits: torch.Tensor, wanted: Wanted, may_end: bool) -> None:
    """Do the part that depends on no token that came. Nothing in it waits for the device."""
    if wanted.ends and not may_end:
        logits[_ids(list(wanted.ends), logits)] = -torch.inf
    if wanted.logit_bias:
        biases = sent(list(wanted.logit_bias.values()), logits.device, torch.float32)
        logits[_ids(list(wanted.logit_bias), logits)] += biases


def _penalise(logits: torch.Tensor, request: Asking) -> None:
    wanted, came = request.wanted, Counter(request.ids)
    if wanted.repetition_penalty != 1.0:
        seen = _ids(list({*request.prompt_ids, *came}), logits)
        values, factor = logits[seen], wanted.repetition_penalty
        logits[seen] = torch.where(values > 0, values / factor, values * factor)
    if came:
        counts = torch.tensor(list(came.values()), dtype=logits.dtype, device=logits.device)
        less = wanted.presence_penalty + wanted.frequency_penalty * counts
        logits[_ids(list(came), logits)] -= less


def _ids(ids: list[int], logits: torch.Tensor) -> torch.Tensor:
    return sent(ids, logits.device, torch.int64)
