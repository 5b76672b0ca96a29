"""What does one request ask for? The body of /v1/completions or /v1/chat/completions, read once.

Fields that nobody here knows are ignored, as vLLM does it, and named in a header of the answer.
Those that would change the answer and that we cannot follow (tools, a JSON schema) are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.serve.asking.fields import (
    Read,
    biases,
    flag,
    ids,
    known,
    mapping,
    number,
    text,
    texts,
    top,
    whole,
)
from harness.serve.refusals import Refusal

Api = Literal["chat", "completions"]
Table = dict[str, tuple[Read, Any]]
MOST_CHOICES = 1_024  # prompts times n
MOST_TOP = 100  # log-probabilities beside a token
_MOST_TOKENS = 10_000_000
_count = whole(0, _MOST_TOKENS)

BOTH: Table = {
    "model": (text, ""),
    "max_tokens": (_count, None),
    "min_tokens": (_count, 0),
    "ignore_eos": (flag, False),
    "temperature": (number(0, 1e3), 1.0),
    "top_p": (number(0, 1, is_open=True), 1.0),
    "top_k": (whole(-1, _MOST_TOKENS), 0),
    "n": (whole(1, 128), 1),
    "stop": (texts, ()),
    "include_stop_str_in_output": (flag, False),
    "stop_token_ids": (ids, ()),
    "seed": (whole(-(2**63), 2**64 - 1), None),
    "prompt_logprobs": (top(MOST_TOP), None),
    "logit_bias": (biases, {}),
    "repetition_penalty": (number(0, 100, is_open=True), 1.0),
    "presence_penalty": (number(-2, 2), 0.0),
    "frequency_penalty": (number(-2, 2), 0.0),
    "stream": (flag, False),
    "stream_options": (mapping, {}),
    "stream_interval": (whole(1, _MOST_TOKENS), 1),
    "return_token_ids": (flag, False),
    "return_tokens_as_token_ids": (flag, False),
    "skip_special_tokens": (flag, True),
    "response_format": (mapping, {}),
}
CHAT: Table = {
    **BOTH,
    "max_completion_tokens": (_count, None),
    "logprobs": (flag, False),
    "top_logprobs": (whole(0, MOST_TOP), 0),
    "add_special_tokens": (flag, False),
    "add_generation_prompt": (flag, True),
    "continue_final_message": (flag, False),
    "chat_template": (text, None),
    "chat_template_kwargs": (mapping, {}),
}
COMPLETIONS: Table = {
    **BOTH,
    "max_tokens": (_count, 16),  # OpenAI's default
    "logprobs": (top(MOST_TOP), None),
    "echo": (flag, False),
    "add_special_tokens": (flag, True),
}
_ELSEWHERE = {"messages", "prompt", "tools", "tool_choice"}  # read below, or where prompts are made
_WITHOUT_EFFECT = {"user", "metadata", "store", "service_tier", "safety_identifier", "request_id"}


@dataclass(slots=True)
class Asked:
    """`fields` has every field of the table; the rest is what takes more than one of them."""

    api: Api
    fields: Mapping[str, Any]
    max_tokens: int | None
    top: int | None  # log-probabilities beside each token; None: none at all
    prompt_top: int | None
    is_usage_told: bool  # in a stream
    is_usage_always_told: bool  # in every chunk of it
    is_echo: bool
    ignored: list[str] = field(default_factory=list)

    @property
    def is_stream(self) -> bool:
        return bool(self.fields["stream"])

    @property
    def n(self) -> int:
        return int(self.fields["n"])


def asked(api: Api, body: Mapping[str, Any]) -> Asked:
    """Read a body. Raises Refusal."""
    table = CHAT if api == "chat" else COMPLETIONS
    found = known(body, table)
    _check_unsupported(body, found)
    options = known(
        found["stream_options"],
        {"include_usage": (flag, False), "continuous_usage_stats": (flag, False)},
    )
    is_echo = bool(found.get("echo"))
    chosen = _top(api, found)
    return Asked(
        api=api,
        fields=found,
        max_tokens=_max_tokens(found),
        top=chosen,
        prompt_top=_prompt_top(found["prompt_logprobs"], chosen if is_echo else None),
        is_usage_told=options["include_usage"],
        is_usage_always_told=options["include_usage"] and options["continuous_usage_stats"],
        is_echo=is_echo,
        ignored=sorted(
            name
            for name, value in body.items()
            if value is not None and name not in table.keys() | _ELSEWHERE | _WITHOUT_EFFECT
        ),
    )


def _max_tokens(found: Mapping[str, Any]) -> int | None:
    """Return the limit of an answer: in chat its newer name counts first."""
    newer: int | None = found.get("max_completion_tokens")
    older: int | None = found["max_tokens"]
    limit = older if newer is None else newer
    if limit == 0 and not found.get("echo") and found["prompt_logprobs"] is None:
        raise Refusal("max_tokens is 0; expected at least 1, or echo.", "max_tokens")
    if limit is not None and found["min_tokens"] > limit:
        reason = f"min_tokens is {found['min_tokens']}, more than max_tokens, which is {limit}."
        raise Refusal(reason, "min_tokens")
    return limit


def _top(api: Api, found: Mapping[str, Any]) -> int | None:
    if api == "completions":
        count: int | None = found["logprobs"]
        return count
    if found["top_logprobs"] and not found["logprobs"]:
        raise Refusal("top_logprobs needs logprobs to be true.", "top_logprobs")
    return int(found["top_logprobs"]) if found["logprobs"] else None


def _prompt_top(*wanted: int | None) -> int | None:
    return max((one for one in wanted if one is not None), default=None)


def _check_unsupported(body: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    if body.get("tools") and body.get("tool_choice") != "none":
        raise Refusal("tools are not supported; leave them out.", "tools")
    kind = found["response_format"].get("type", "text")
    if kind != "text":
        reason = "response_format can only be of type text; ask for JSON in the prompt."
        raise Refusal(reason, "response_format")
    if found.get("add_generation_prompt") and found.get("continue_final_message"):
        reason = "continue_final_message needs add_generation_prompt to be false."
        raise Refusal(reason, "continue_final_message")
