"""One connection: bytes that come in become requests, what is written goes out at once or as soon
as the other side has room.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d+)")
_RECEIVE_BYTES = 1 << 18
_LINGER_NONE = struct.pack("ii", 1, 0)  # close() sends RST
_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Request(NamedTuple):
    method: str
    path: str
    head: bytes
    body: bytes

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        parts = (line.partition(":") for line in lines)
        return {name.strip().lower(): value.strip() for name, _, value in parts}


class Connection:
    """`busy` while a response is under way: what comes meanwhile waits."""

    __slots__ = ("_in", "busy", "fd", "is_shaking", "left", "sock")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        sock.setblocking(False)
        with suppress(OSError):  # no TCP
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        if context is not None:
            self.sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self.is_shaking = context is not None
        self.fd = self.sock.fileno()
        self.busy = False
        self.left = b""  # that has not been sent yet
        self._in = b""

    def shake(self) -> bool:
        """Go on with TLS's handshake; tell whether it is done. Raises OSError."""
        try:
            self.sock.do_handshake()  # type: ignore[attr-defined]
        except _WAIT:
            return False
        self.is_shaking = False
        return True

    def read(self) -> bool:
        """Read what came; False at the end. Raises OSError."""
        try:
            data = self.sock.recv(_RECEIVE_BYTES)
        except _WAIT:
            return True
        self._in = self._in + data if self._in else data
        return bool(data)

    def next(self) -> Request | None:
        """Take a whole request off what came; None if there is none yet. Raises ValueError."""
        data = self._in
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None
        found = _LENGTH.search(data, 0, end)
        whole = end + 4 + (int(found[1]) if found else 0)
        if len(data) < whole:
            return None
        method, path, _ = data[: data.index(b"\r\n")].split(b" ", 2)
        self._in = data[whole:]
        return Request(method.decode(), path.decode(), data[:end], data[end + 4 : whole])

    def write(self, data: bytes) -> bool:
        """Send; True if all of it went. Raises OSError."""
        if self.left:
            self.left += data
            return False
        try:
            sent = self.sock.send(data)
        except _WAIT:
            sent = 0
        if sent == len(data):
            return True
        self.left = data[sent:]
        return False

    def flush(self) -> bool:
        """Send what was left; True if nothing is left. Raises OSError."""
        data, self.left = self.left, b""
        return self.write(data) if data else True

    def reset(self) -> None:
        """Close with RST."""
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        self.sock.close()
