"""What is each server's manner of speaking the OpenAI API? The differences that a client meets, a
row each, as their own code has them in 2026.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

_SAMPLING = frozenset(("temperature", "top_p", "seed", "stop", "n", "logprobs", "top_logprobs"))
_STANDARD = _SAMPLING | {
    "model", "prompt", "messages", "max_tokens", "max_completion_tokens", "stream",
    "stream_options", "user", "presence_penalty", "frequency_penalty", "logit_bias", "echo",
    "response_format",
}  # fmt: skip


class Manner(NamedTuple):
    """`ignores` are fields that are accepted and change nothing; `knows`, where it is given, are
    the only fields that are accepted at all.
    """

    server: str = "uvicorn"
    error: Literal["nested", "flat"] = "nested"  # the shape of HTTP errors
    role: Literal["apart", "first", "every"] = "apart"  # the chunk that names the role
    reasoning: str = "reasoning"
    null_reasoning: bool = False  # the field stands in every chunk
    usage: Literal["apart", "with_choices"] = "apart"
    usage_unasked: bool = False
    ids: bool = True  # return_token_ids
    prompt_ids: bool = True  # a prompt may be a list of ids
    ignores: frozenset[str] = frozenset()
    knows: frozenset[str] = frozenset()
    timings: bool = False  # llama.cpp's object in the last chunk
    metrics: str = "vllm"  # whose names /metrics has; "" = there is no /metrics


TABLE = {
    "vllm": Manner(),
    "sglang": Manner(
        error="flat",
        reasoning="reasoning_content",
        null_reasoning=True,
        metrics="sglang",
    ),
    "llama-server": Manner(
        server="llama.cpp",
        reasoning="reasoning_content",
        usage="with_choices",
        ids=False,
        ignores=frozenset(("min_tokens", "return_token_ids", "echo", "prompt_logprobs")),
        timings=True,
        metrics="llamacpp",
    ),
    "tgi": Manner(
        server="",
        role="every",
        ids=False,
        prompt_ids=False,
        ignores=frozenset(
            ("ignore_eos", "min_tokens", "return_token_ids", "echo", "prompt_logprobs")
        ),
        metrics="tgi",
    ),
    "trt-llm": Manner(
        error="flat",
        usage_unasked=True,
        ids=False,
        knows=_STANDARD | {"ignore_eos", "min_tokens"},
        metrics="",
    ),
    "ollama": Manner(
        server="",
        role="every",
        ids=False,
        prompt_ids=False,
        ignores=frozenset(
            (
                "ignore_eos", "min_tokens", "max_completion_tokens", "return_token_ids", "echo",
                "logprobs", "prompt_logprobs",
            )
        ),
        metrics="",
    ),
}  # fmt: skip
