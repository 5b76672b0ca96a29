"""Bodies and exchanges for the tests of reading: what servers send, as bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from harness.kernel.answers import Exchange

MS = 1_000_000
SSE = {"content-type": "text/event-stream; charset=utf-8"}
JSON = {"content-type": "application/json"}


def chunk(content: str | None = "", finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk of a chat; `more` goes into the choice, or into the delta where it belongs."""
    delta = {"content": content}
    for name in ("role", "reasoning", "reasoning_content", "tool_calls"):
        if name in more:
            delta[name] = more.pop(name)
    top = {name: more.pop(name) for name in ("usage", "timings", "metrics") if name in more}
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [choice], **top}  # fmt: skip


def text(content: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk of a completion."""
    choice = {"index": 0, "text": content, "finish_reason": finish, **more}
    return {"id": "c-1", "object": "text_completion", "created": 1, "model": "m",
            "choices": [choice]}  # fmt: skip


def usage(completion: int, prompt: int = 5, **more: Any) -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, **more}
    return {"id": "c-1", "object": "chat.completion.chunk", "choices": [], "usage": counts}


def event(data: Any, delimiter: bytes = b"\n\n") -> bytes:
    """Return an event; a str is sent as it is."""
    body = data if isinstance(data, str) else json.dumps(data)
    return b"data: " + body.encode(errors="replace") + delimiter


def exchange(body: bytes | Sequence[bytes], **other: Any) -> Exchange:
    """Return an exchange whose reads came a millisecond apart, the first after 1 ms."""
    reads = [body] if isinstance(body, bytes) else body
    pieces = [(i * MS, piece) for i, piece in enumerate(reads, 1)]
    usual = {"sample_id": 7, "issued_ns": 0, "status": 200, "headers": SSE, "pieces": pieces,
             "ending": "whole", "end_ns": (len(reads) + 1) * MS}  # fmt: skip
    return Exchange(**(usual | other))


def stream(*chunks: Any, **other: Any) -> Exchange:
    """Return an exchange whose every read is one event."""
    return exchange([event(each) for each in chunks], **other)


def split(body: bytes, rng: Random) -> list[bytes]:
    """Cut the bytes at a few or at many places."""
    count = rng.choice((0, 1, 3, 30, len(body)))
    places = sorted(rng.sample(range(1, max(2, len(body))), min(count, max(0, len(body) - 1))))
    return [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]


# Whole streams as the servers of today send them, one per manner.
STREAMS: dict[str, Sequence[Any]] = {
    "vllm chat": (
        chunk("", role="assistant"),
        chunk("Hel", token_ids=[11]), chunk("lo ", token_ids=[12, 13]),
        chunk("wörld", "stop", token_ids=[14, 2], stop_reason=None),
        usage(5, prompt_tokens_details={"cached_tokens": 4}), "[DONE]",
    ),
    "sglang reasoning": (
        chunk("", role="assistant", reasoning_content=None),
        chunk(None, reasoning_content="think"), chunk(None, reasoning_content="ing"),
        chunk("yes"), chunk("", "stop", matched_stop=2), usage(4), "[DONE]",
    ),
    "llama.cpp completions": (
        text("one"), text(" two"), {**text("", "length"), **{"usage": {"completion_tokens": 2},
        "timings": {"cache_n": 3, "prompt_ms": 1.5}}}, "[DONE]",
    ),
    "continuous usage": (
        chunk("a", usage={"completion_tokens": 1}), chunk("bc", usage={"completion_tokens": 3}),
        chunk("d", "length", usage={"completion_tokens": 4}), usage(4), "[DONE]",
    ),
    "tool calls": (
        chunk(None, tool_calls=[{"index": 0, "function": {"name": "f", "arguments": ""}}]),
        chunk(None, tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
        chunk(None, "tool_calls"), usage(6), "[DONE]",
    ),
    "logprobs": (
        chunk("a", logprobs={"content": [{"token": "token_id:5", "logprob": -0.5}]}),
        chunk("b", "stop", logprobs={"content": [{"token": "token_id:6", "logprob": -0.5}]}),
    ),
    "an error after two tokens": (
        chunk("a"), chunk("b"), {"error": {"message": "no blocks", "code": 500}}, "[DONE]",
    ),
    "cut": (chunk("a"), chunk("b")),
}  # fmt: skip
