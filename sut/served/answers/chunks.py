"""What is in one chunk of a stream, or in an answer that is not streamed? Both are one JSON object.

Only what we use is decoded, by types: a field of another type makes the whole no chunk of this API.
Names as of November 2026: `reasoning` (vLLM) and `reasoning_content` (SGLang, llama.cpp, DeepSeek)
are the same thing; ids of a prompt stand at the top (chat) or in the choice (completions).
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec

Id = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]


class NotJson(Exception):
    """What came is no chunk; `str()` says why."""


class Entry(msgspec.Struct, gc=False):
    token: str = ""


class Logprobs(msgspec.Struct, gc=False):
    content: list[Entry] | None = None  # chat
    tokens: list[str | None] | None = None  # completions


class Delta(msgspec.Struct, gc=False):
    content: str | list[Any] | None = None
    reasoning: Any = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: Any = None
    function_call: Any = None


class Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    stop_reason: Any = None  # vLLM: the string or the id that ended the answer
    matched_stop: Any = None  # the same, SGLang
    token_ids: list[Id] | None = None
    prompt_token_ids: list[int] | None = None
    logprobs: Logprobs | None = None


class Cached(msgspec.Struct, gc=False):
    cached_tokens: Count | None = None


class Usage(msgspec.Struct, gc=False):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: Cached | None = None
    prompt_cache_hit_tokens: Count | None = None  # DeepSeek


class Chunk(msgspec.Struct, gc=False):
    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Any = None
    prompt_token_ids: list[int] | None = None
    timings: Any = None  # llama.cpp
    metrics: Any = None  # vLLM
    object: Any = None  # of an error: its other names stand beside it, or in `error`
    message: Any = None
    type: Any = None
    code: Any = None
    detail: Any = None  # FastAPI's own errors


_decode = msgspec.json.Decoder(Chunk).decode


def chunk(data: bytes) -> Chunk:
    """Return the chunk. Raises NotJson."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return _loosely(data, error)


def _loosely(data: bytes, fault: Exception) -> Chunk:
    """Take what Python's own encoder writes and JSON has not: NaN, Infinity, lone surrogates."""
    try:
        value = json.loads(data, parse_constant=lambda name: None)
        return msgspec.convert(_encodable(value), Chunk)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise NotJson(str(fault) or type(fault).__name__) from None


def _encodable(value: Any) -> Any:
    """Put a replacement mark for each lone surrogate."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return value
