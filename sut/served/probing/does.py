"""What does this server do? Each question is one small request; its answer is a row of the table.

A field that a server refuses is left out of all that follows, and so is one that it takes without
any effect: what is sent in a timed part is what was seen to work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.kernel.answers import TOKEN_SOURCES
from harness.kernel.types import NEVER
from sut.served.probing.asking import Asking, Reply, check, shape_of_error

Row = dict[str, str]
_USAGE = {"include_usage": True}
_RUNNING = {"include_usage": True, "continuous_usage_stats": True}
_WISHED: Mapping[str, Any] = {
    "return_token_ids": True,
    "timings_per_token": True,  # llama.cpp's running count
    "stream_options": _RUNNING,
    "seed": 1,
}
_IDS = [11, 12, 13, 14, 15, 16, 17, 18]  # plain tokens in every vocabulary we know
_SHORT = "Answer with the one word yes."
_LONG = " ".join(f"Item {i} of the list costs {3 * i + 1} coins." for i in range(40))
_ENOUGH = 16  # tokens, before which a short answer has ended
STOP = "stop texts"
_REFUSED = "refused fields"
YES, NO, UNKNOWN = "yes", "no", "not to be told"


def row(what: str, found: str) -> Row:
    return {"what": what, "found": found}


class Spoken(NamedTuple):
    """How the server is to be asked from now on, and the first good answer."""

    asking: Asking
    reply: Reply
    refused: Sequence[str]


def spoken(asking: Asking) -> Spoken:
    """Find out which of the wished fields the server takes, and what it calls the length. Raises
    SetupFailed where it gives no answer at all.
    """
    asking = asking._replace(fields=_WISHED)
    refused: list[str] = []
    reply = asking.ask()
    while reply.is_refused and (less := _less(asking, reply.words)):
        asking, named = less
        refused += named
        reply = asking.ask()
    if reply.is_refused and asking.fields:
        return _one_by_one(asking)
    check(asking.address, reply)
    return Spoken(asking, reply, refused)


def _less(asking: Asking, words: str) -> tuple[Asking, list[str]] | None:
    """Return how to ask without what the server's words name, and what that is; None if they name
    nothing.
    """
    fields = asking.fields
    if "continuous_usage_stats" in words and fields.get("stream_options") == _RUNNING:
        fewer = {**fields, "stream_options": _USAGE}
        return asking._replace(fields=fewer), ["continuous_usage_stats"]
    if "max_completion_tokens" in words and asking.limit == "max_tokens":
        return asking._replace(limit="max_completion_tokens"), []
    named = [name for name in fields if re.search(rf"\b{name}\b", words)]
    if not named:
        return None
    fewer = {name: value for name, value in fields.items() if name not in named}
    return asking._replace(fields=fewer), named


def _one_by_one(asking: Asking) -> Spoken:
    """Add the fields singly: the server has not said which one it refuses."""
    bare = asking._replace(fields={})
    reply = bare.ask()
    check(asking.address, reply)
    taken: dict[str, Any] = {}
    refused: list[str] = []
    for name, value in _WISHED.items():
        for tried in (value, _USAGE) if name == "stream_options" else (value,):
            if bare._replace(fields={**taken, name: tried}).ask(tokens=1).is_good:
                taken[name] = tried
                break
        else:
            refused.append(name)
    asking = asking._replace(fields=taken)
    return Spoken(asking, asking.ask() if taken else reply, refused)


def of_stream(reply: Reply) -> list[Row]:
    """Say how a streamed answer comes."""
    source = reply.answer.seen.token_source
    ends = [data.strip() for data in reply.events()]
    return [
        row("streams", _streams(reply)),
        row("tokens are counted by", TOKEN_SOURCES.get(source, source)),
        row("first chunk", "the role alone" if _is_role_alone(reply) else "has a token"),
        row("tokens in a chunk", _per_chunk(reply)),
        row("usage", YES if reply.answer.reported_tokens is not None else NO),
        row("[DONE] ends the stream", YES if ends[-1:] == [b"[DONE]"] else NO),
    ]


def settled(first: Spoken) -> Asking:
    """Return how to ask for what was seen to do something. Fields that only count tokens are left
    out where something better does.
    """
    fields, seen = dict(first.asking.fields), first.reply.answer
    source = seen.seen.token_source
    fields.pop("seed", None)
    has_timings = source == "usage" and _has_running_timings(first.reply)
    if source != "ids":
        fields.pop("return_token_ids", None)
    if not has_timings:
        fields.pop("timings_per_token", None)
    if source != "usage" or has_timings:
        fields |= {"stream_options": _USAGE} if "stream_options" in fields else {}
    if seen.reported_tokens is None:
        fields.pop("stream_options", None)
    return first.asking._replace(fields=fields)


def _has_running_timings(reply: Reply) -> bool:
    """Does a chunk before the last count its tokens as llama.cpp does?"""
    timings = [found.get("timings") for found in reply.chunks() if found.get("choices")]
    return len(timings) > 1 and any(isinstance(each, dict) for each in timings[:-1])


def _streams(reply: Reply) -> str:
    reads = len({at_ns for at_ns, _ in reply.exchange.pieces})
    if reply.answer.seen.chunks > 1 and reads == 1:
        return "yes, but all came in one read"
    return YES


def _is_role_alone(reply: Reply) -> bool:
    first = next(reply.choices(), {})
    delta = first.get("delta")
    texts = delta if isinstance(delta, dict) else first
    names = ("content", "text", "reasoning", "reasoning_content", "tool_calls")
    return not any(texts.get(name) for name in names) and not first.get("token_ids")


def _per_chunk(reply: Reply) -> str:
    chunks = reply.answer.seen.chunks
    counts = len(reply.answer.stamps_ns) if reply.answer.seen.token_source != "text" else 0
    tokens = max(counts, reply.answer.reported_tokens or 0)
    return f"{tokens / chunks:.1f} ({tokens} in {chunks})" if chunks and tokens else UNKNOWN


def of_lengths(asking: Asking) -> list[Row]:
    """Say whether an answer can be made as long as it must be."""
    free = asking.ask(tokens=_ENOUGH, prompt=_SHORT)
    ends_alone = free.is_good and not _is_long(free)
    return [
        row(name, _forced(asking, {name: value}, ends_alone))
        for name, value in (("ignore_eos", True), ("min_tokens", _ENOUGH))
    ]


def _forced(asking: Asking, field: Mapping[str, Any], ends_alone: bool) -> str:
    reply = asking.ask(tokens=_ENOUGH, prompt=_SHORT, more=field)
    if not reply.is_good:
        return _not_good(reply)
    if not ends_alone:
        return f"taken; {UNKNOWN}: no answer ended before {_ENOUGH} tokens"
    return YES if _is_long(reply) else "taken, without effect"


def _is_long(reply: Reply) -> bool:
    tokens = max(len(reply.answer.stamps_ns), reply.answer.reported_tokens or 0)
    return reply.answer.finish == "length" or tokens >= _ENOUGH


def of_stop(asking: Asking, free: Reply) -> Row:
    """Say whether an answer ends at a given text: one that stands in the middle of a free one."""
    text = free.answer.text
    words = [word for word in text.split()[1:] if text.find(word) > 0]
    if not words:
        return row(STOP, f"{UNKNOWN}: the answer has no two words")
    stop = words[0]
    reply = asking.ask(more={"stop": [stop]})
    if not reply.is_good:
        return row(STOP, _not_good(reply))
    if stop not in reply.answer.text and len(reply.answer.text) < len(text):
        return row(STOP, YES)
    return row(STOP, "taken, without effect")


def of_ids(asking: Asking) -> tuple[bool, Row]:
    """Say whether a prompt may be token ids, and whether the server reads them as such."""
    what = "prompt as token ids"
    reply = asking.ask(tokens=2, prompt=list(_IDS))
    if not reply.is_good:
        return False, row(what, "refused" if reply.is_refused else f"no: {reply.words}")
    told = reply.answer.seen.prompt_tokens
    if told == NEVER:
        return True, row(what, "yes, though it does not say how many it read")
    extra = told - len(_IDS)
    if extra not in (0, 1):
        return False, row(what, f"no: {len(_IDS)} ids were read as {told} tokens")
    return True, row(what, YES if not extra else "yes, with a start token of its own in front")


def of_logprobs(asking: Asking) -> Row:
    """Say whether log-probabilities come. They cost the server time: no timed part asks for
    them.
    """
    asked = {"logprobs": True, "top_logprobs": 1} if asking.endpoint == "chat" else {"logprobs": 1}
    reply = asking.ask(tokens=2, more=asked)
    has_any = any(choice.get("logprobs") for choice in reply.choices())
    found = YES if has_any else NO
    return row("log-probabilities", found if reply.is_good else _not_good(reply))


def of_echo(asking: Asking) -> Row:
    """Say whether the log-probabilities of a prompt can be had, as perplexity needs them."""
    what = "log-probabilities of the prompt (echo)"
    asked = {"echo": True, "logprobs": 1, "stream": False, "stream_options": None}
    reply = asking.ask(tokens=1, prompt="one two three", more=asked)
    if not reply.is_good:
        return row(what, _not_good(reply))
    choice = next(reply.choices(), {})
    logprobs = choice.get("logprobs")
    tokens = logprobs.get("tokens") if isinstance(logprobs, dict) else None
    return row(what, YES if isinstance(tokens, list) and len(tokens) > 1 else NO)


def of_cache(asking: Asking) -> Row:
    """Say whether the server keeps what it computed of a prompt."""
    what = "keeps prompts (prefix cache)"
    for _ in range(2):
        reply = asking.ask(tokens=1, prompt=_LONG)
    if not reply.is_good:
        return row(what, f"{UNKNOWN}: {reply.words}")
    seen = reply.answer.seen
    if seen.cached_tokens == NEVER:
        return row(what, f"{UNKNOWN}: it does not tell cached tokens")
    if not seen.cached_tokens:
        return row(what, "not seen")
    of_all = f" of {seen.prompt_tokens}" if seen.prompt_tokens != NEVER else ""
    return row(what, f"yes: {seen.cached_tokens}{of_all} tokens of a prompt that came twice")


def of_errors(asking: Asking) -> Row:
    """Say in which shape errors come, from a request that every server refuses."""
    name = "messages" if asking.endpoint == "chat" else "prompt"
    reply = asking.ask(tokens=1, more={name: {"no": "prompt"}})
    if reply.is_good:
        return row("shape of errors", "a request that makes no sense is answered")
    return row("shape of errors", shape_of_error(reply))


def of_refused(names: Sequence[str]) -> Row:
    return row(_REFUSED, ", ".join(names) or "none")


def refused_fields(rows: Sequence[Row]) -> list[str]:
    """Return the wished fields that the server refuses, of the rows of its table."""
    told = {each["what"]: each["found"] for each in rows}.get(_REFUSED, "none")
    return [] if told == "none" else told.split(", ")


def _not_good(reply: Reply) -> str:
    return "refused" if reply.is_refused else f"no: {reply.words}"
