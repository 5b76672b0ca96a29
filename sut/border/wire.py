"""The bytes between driver and SUT process: length-prefixed frames on one stream socket.

    frame   length u32 | kind u8 | body
    ISSUE   epoch u32 | query id u32 | (sample id u32 | index u32) per sample
    EVENTS  epoch u32 | sent i64 | events, all those of one decode step:
            FIRST   sample u32, token i32
            TOKENS  sample u32, count u32, ids i32...
            DONE    sample u32, finish u8, reported i32 (-1 none), ids i32 (-1 none), text bytes
                    u32, ids i32..., text
            FAIL    sample u32, bytes u32, reason
            TEXT    sample u32
CALL and REPLY carry JSON: loading, decoding, scoring, memory; never in the timed window. No pickle
crosses the border. PING comes back at once: it measures the channel. An epoch counts loads; events
of an earlier load are dropped, so a sample of the warm-up cannot answer for one of the run.

`sent` is when the message was sent, on the machine's monotonic clock (ns): what came later than
that is the driver's delay. A SUT may forge it, but latencies are judged by the arrival alone: a
stamp that is too early makes the driver's error larger, which costs the run its verdict, and none
makes a figure better.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from typing import Any

from harness.kernel.protocols import Sink
from harness.kernel.types import FINISHES, Draw, Output, Query, QuerySample, Sample
from harness.kernel.types import AfterInFlight as _Gate

ISSUE, FLUSH, CALL, REPLY, EVENTS, PING = range(6)
_FIRST, _TOKENS, _DONE, _FAIL, _TEXT = range(5)

RECEIVE_BYTES = 1 << 16  # from 128 KiB on, malloc maps and unmaps pages for every read: 15 us

_HEADER = struct.Struct("<IB")
_ISSUE_ONE = struct.Struct("<IBIIII")
_START = struct.Struct("<Iq")
_SENT = struct.Struct("<q")
_SENT_AT = 4
_EVENT_FIRST = struct.Struct("<BIi")
_EVENT_TOKENS = struct.Struct("<BII")
_EVENT_DONE = struct.Struct("<BIBiiI")
_EVENT_FAIL = struct.Struct("<BII")
_EVENT_TEXT = struct.Struct("<BI")
_ANY_RELEASE = _Gate(1)  # on the far side a query has been released already
_FINISH_CODE = {name: code for code, name in enumerate(FINISHES)}


def frame(kind: int, body: bytes | bytearray = b"") -> bytes:
    return _HEADER.pack(len(body), kind) + body


def json_frame(kind: int, value: Any) -> bytes:
    return frame(kind, json.dumps(value).encode())


def told(sample: Sample) -> list[Any]:
    """Return what the far side is told of a sample; no more than it is asked."""
    asked = [sample.index, sample.prompt, sample.max_new_tokens]
    rest = [sample.history, sample.pieces, sample.must_fill, sample.is_plain, sample.stop]
    draw = None if sample.draw is None else astuple(sample.draw)
    return [*asked, *rest, draw] if any(rest) or draw else asked


def sample(told: Sequence[Any]) -> Sample:
    """Return it on the far side."""
    index, prompt, max_new_tokens, *rest = told
    history, pieces, must_fill, is_plain, stop, draw = rest or ((), (), False, False, (), None)
    return Sample(
        index,
        prompt,
        max_new_tokens=max_new_tokens,
        history=tuple((role, text) for role, text in history),
        pieces=tuple((text, tokens) for text, tokens in pieces),
        must_fill=must_fill,
        is_plain=is_plain,
        stop=tuple(stop),
        draw=None if draw is None else Draw(*draw),
    )


class FrameReader:
    """Bytes in, whole frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (kind, body) of every frame that is complete now."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            size, kind = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + size
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield kind, body


def encode_query(epoch: int, query: Query) -> bytes:
    if len(query.samples) == 1:
        sample = query.samples[0]
        return _ISSUE_ONE.pack(16, ISSUE, epoch, query.id, sample.id, sample.index)
    numbers = array("I", (epoch, query.id))
    for sample in query.samples:
        numbers.append(sample.id)
        numbers.append(sample.index)
    return frame(ISSUE, numbers.tobytes())


def decode_query(body: bytes) -> tuple[int, Query]:
    epoch, query_id, *rest = struct.unpack(f"<{len(body) // 4}I", body)
    samples = [QuerySample(i, index) for i, index in zip(rest[0::2], rest[1::2], strict=True)]
    return epoch, Query(query_id, samples, _ANY_RELEASE)


class EventBuffer:
    """A Sink that writes one step's events down; `take` hands them over as one frame, stamped by
    `now_ns`.
    """

    def __init__(self, epoch: int, now_ns: Callable[[], int]) -> None:
        self._empty = _START.pack(epoch, 0)
        self._body = bytearray(self._empty)
        self._now_ns = now_ns

    def first_token(self, sample_id: int, token: int) -> None:
        self._body += _EVENT_FIRST.pack(_FIRST, sample_id, token)

    def tokens(self, sample_id: int, ids: Sequence[int]) -> None:
        self._body += _EVENT_TOKENS.pack(_TOKENS, sample_id, len(ids)) + array("i", ids).tobytes()

    def text(self, sample_id: int) -> None:
        self._body += _EVENT_TEXT.pack(_TEXT, sample_id)

    def complete(self, output: Output) -> None:
        text, ids = output.text.encode(errors="replace"), output.token_ids
        reported = -1 if output.reported_tokens is None else output.reported_tokens
        count = -1 if ids is None else len(ids)
        code = _FINISH_CODE[output.finish]
        self._body += _EVENT_DONE.pack(_DONE, output.sample_id, code, reported, count, len(text))
        if ids:
            self._body += array("i", ids).tobytes()
        self._body += text

    def fail(self, sample_id: int, reason: str) -> None:
        data = reason.encode(errors="replace")
        self._body += _EVENT_FAIL.pack(_FAIL, sample_id, len(data)) + data

    @property
    def pending(self) -> bool:
        return len(self._body) > len(self._empty)

    def take(self) -> bytes:
        """Return the frame of all events since the last call; empty if there were none."""
        if not self.pending:
            return b""
        _SENT.pack_into(self._body, _SENT_AT, self._now_ns())
        data, self._body = frame(EVENTS, self._body), bytearray(self._empty)
        return data


def epoch_of(body: bytes) -> int:
    """Return the load that the events of an EVENTS frame belong to."""
    epoch: int = _START.unpack_from(body)[0]
    return epoch


def sent_ns(body: bytes) -> int:
    """Return when an EVENTS frame was sent, as its sender says."""
    sent: int = _SENT.unpack_from(body, _SENT_AT)[0]
    return sent


def replay(body: bytes, epoch: int, sink: Sink) -> None:
    """Tell `sink` the events of one EVENTS frame, unless they belong to another load."""
    if epoch_of(body) != epoch:
        return
    at, end = _START.size, len(body)
    while at < end:
        kind = body[at]
        if kind == _TOKENS:
            _, sample_id, count = _EVENT_TOKENS.unpack_from(body, at)
            at += _EVENT_TOKENS.size
            sink.tokens(sample_id, array("i", body[at : at + 4 * count]))
            at += 4 * count
        elif kind == _FIRST:
            _, sample_id, token = _EVENT_FIRST.unpack_from(body, at)
            at += _EVENT_FIRST.size
            sink.first_token(sample_id, token)
        elif kind == _DONE:
            _, sample_id, code, reported, count, size = _EVENT_DONE.unpack_from(body, at)
            at += _EVENT_DONE.size
            ids = array("i", body[at : at + 4 * count]) if count >= 0 else None
            at += 4 * max(count, 0)
            text = body[at : at + size].decode()
            at += size
            finish: Any = FINISHES[code]
            sink.complete(Output(sample_id, finish, ids, text, None if reported < 0 else reported))
        elif kind == _TEXT:
            _, sample_id = _EVENT_TEXT.unpack_from(body, at)
            at += _EVENT_TEXT.size
            sink.text(sample_id)
        else:
            _, sample_id, size = _EVENT_FAIL.unpack_from(body, at)
            at += _EVENT_FAIL.size
            sink.fail(sample_id, body[at : at + size].decode())
            at += size
