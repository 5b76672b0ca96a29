"""What does a request ask for? A body of /v1/completions or /v1/chat/completions, read and checked
as the server of that manner does.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from sut.golden.answers.manners import Manner
from sut.golden.answers.settings import Settings

EOS = 2
_ID_BITS = 64  # of which `key_of` makes the number of a prompt
MARK = "[fault="  # a prompt that holds [fault=cut] asks for that failure itself


class Refused(Exception):
    """The request gets an HTTP error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Ask(NamedTuple):
    """A request. `key` numbers its prompt: with the number of tokens it determines the answer."""

    is_chat: bool
    is_stream: bool
    model: str
    key: int
    prompt: str
    prompt_ids: tuple[int, ...]  # those of the request, else one for each word
    tokens: int
    finish: str
    usage: bool
    running_usage: bool  # in every chunk
    ids: bool
    logprobs: bool
    echo: bool
    prompt_logprobs: bool
    fault: str


def answer_ids(key: int, tokens: int, has_eos: bool) -> list[int]:
    """Return the ids of the answer to prompt `key`."""
    ids = [3 + (31 * key + 7 * k) % 997 for k in range(tokens)]
    return [*ids[:-1], EOS] if has_eos else ids


def text_of(token: int) -> str:
    """Return the text of an id; the end token has none."""
    return "" if token == EOS else f" w{token}"


def key_of(prompt: str | Sequence[int]) -> int:
    """Return the number of a prompt, a text or ids."""
    return crc32(prompt.encode() if isinstance(prompt, str) else array("q", prompt).tobytes())


def read(path: str, body: bytes, settings: Settings, manner: Manner) -> Ask:
    """Return what a body asks for. Raises Refused."""
    said = _object(body)
    _check_names(said, manner)
    known = {name: value for name, value in said.items() if name not in manner.ignores}
    is_chat = path.endswith("/chat/completions")
    if str(said.get("model", settings.model)) != settings.model:
        raise Refused(404, f"The model `{said['model']}` does not exist.")
    prompt = _prompt(known, is_chat, manner)
    ids = tuple(prompt) if not isinstance(prompt, str) else _ids_of_words(prompt)
    tokens, finish = _length(known, len(ids), settings)
    text = prompt if isinstance(prompt, str) else "".join(map(text_of, ids))
    options = known.get("stream_options") or {}
    if not isinstance(options, dict):
        raise Refused(400, "stream_options: Input should be an object")
    return Ask(
        is_chat=is_chat,
        is_stream=bool(known.get("stream")) and settings.stream,
        model=settings.model,
        key=key_of(prompt),
        prompt=text,
        prompt_ids=ids,
        tokens=tokens,
        finish=finish,
        usage=bool(options.get("include_usage")) or manner.usage_unasked,
        running_usage=bool(options.get("continuous_usage_stats")),
        ids=bool(known.get("return_token_ids")) and manner.ids,
        logprobs=known.get("logprobs") not in (None, False),
        echo=bool(known.get("echo")) and not is_chat,
        prompt_logprobs=known.get("prompt_logprobs") is not None,
        fault=_marked(text),
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Refused(400, f"The body is no JSON object: {error}") from None


def _check_names(said: dict[str, Any], manner: Manner) -> None:
    unknown = sorted(set(said) - manner.knows) if manner.knows else []
    if unknown:
        raise Refused(400, f"Extra inputs are not permitted: {', '.join(unknown)}")


def _prompt(said: dict[str, Any], is_chat: bool, manner: Manner) -> str | list[int]:
    if is_chat:
        messages = said.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Refused(400, "messages: Field required")
        return "\n".join(_content(message) for message in messages)
    prompt = said.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0] if isinstance(prompt[0], (str, list)) else prompt
    if isinstance(prompt, str):
        return prompt
    is_ids = isinstance(prompt, list) and all(map(_is_id, prompt))
    if not is_ids or not prompt:
        raise Refused(400, "prompt: a text or a list of ids is required")
    if not manner.prompt_ids:
        raise Refused(400, "prompt: Input should be a valid string")
    return list(prompt)


def _is_id(token: Any) -> bool:
    return type(token) is int and token.bit_length() < _ID_BITS


def _content(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Refused(400, "messages: content is required")
    return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))


def _ids_of_words(prompt: str) -> tuple[int, ...]:
    return tuple(3 + crc32(word.encode()) % 997 for word in prompt.split())


def _length(said: dict[str, Any], prompt: int, settings: Settings) -> tuple[int, str]:
    """Return how many tokens the answer has and why it ends there."""
    room = settings.context - prompt
    limit = said.get("max_completion_tokens") or said.get("max_tokens") or min(room, 1 << 16)
    if type(limit) is not int or limit < 0:
        raise Refused(400, f"max_tokens: {limit!r} is no positive number")
    if limit > room and (said.get("max_completion_tokens") or said.get("max_tokens")):
        raise Refused(
            400,
            f"This model's maximum context length is {settings.context} tokens. However, you"
            f" requested {limit} output tokens and your prompt contains {prompt} input tokens.",
        )
    if said.get("ignore_eos"):
        return limit, "length"
    least = said.get("min_tokens") or 0
    if type(least) is not int:
        raise Refused(400, f"min_tokens: {least!r} is no number")
    natural = max(settings.tokens, least)
    return (natural, "stop") if natural <= limit else (limit, "length")


def _marked(prompt: str) -> str:
    _, mark, rest = prompt.partition(MARK)
    return rest.partition("]")[0] if mark else ""
