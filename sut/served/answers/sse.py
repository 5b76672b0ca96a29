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
from itertools import chain

import msgspec

Event = tuple[int, bytes, bytes, bool]  # moment, data, name, has the line that ends it come?
_BOM = b"\xef\xbb\xbf"


def events(pieces: Sequence[tuple[int, bytes]]) -> Iterator[Event]:
    """Yield the events of a body. What stands at the end without its empty line comes last."""
    tail: list[bytes] = []  # what has no line end yet
    left = _without_bom(pieces)
    for at_ns, piece in left:
        if (
            piece.find(b"\n") == len(piece) - 2
            and piece.startswith(b"data: ")
            and piece.endswith(b"\n\n")
            and b"\r" not in piece
            and not tail
        ):  # just one event
            yield at_ns, piece[6:-2], b"", True
            continue
        if b"\n" not in piece and b"\r" not in piece:
            tail.append(piece)
            continue
        if tail:
            piece = b"".join((*tail, piece))
        if b"\r" in piece:
            yield from _by_line(at_ns, piece, left)
            return
        *blocks, rest = piece.split(b"\n\n")
        for block in blocks:
            if block.startswith(b"data: ") and b"\n" not in block:
                yield at_ns, block[6:], b"", True
            else:
                yield from _of_lines(at_ns, [(at_ns, line) for line in block.split(b"\n")])
        if b"\n" in rest:
            yield from _by_line(at_ns, rest, left)
            return
        tail = [rest] if rest else []
    at_ns = pieces[-1][0] if pieces else 0
    yield from _of_lines(at_ns, [(at_ns, b"".join(tail))], False)


def _by_line(at_ns: int, data: bytes, left: Iterable[tuple[int, bytes]]) -> Iterator[Event]:
    """Yield the events of `data` and of all that is left."""
    tail: list[bytes] = []
    event: list[tuple[int, bytes]] = []  # its lines so far
    after_cr = False
    for now_ns, piece in chain([(at_ns, data)], left):
        at_ns = now_ns
        rest = piece[1:] if after_cr and piece.startswith(b"\n") else piece
        after_cr = piece.endswith(b"\r") or (after_cr and not piece)
        if b"\n" not in rest and b"\r" not in rest:
            tail.append(rest)
            continue
        *lines, rest = re.split(rb"\r\n|\r|\n", b"".join((*tail, rest)))
        tail = [rest]
        for line in lines:
            if line:
                event.append((at_ns, line))
            elif event:
                yield from _of_lines(at_ns, event)
                event = []
    yield from _of_lines(at_ns, [*event, (at_ns, b"".join(tail))], False)


def _of_lines(
    at_ns: int, lines: Iterable[tuple[int, bytes]], has_ended: bool = True
) -> Iterator[Event]:
    """Yield the event of these lines; nothing if there is no data in them. A line of data that is
    whole by itself before another one is an event by itself: some servers send no empty lines.
    """
    data: list[bytes] = []
    name, last_ns = b"", at_ns
    for line_ns, line in lines:
        field, _, value = line.partition(b":")
        if field == b"data":
            if data and _is_whole(data[-1]):
                yield last_ns, b"\n".join(data), name, True
                data = []
            data.append(value.removeprefix(b" "))
            last_ns = line_ns
        elif field == b"event":
            name = value.removeprefix(b" ")
    if data:
        yield at_ns if has_ended else last_ns, b"\n".join(data), name, has_ended


def _is_whole(data: bytes) -> bool:
    if data == b"[DONE]":
        return True
    try:
        return isinstance(msgspec.json.decode(data), dict)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False


def _without_bom(pieces: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Return the pieces without a byte order mark, which may be split over several."""
    head = b""
    for i, (at_ns, piece) in enumerate(pieces):
        head += piece
        if len(head) >= len(_BOM) or not _BOM.startswith(head):
            return iter(((at_ns, head.removeprefix(_BOM)), *pieces[i + 1 :]))
    return iter([(pieces[-1][0], head)] if head else [])
