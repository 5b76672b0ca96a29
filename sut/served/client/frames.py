"""What do the pool and a worker say to each other? Length-prefixed msgpack arrays on one stream
socket; the first item says what it is.

    to a worker      SERVER host, port, TLS, limits        WARM connections
                     REQUESTS [(index, before, after)]     PLAN places, rules
                     BEGIN start_ns                        WITHDRAW until_ns
                     GIVE_UP                               SEND [(sample id, index)]
                     FACTS                                 SALT words, length, gap, first
                     PING
    from a worker    READY words ("" = fine)               TOLD rows, exchanges
                     PART sample id, issued, moment, bytes ENDED words
                     FACTS figures                         PONG moment

A row is (place in the plan, due, issued). An exchange is what `Raw` says: the bytes as they came,
heads and framing included, which are read by whoever is not pressed for time
(`sut.served.client.http`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from harness.kernel.answers import Ending

SERVER, WARM, REQUESTS, PLAN, BEGIN, WITHDRAW, GIVE_UP, SEND, FACTS, SALT, PING = range(11)
READY, TOLD, PART, ENDED, PONG = range(20, 25)

_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Raw(NamedTuple):
    """One request and the bytes that came back, as a worker keeps them."""

    sample_id: int
    issued_ns: int
    ending: Ending
    end_ns: int
    detail: str
    retries: int
    pieces: Sequence[tuple[int, bytes]]


def frame(*items: Any) -> bytes:
    body = _encode(items)
    return _LENGTH.pack(len(body)) + body


class Reader:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[list[Any]]:
        """Yield every message that is complete now."""
        buffer = self._buffer
        buffer += data
        at, end = 0, len(buffer)
        while at + 4 <= end:
            following = at + 4 + _LENGTH.unpack_from(buffer, at)[0]
            if following > end:
                break
            body = bytes(memoryview(buffer)[at + 4 : following])
            at = following
            yield _decode(body)
        del buffer[:at]
