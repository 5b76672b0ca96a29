"""What is written to the connection, and when? Events become bytes of HTTP with a moment each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sut.golden.answers.events import Answer, Event
from sut.golden.answers.faults import Ending, Fault
from sut.golden.answers.manners import Manner
from sut.golden.answers.settings import Settings

_END = b"0\r\n\r\n"
_SLOW_NS = 300_000_000
_PIECE = 7  # bytes of a write that is split
_PIECE_NS = 200_000  # between two of them
REASONS = {
    200: "OK", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large",
    429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
    503: "Service Unavailable",
}  # fmt: skip


class Write(NamedTuple):
    offset_ns: int  # from the moment the request was read
    data: bytes
    tokens: int


class Script(NamedTuple):
    """One response: what is written when, and what becomes of the connection then."""

    writes: Sequence[Write]
    ending: Ending = "keep"


def response(
    status: int,
    body: bytes,
    media: str = "application/json",
    headers: Iterable[str] = (),
    server: str = "uvicorn",
) -> bytes:
    """Return a whole response."""
    return _head(status, media, server, (f"content-length: {len(body)}", *headers)) + body


def _head(status: int, media: str, server: str, headers: Iterable[str]) -> bytes:
    named = (f"server: {server}",) if server else ()
    lines = (f"HTTP/1.1 {status} {REASONS[status]}", *named, f"content-type: {media}", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def of_fault(fault: Fault, settings: Settings, manner: Manner) -> Script:
    """Return the response of a fault that leaves no room for an answer."""
    if fault.turn in ("mute", "raw"):
        return Script([Write(0, fault.raw, 0)] if fault.raw else [], fault.ending)
    headers = list(fault.headers)
    if fault.turn == "retry":
        headers.append(f"retry-after: {settings.retry_after_s:g}")
    body = response(fault.status, fault.body.encode(), fault.media, headers, manner.server)
    return Script([Write(0, body, 0)], fault.ending)


def of_whole(answer: Answer, fault: Fault, settings: Settings, manner: Manner) -> Script:
    """Return the response without a stream, sent when the last token is due."""
    said = answer.whole()
    if fault.stops and fault.last:
        said = fault.last.partition("data: ")[2].strip().encode()
    body = response(200, said, headers=fault.headers, server=manner.server)
    when_ns = _due_ns(max(len(answer.ids), 1), settings)
    if fault.stops and not fault.whole:
        return Script([Write(when_ns, body[: len(body) // 2], 0)], fault.ending)
    return Script(_split(Write(when_ns, body, len(answer.ids)), fault), fault.ending)


def of_stream(answer: Answer, fault: Fault, settings: Settings, manner: Manner) -> Script:
    """Return the response as a stream: a write for each chunk that brings tokens. What comes
    without tokens goes along with the next one, and what follows the last one with that.
    """
    is_framed = fault.turn != "no_length"
    framing = ("transfer-encoding: chunked",) if is_framed else ("connection: close",)
    head = _head(200, "text/event-stream; charset=utf-8", manner.server, (*framing, *fault.headers))
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n" if fault.turn == "early_hints" else b""
    writes, waiting, sent = [], hints + head, 0
    for event in answer.stream():
        waiting += _framed(_event(event, fault), is_framed)
        sent += event.tokens
        if event.tokens:
            writes.append(Write(_when_ns(sent, event, fault, settings), waiting, event.tokens))
            waiting = b""
    rest = waiting + _rest(fault, is_framed)
    writes = _with_rest(writes, rest, settings, sent, fault)
    ending = "close" if fault.turn == "no_length" else fault.ending
    if settings.one_write and writes:
        tokens = sum(write.tokens for write in writes)
        writes = [Write(writes[-1].offset_ns, b"".join(w.data for w in writes), tokens)]
    return Script([part for write in writes for part in _split(write, fault)], ending)


def _when_ns(sent: int, event: Event, fault: Fault, settings: Settings) -> int:
    """Return when a chunk is due: with the last of its tokens."""
    if fault.turn == "slow":
        return (sent - event.tokens + 1) * _SLOW_NS
    return _due_ns(sent, settings)


def _due_ns(tokens: int, settings: Settings) -> int:
    return int((settings.ttft_ms + (tokens - 1) * settings.per_token_ms) * 1e6)


def _with_rest(
    writes: list[Write], rest: bytes, settings: Settings, sent: int, fault: Fault
) -> list[Write]:
    """Add what follows the last token: to its write, or, where a fault strikes, one token later."""
    if not rest:
        return writes
    if writes and not fault.stops:
        return [*writes[:-1], writes[-1]._replace(data=writes[-1].data + rest)]
    return [*writes, Write(_due_ns(sent + 1, settings), rest, 0)]


def _rest(fault: Fault, is_framed: bool) -> bytes:
    """Return what follows the events."""
    done = _framed(_event(Event(0, b"[DONE]"), fault), is_framed) if fault.done else b""
    if not fault.whole:
        return fault.raw
    last = _framed(fault.last.encode(), is_framed) if fault.last else b""
    if fault.turn == "bare":
        done = b""
    if fault.turn == "trailers":
        return last + done + b"0\r\nx-trailer: yes\r\n\r\n"
    return last + done + (_END if is_framed else b"")


def _event(event: Event, fault: Fault) -> bytes:
    """Return an event as server-sent events have it."""
    match fault.turn:
        case "crlf":
            return b"data: " + event.data + b"\r\n\r\n"
        case "cr":
            return b"data: " + event.data + b"\r\r"
        case "comments":
            return b": keep-alive\n\n: \ndata: " + event.data + b"\n\n"
        case "no_space":
            return b"data:" + event.data + b"\n\n"
        case _:
            return b"data: " + event.data + b"\n\n"


def _framed(data: bytes, is_framed: bool) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data) if is_framed else data


def _split(write: Write, fault: Fault) -> list[Write]:
    """Return a write, in pieces where that is asked for. Its tokens came once all of it did."""
    if fault.turn != "split":
        return [write]
    parts = [write.data[at : at + _PIECE] for at in range(0, len(write.data), _PIECE)]
    pieces = [Write(write.offset_ns + n * _PIECE_NS, part, 0) for n, part in enumerate(parts)]
    return [*pieces[:-1], pieces[-1]._replace(tokens=write.tokens)]
