"""Can this request be answered at all? What is wrong with it, and which field is to blame."""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

from sut.serving.messages import Info, Request


class Fault(NamedTuple):
    reason: str
    parameter: str


TOO_LARGE = Fault("A number in the request has more than 64 bits.", "")
_RANGES = {  # as vLLM and the OpenAI API have them; a factor must leave logits finite
    "temperature": (0.0, 100.0),
    "top_p": (0.0, 1.0),
    "repetition_penalty": (0.01, 100.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
_MOST_BIAS = 100.0


def fault(request: Request, info: Info) -> Fault | None:
    """Return the first thing that is wrong; None for a request that can be answered."""
    return _of_lengths(request, info) or _of_ids(request, info) or _of_numbers(request, info)


def _of_lengths(request: Request, info: Info) -> Fault | None:
    prompt, answer = len(request.prompt_ids), request.max_tokens
    if not prompt:
        return Fault("The prompt has no tokens.", "prompt")
    if answer < 0 or (answer == 0 and request.prompt_logprobs is None):
        return Fault(f"max_tokens is {answer}; it must be at least 1.", "max_tokens")
    if not 0 <= request.min_tokens <= answer:
        found = f"min_tokens is {request.min_tokens}"
        return Fault(f"{found}; it must be from 0 to max_tokens, {answer}.", "min_tokens")
    if prompt + answer > info.max_len:
        found = f"The prompt has {prompt:,} tokens and the answer may have {answer:,}"
        fine = f"the longest text here has {info.max_len:,} tokens"
        return Fault(f"{found}, which makes {prompt + answer:,}; {fine}.", "max_tokens")
    return None


def _of_ids(request: Request, info: Info) -> Fault | None:
    given = {
        "prompt": request.prompt_ids,
        "stop_token_ids": request.stop_token_ids,
        "logit_bias": list(request.logit_bias),
    }
    for name, ids in given.items():
        if ids and not 0 <= min(ids) <= max(ids) < info.vocabulary:
            strange = next(one for one in ids if not 0 <= one < info.vocabulary)
            fine = f"this model's are 0 to {info.vocabulary - 1}"
            return Fault(f"{name} holds the token id {strange}; {fine}.", name)
    return None


def _of_numbers(request: Request, info: Info) -> Fault | None:
    for name, (least, most) in _RANGES.items():
        value = getattr(request, name)
        if not least <= value <= most or (name == "top_p" and value == 0):
            after = "above 0" if name == "top_p" else f"from {least:g}"
            return Fault(f"{name} is {value:g}; it must be {after} to {most:g}.", name)
    for value in request.logit_bias.values():
        if not isfinite(value) or abs(value) > _MOST_BIAS:
            fine = f"they must be from -{_MOST_BIAS:g} to {_MOST_BIAS:g}"
            return Fault(f"logit_bias holds the value {value:g}; {fine}.", "logit_bias")
    for name in ("logprobs", "prompt_logprobs"):
        count = getattr(request, name)
        if count is not None and not 0 <= count <= info.vocabulary:
            fine = f"it must be from 0 to {info.vocabulary:,}, this model's vocabulary"
            return Fault(f"{name} is {count}; {fine}.", name)
    return None
