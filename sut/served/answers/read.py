"""What did the server answer, and when did which token come? An Answer of an Exchange.

It is good if a finish_reason came that an answer ends with, whatever happened to the connection
later, and if the server counts the tokens that it sent. `[DONE]` proves nothing: vLLM sends it
after errors, others leave it out. All else is a failure of one class (harness.kernel.answers), with
the server's own words. See docs/failures.md.

    first_ns           the first token of any kind: an id, text, reasoning, a tool call; where none
                       is seen, the end
    first_content_ns   the first of the visible answer
    done_ns            the read that brought the finish_reason; of a failure, the exchange's end

Nothing is read here but the bytes given: the same exchange gives the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.kernel.answers import Answer, Exchange, Seen
from harness.kernel.types import NEVER, Finish
from sut.served.answers import classes, tokens
from sut.served.answers.chunks import Choice, Chunk, Delta, Logprobs, NotJson, Usage, chunk
from sut.served.answers.sse import events
from sut.served.answers.tokens import Counted, Part

_DONE = b"[DONE]"
_ENDS: dict[str, Finish] = {
    "stop": "stop", "stop_sequence": "stop", "tool_calls": "stop", "function_call": "stop",
    "length": "length", "max_tokens": "length",
    "eos": "eos", "eos_token": "eos", "end_turn": "eos",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """What is known besides. `ends` is our own tokenizer, for servers that count nothing."""

    ends: tokens.Ends | None = None
    eos_ids: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Heard:
    """All that a body says."""

    parts: list[Part] = field(default_factory=list)
    finish: str = ""
    finish_ns: int = NEVER
    stopped_by: Any = None
    usage: Usage | None = None
    prompt_ids: int = NEVER
    cached: int = NEVER
    queue_ns: int = NEVER
    failure: str = ""
    detail: str = ""

    def fail(self, failure: str, detail: str) -> None:
        """Note a failure; the first one counts."""
        if not self.failure:
            self.failure, self.detail = failure, detail


def answer(exchange: Exchange, options: Options) -> Answer:
    """Return what became of a sample. Never raises, whatever the bytes."""
    failure, detail = classes.of_head(exchange)
    if failure or exchange.ending == "withdrawn":
        return _failed(exchange, _Heard(failure=failure, detail=detail), None)
    heard = _streamed(exchange) if _is_stream(exchange) else _whole(exchange)
    found = tokens.counted(heard.parts, _total(heard), options.ends)
    _judge(heard, found, exchange, options.eos_ids)
    if heard.failure:
        return _failed(exchange, heard, found)
    return _good(exchange, heard, found, options)


def _is_stream(exchange: Exchange) -> bool:
    """Tell by the first bytes; by the declared type where they could be anything."""
    start = _head(exchange, 64).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"data:", b"event:", b"id:", b"retry:", b":")):
        return True
    is_other = start.startswith((b"{", b"[", b"<"))
    return not is_other and "event-stream" in exchange.headers.get("content-type", "")


def _head(exchange: Exchange, size_bytes: int) -> bytes:
    """Return the first bytes of the body."""
    head = b""
    for _, data in exchange.pieces:
        head += data[:size_bytes]
        if len(head) >= size_bytes:
            break
    return head[:size_bytes]


def _streamed(exchange: Exchange) -> _Heard:
    """Read the events of a stream."""
    heard = _Heard()
    for at_ns, data, name, has_ended in events(exchange.pieces):
        if not data.startswith(b"{") and (data.startswith(_DONE) or not data.strip()):
            continue
        try:
            found = chunk(data)
        except NotJson as error:
            if name == b"error":
                heard.fail("error_event", classes.words(data))
            elif has_ended:
                heard.fail("not_json", f"{error}: {classes.words(data)}")
            continue
        if name == b"error":
            heard.fail("error_event", classes.words(data))
        _hear(heard, at_ns, found)
    return heard


def _whole(exchange: Exchange) -> _Heard:
    """Read an answer that is one JSON object."""
    heard = _Heard()
    body = b"".join(data for _, data in exchange.pieces)
    if not body.strip():
        return heard
    try:
        _hear(heard, exchange.pieces[-1][0], chunk(body))
    except NotJson as error:
        if exchange.ending == "whole":
            heard.fail("not_json", f"{error}: {classes.words(body)}")
    return heard


def _hear(heard: _Heard, at_ns: int, found: Chunk) -> None:
    """Take in one chunk."""
    if found.error or found.choices is None:
        told = classes.of_chunk(found)
        if told:
            heard.fail("error_event", told)
            return
    so_far = NEVER
    if found.usage is not None:
        heard.usage = found.usage
        if found.usage.completion_tokens is not None:
            so_far = found.usage.completion_tokens
    if found.prompt_token_ids is not None:
        heard.prompt_ids = len(found.prompt_token_ids)
    if found.timings is not None or found.metrics is not None:
        so_far = max(so_far, _hear_extras(heard, found))
    for choice in found.choices or ():
        if not choice.index:
            _hear_choice(heard, at_ns, choice, so_far)
            return
    if so_far != NEVER:
        heard.parts.append(Part(at_ns, so_far=so_far))


def _hear_choice(heard: _Heard, at_ns: int, choice: Choice, so_far: int) -> None:
    delta = choice.delta or choice.message
    if delta is None:
        text, hidden = choice.text or "", ""
    else:
        text, hidden = _texts(delta, choice.text or "")
    entries = None if choice.logprobs is None else _entries(choice.logprobs)
    if choice.prompt_token_ids is not None:
        heard.prompt_ids = len(choice.prompt_token_ids)
    if choice.finish_reason:
        heard.finish, heard.finish_ns = choice.finish_reason, at_ns
        heard.stopped_by = choice.matched_stop if choice.stop_reason is None else choice.stop_reason
    heard.parts.append(Part(at_ns, text, hidden, choice.token_ids, entries, so_far))


def _entries(logprobs: Logprobs) -> list[str | None] | None:
    if logprobs.content is None:
        return logprobs.tokens
    return [entry.token for entry in logprobs.content]


def _texts(delta: Delta, text: str) -> tuple[str, str]:
    """Return what is visible of a message or a piece of one, and what is not."""
    content = delta.content
    if type(content) is str:
        text = content
    elif content:
        text = "".join(_text_of(part) for part in content)
    if delta.refusal:
        text += delta.refusal
    if delta.tool_calls or delta.function_call:
        text += _text_of_calls(delta)
    hidden = delta.reasoning_content or delta.reasoning
    return text, hidden if type(hidden) is str else ""


def _text_of(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else ""


def _text_of_calls(delta: Delta) -> str:
    """Return the names and arguments that functions are called with."""
    calls = delta.tool_calls if isinstance(delta.tool_calls, list) else []
    functions = [call.get("function") for call in calls if isinstance(call, dict)]
    told = [
        function.get(key)
        for function in (*functions, delta.function_call)
        if isinstance(function, dict)
        for key in ("name", "arguments")
    ]
    return "".join(text for text in told if isinstance(text, str))


def _hear_extras(heard: _Heard, found: Chunk) -> int:
    """Take in what servers tell beyond the API: llama.cpp's `timings`, vLLM's `metrics`. Return the
    running count of tokens (`timings_per_token`), NEVER if there is none.
    """
    cached = _number(found.timings, "cache_n")
    if cached is not None:
        heard.cached = int(cached)
    queue_ms = _number(found.metrics, "queue_time_ms")
    if queue_ms is not None:
        heard.queue_ns = round(queue_ms * 1e6)
    so_far = _number(found.timings, "predicted_n")
    return NEVER if so_far is None else int(so_far)


def _number(table: Any, key: str) -> float | None:
    value = table.get(key) if isinstance(table, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if 0 <= value < 1 << 31 else None


def _total(heard: _Heard) -> int:
    if heard.usage is None or heard.usage.completion_tokens is None:
        return NEVER
    return heard.usage.completion_tokens


def _judge(heard: _Heard, found: Counted, exchange: Exchange, eos_ids: frozenset[int]) -> None:
    """Note why the answer is no good, if it is not."""
    if heard.failure:
        return
    if not heard.finish:
        _judge_end(heard, exchange)
    elif heard.finish not in _ENDS:
        heard.fail("aborted", f"finish_reason {classes.shortened(heard.finish, 80)!r}")
    elif found.source == "ids" and found.ids is not None and found.total is not None:
        missing = found.total - len(found.ids)
        if missing and not (missing == 1 and _lacks_end(heard, found.ids, eos_ids)):
            heard.fail("count_differs", f"{len(found.ids)} ids came; usage says {found.total}")


def _lacks_end(heard: _Heard, ids: Sequence[int], eos_ids: frozenset[int]) -> bool:
    """Tell whether the end token may be missing among the ids. It is not if it is known to be
    there, or the last id has no text, or nothing but the length ended the answer.
    """
    last = next(part for part in reversed(heard.parts) if part.ids)
    return heard.finish != "length" and ids[-1] not in eos_ids and bool(last.text or last.hidden)


def _judge_end(heard: _Heard, exchange: Exchange) -> None:
    """Say how an answer without a finish_reason ended."""
    broken = classes.of_ending(exchange.ending)
    came = sum(bool(part.text or part.hidden or part.ids) for part in heard.parts)
    after = f"after {came} pieces of text"
    if broken:
        heard.fail(broken, f"{exchange.detail or exchange.ending} {after}")
    elif came:
        heard.fail("unfinished", after)
    else:
        heard.fail("empty", classes.words(_head(exchange, 1000)))


def _failed(exchange: Exchange, heard: _Heard, found: Counted | None) -> Answer:
    """Return what came before the failure, for the record; none of it counts."""
    return Answer(
        sample_id=exchange.sample_id,
        issued_ns=exchange.issued_ns,
        done_ns=exchange.end_ns,
        first_ns=_first(heard, found),
        finish="error",
        token_ids=found.ids if found else None,
        stamps_ns=found.stamps_ns if found else (),
        text="".join(part.text for part in heard.parts),
        failure=heard.failure,
        detail=heard.detail,
        seen=_seen(exchange, heard, found),
    )


def _good(exchange: Exchange, heard: _Heard, found: Counted, options: Options) -> Answer:
    first_ns = _first(heard, found)
    last_ns = found.stamps_ns[-1] if found.stamps_ns else NEVER
    is_end_left_out = found.ids is not None and found.total != len(found.ids)
    return Answer(
        sample_id=exchange.sample_id,
        issued_ns=exchange.issued_ns,
        done_ns=max(heard.finish_ns, first_ns, last_ns),
        first_ns=heard.finish_ns if first_ns == NEVER else first_ns,
        finish=_finish(heard, found, options),
        token_ids=found.ids,
        stamps_ns=found.stamps_ns,
        text="".join(part.text for part in heard.parts),
        reported_tokens=None if is_end_left_out else found.total,
        seen=_seen(exchange, heard, found),
    )


def _finish(heard: _Heard, found: Counted, options: Options) -> Finish:
    """Tell an end token from a stop string where the server says which, or ids show it."""
    finish = _ENDS[heard.finish]
    if heard.finish != "stop":
        return finish
    by_id = isinstance(heard.stopped_by, int) or bool(
        found.ids and found.ids[-1] in options.eos_ids
    )
    return "eos" if by_id else finish


def _first(heard: _Heard, found: Counted | None) -> int:
    """Return when the first token came, visible or not. A count alone is a sign of one only where
    counts come with their tokens.
    """
    counts = found is not None and found.source == "usage"
    for part in heard.parts:
        if part.text or part.ids or part.hidden or part.entries or (counts and part.so_far > 0):
            return part.at_ns
    return NEVER


def _seen(exchange: Exchange, heard: _Heard, found: Counted | None) -> Seen:
    usage = heard.usage or Usage()
    details = usage.prompt_tokens_details
    cached = details.cached_tokens if details else usage.prompt_cache_hit_tokens
    return Seen(
        first_content_ns=next((part.at_ns for part in heard.parts if part.text), NEVER),
        chunks=sum(1 for part in heard.parts if part.text or part.ids or part.hidden),
        prompt_tokens=heard.prompt_ids if usage.prompt_tokens is None else usage.prompt_tokens,
        cached_tokens=heard.cached if cached is None else cached,
        queue_ns=heard.queue_ns,
        retry_after_ns=classes.retry_after_ns(exchange),
        token_source=found.source if found else "",
    )
