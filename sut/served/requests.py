"""What is a server asked for a sample? The body of the request, made before the clock starts.

Greedy unless the sample is drawn, streamed, as many tokens as it may have; the model's own end
ends it. What a server
refuses is left out (`sut.served.probe`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from harness.kernel.types import Draw
from sut.prompts.pieces import transcript
from sut.served.salt import Salt

Endpoint = Literal["chat", "completions"]
PATHS: Mapping[Endpoint, str] = {"chat": "/chat/completions", "completions": "/completions"}
MOST_STOPS = 4
Prompt = str | Sequence[int]


class Shape(NamedTuple):
    """What all requests of a run have in common."""

    endpoint: Endpoint
    model: str
    fields: Mapping[str, Any]  # besides those that every server takes
    limit: str = "max_tokens"  # what the server calls the most tokens of an answer
    is_streamed: bool = True
    takes_seed: bool = True


def body(
    shape: Shape,
    prompt: Prompt,
    max_tokens: int,
    salt: Salt | None = None,
    opens: int = 0,
    history: Sequence[tuple[str, str]] = (),
    draw: Draw | None = None,
    stop: Sequence[str] = (),
) -> bytes:
    """Return the JSON of a request; `salt` leaves its mark in front of the prompt and the turns
    before it, or behind the first `opens` ids of it. Texts that end the answer are `stop`: no more
    of them than OpenAI's own API takes.
    """
    known = {
        "model": shape.model,
        **_asked(shape.endpoint, prompt, salt, opens, history),
        shape.limit: max_tokens,
        "temperature": 0,
        "stream": shape.is_streamed,
    }
    if stop:
        known["stop"] = list(stop[:MOST_STOPS])
    return msgspec.json.encode(known | _drawn(shape, draw) | dict(shape.fields))


def _drawn(shape: Shape, draw: Draw | None) -> dict[str, Any]:
    """Return the fields of an answer that is drawn; the seed where the server takes one."""
    if draw is None:
        return {}
    seed = {"seed": draw.seed} if shape.takes_seed else {}
    return {"temperature": draw.temperature, "top_p": draw.top_p, **seed}


def asked(endpoint: Endpoint, prompt: Any) -> dict[str, Any]:
    """Return the prompt under the names that the endpoint has for it."""
    if endpoint == "completions":
        return {"prompt": prompt}
    return {"messages": [{"role": "user", "content": prompt}]}


def _asked(
    endpoint: Endpoint,
    prompt: Prompt,
    salt: Salt | None,
    opens: int,
    history: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """Return the same with the salt's mark in front of what is sent."""
    if not history or not isinstance(prompt, str):
        return asked(endpoint, _marked(prompt, salt, opens))
    if endpoint == "completions":
        return asked(endpoint, _marked(transcript(history, prompt), salt, opens))
    (role, first), *turns = (*history, ("user", prompt))
    messages = [{"role": role, "content": _marked(first, salt, opens)}]
    messages += [{"role": role, "content": text} for role, text in turns]
    return {"messages": messages}


def _marked(prompt: Prompt, salt: Salt | None, opens: int) -> msgspec.Raw:
    """Return the prompt as JSON, with a mark where the salt goes: the salt is no JSON yet."""
    if salt is None:
        return msgspec.Raw(msgspec.json.encode(prompt))
    if isinstance(prompt, str):
        return msgspec.Raw(b'"' + salt.mark + b" " + msgspec.json.encode(prompt)[1:])
    ids = [b"%d" % one for one in prompt]
    return msgspec.Raw(b"[" + b",".join([*ids[:opens], salt.mark, *ids[opens:]]) + b"]")
