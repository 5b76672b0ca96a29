"""Which events are in a stream, and when did each arrive? Server-sent events, as WHATWG has them.

    : a comment             left out
    data: {"choices": …}    one line of data; several are joined by line feeds
    event: error            the event's name, where it has one
                            an empty line ends the event

Lines end with CR LF, LF or CR. An event has arrived with the read that brought its last line end.
Where the bytes are split into reads changes stamps alone.

Nearly every event is one line `data: …` and an empty one, both ended by LF: these are found by
`bytes.split`. The first read that is otherwise makes the rest of the stream be read line by line.
Each byte is looked at a fixed number of times, however it is split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

Event = tuple[int, bytes, bytes, bool]  # moment, data, name, has the line that ends it come?
_BOM = b"\xef\xbb\xbf"


def events(pieces: Sequence[tuple[int, bytes]]) -> Iterator[Event]:
    """Yield the events of a body. What stands at the end without its empty line comes last."""
    tail: list[bytes] = []  # what has no line end yet
    left = iter(_without_bom(pieces))
    for at_ns, piece in left:
        if b"\r" in piece:
            yield from _by_line(at_ns, b"".join((*tail, piece)), left)
            return
        if b"\n" not in piece:
            tail.append(piece)
            continue
        *blocks, rest = b"".join((*tail, piece)).split(b"\n\n")
        for block in blocks:
            if block.startswith(b"data: ") and b"\n" not in block:
                yield at_ns, block[6:], b"", True
            else:
                yield from _of_fields(at_ns, block.split(b"\n"))
        if b"\n" in rest:
            yield from _by_line(at_ns, rest, left)
            return
        tail = [rest]
    yield from _of_fields(_last_ns(pieces), tail and [b"".join(tail)], False)


def _by_line(at_ns: int, data: bytes, left: Iterable[tuple[int, bytes]]) -> Iterator[Event]:
    """Yield the events of `data` and of all that is left."""
    tail: list[bytes] = []
    fields: list[bytes] = []
    after_cr = False
    for now_ns, piece in _chained(at_ns, data, left):
        at_ns = now_ns
        if after_cr and piece[:1] == b"\n":
            piece = piece[1:]
        after_cr = piece.endswith(b"\r") or (after_cr and not piece)
        if b"\n" not in piece and b"\r" not in piece:
            tail.append(piece)
            continue
        *lines, rest = re.split(rb"\r\n|\r|\n", b"".join((*tail, piece)))
        tail = [rest]
        for line in lines:
            if line:
                fields.append(line)
            elif fields:
                yield from _of_fields(at_ns, fields)
                fields = []
    yield from _of_fields(at_ns, [*fields, b"".join(tail)], False)


def _chained(
    at_ns: int, data: bytes, left: Iterable[tuple[int, bytes]]
) -> Iterator[tuple[int, bytes]]:
    yield at_ns, data
    yield from left


def _of_fields(at_ns: int, lines: Iterable[bytes], has_ended: bool = True) -> Iterator[Event]:
    """Yield the event of these lines; nothing if there is no data in them."""
    data, name = [], b""
    for line in lines:
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    if data:
        yield at_ns, b"\n".join(data), name, has_ended


def _without_bom(pieces: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield the pieces without a byte order mark, which may be split over several."""
    head = b""
    left = iter(pieces)
    for at_ns, piece in left:
        head += piece
        if len(head) >= len(_BOM) or not _BOM.startswith(head):
            yield at_ns, head.removeprefix(_BOM)
            break
    else:
        if head:
            yield _last_ns(pieces), head
    yield from left


def _last_ns(pieces: Sequence[tuple[int, bytes]]) -> int:
    return pieces[-1][0] if pieces else 0
