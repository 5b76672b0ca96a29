"""Where does an answer over HTTP end, and what is in it? Read by httptools (llhttp), never guessed.

A worker cannot afford to parse what comes while others wait: it looks for the last chunk of a
chunked body by its seven bytes, which no JSON and no event stream contains, and asks a `Framer`
wherever that is not enough. All else is read here afterwards, outside the timed path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httptools

from harness.kernel.answers import Ending, Exchange
from harness.kernel.types import NEVER
from sut.served.answers import classes
from sut.served.client.frames import Raw

LAST_CHUNK = b"\r\n0\r\n\r\n"


class Framer:
    """Reads one response, however it is cut. `body` are the pieces of the last `feed`."""

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.is_whole = False  # the framing says that no more comes
        self.keeps_alive = False
        self.is_malformed = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bytes of the body in `data`."""
        self.body = []
        if self.is_whole or self.is_malformed:
            return self.body
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # nobody asks for another
            self.is_malformed = not self.is_whole
        return self.body

    @property
    def ends_with_the_connection(self) -> bool:
        """Is the body over when the server closes, as nothing says its length?"""
        names = self.headers
        has_length = "content-length" in names or "chunked" in names.get("transfer-encoding", "")
        return self.status > 0 and not has_length

    # ---- called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        text = value.decode("latin-1").strip()
        self.headers[name.decode("latin-1").lower()] = text

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:  # "go on" and the like: the answer itself follows
            return
        self.keeps_alive = bool(self._parser.should_keep_alive())

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        if self.status < 200:
            self.headers = {}
            return
        self.is_whole = True


def exchange(raw: Raw) -> Exchange:
    """Return what a worker kept, without HTTP's own framing."""
    framer = Framer()
    pieces = []
    for moment_ns, data in raw.pieces:
        if body := framer.feed(data):
            pieces.append((moment_ns, b"".join(body)))
    ending, detail = _ending(raw, framer)
    return Exchange(
        sample_id=raw.sample_id,
        issued_ns=raw.issued_ns,
        status=framer.status,
        headers=framer.headers,
        pieces=pieces,
        ending=ending,
        end_ns=raw.end_ns,
        detail=detail,
    )


def _ending(raw: Raw, framer: Framer) -> tuple[Ending, str]:
    """Return how it ended by its framing, whatever the worker made of it."""
    if framer.is_malformed:
        return "malformed", raw.detail or "the bytes are no HTTP"
    if framer.is_whole:
        return "whole", ""
    if raw.ending == "closed" and framer.ends_with_the_connection:
        return "whole", ""
    if raw.ending == "whole":  # never seen: the worker's seven bytes stood inside a body
        return "malformed", "the body does not end where it seemed to"
    return raw.ending, raw.detail


def retry_after_ns(pieces: Sequence[tuple[int, bytes]], default_ns: int) -> int | None:
    """Return how long a server without room wants to be left alone; None: it has not said 429 or
    503.
    """
    found = exchange(Raw(-1, 0, "whole", 0, "", 0, pieces))
    if found.status not in (429, 503):
        return None
    asked_ns = classes.retry_after_ns(found)
    return default_ns if asked_ns == NEVER else asked_ns
