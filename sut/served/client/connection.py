"""How is one connection read? One stamp right after each read, before anybody looks at what came;
the bytes are kept as they are.

`Connection` calls its owner: `opened`, `finished` (the answer is whole), `lost` (the connection is
gone, or what comes is no HTTP). It is in `IDLE`, `BUSY` or on its way to that.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import struct
from array import array
from contextlib import suppress
from typing import Any, Protocol

from harness.kernel.answers import Ending
from harness.kernel.clock import RealClock, wall_ns
from sut.served.client.http import LAST_CHUNK, Framer

READ_BYTES = 1 << 16  # from 128 KiB on, malloc maps and unmaps pages for every read
SAMPLED = 8  # of so many reads one
_SO_TIMESTAMPNS = 35  # of Linux; Python's socket has no name for it
_STAMP = struct.Struct("qq")
CONNECTING, SHAKING, IDLE, BUSY, CLOSED = range(5)
READ, WRITE = select.EPOLLIN, select.EPOLLIN | select.EPOLLOUT
_UNSEEN, _BY_END, _BY_FRAMER = range(3)  # how the end of an answer is found
_SOON = (BlockingIOError, InterruptedError)
now_ns = RealClock.now_ns


class Owner(Protocol):
    delays_ns: array[int]  # of the reads that were sampled: from the kernel to the stamp

    def opened(self, connection: Connection) -> None: ...

    def finished(self, connection: Connection, moment_ns: int) -> None: ...

    def lost(self, connection: Connection, ending: Ending, detail: str) -> None: ...

    def part(self, connection: Connection, moment_ns: int, data: bytes) -> None: ...


class Connection:
    """Begin to connect. `sample` is what is sent once it is open, and what it waits for then."""

    __slots__ = (
        "_code", "_epoll", "_found", "_framer", "_owner", "_reads", "_rest", "_socket", "_tls",
        "_tls_in", "_tls_out", "fd", "is_live", "issued_ns", "last_ns", "num_answers", "opened_ns",
        "pieces", "sample", "state",
    )  # fmt: skip

    def __init__(
        self,
        owner: Owner,
        epoll: select.epoll,
        place: tuple[Any, ...],
        tls: ssl.SSLContext | None = None,
        name: str = "",
    ) -> None:
        self._owner, self._epoll = owner, epoll
        self._rest = b""
        self._reads = 0
        self._framer: Framer | None = None
        self._found = _UNSEEN
        self.sample: Any = None
        self.is_live = False
        self.pieces: list[tuple[int, bytes]] = []
        self.num_answers = 0
        self.issued_ns = self.last_ns = self.opened_ns = now_ns()
        self._tls: ssl.SSLObject | None = None
        if tls is not None:
            self._tls_in, self._tls_out = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = tls.wrap_bio(self._tls_in, self._tls_out, server_hostname=name)
        family, address = place
        self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.fd = self._socket.fileno()
        self.state = CONNECTING
        self._code = self._socket.connect_ex(address)
        epoll.register(self.fd, WRITE)

    def send(self, sample: Any, data: bytes, is_live: bool = False) -> None:
        """Send a request; the moment right before is `issued_ns`."""
        self.sample, self.is_live = sample, is_live
        self.pieces = []
        self._found, self._framer = _UNSEEN, None
        self.state = BUSY
        if self._tls is not None:
            self.issued_ns = self.last_ns = now_ns()
            data = self._encrypted(data)
        else:
            self.issued_ns = self.last_ns = now_ns()
        self._write(data)

    def ready(self, mask: int) -> None:
        """Do what the system says can be done."""
        if self.state == BUSY and self._tls is None and not self._rest:
            self._hear()
        elif self.state == CONNECTING:
            self._connected()
        elif self._rest and mask & select.EPOLLOUT:
            self._write(b"")
        elif self._tls is not None:
            self._hear_tls()
        else:
            self._hear()

    def close(self) -> None:
        if self.state != CLOSED:
            self.state = CLOSED
            self._epoll.unregister(self.fd)
            self._socket.close()

    # ---- reading

    def _hear(self) -> None:
        self._reads += 1
        try:
            if self._reads % SAMPLED:
                data = self._socket.recv(READ_BYTES)
                moment_ns = now_ns()
            else:
                data, moment_ns = self._hear_sampled()
        except _SOON:
            return
        except OSError as error:
            self._owner.lost(self, "reset", error.strerror or str(error))
            return
        self._took(moment_ns, data)

    def _hear_sampled(self) -> tuple[bytes, int]:
        """Read, and note how long ago the kernel had it. That costs a third of a read more, so it
        is done for one of SAMPLED.
        """
        data, told, _, _ = self._socket.recvmsg(READ_BYTES, 64)
        moment_ns = now_ns()
        for level, kind, stamp in told:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, rest = _STAMP.unpack(stamp)
                self._owner.delays_ns.append(wall_ns() - seconds * 1_000_000_000 - rest)
        return data, moment_ns

    def _took(self, moment_ns: int, data: bytes) -> None:
        """Keep what came; tell the owner of the end."""
        if not data or self.state != BUSY:
            ending: Ending = "malformed" if data else "closed"
            self._owner.lost(self, ending, "bytes came that nobody asked for" if data else "")
            return
        pieces = self.pieces
        pieces.append((moment_ns, data))
        self.last_ns = moment_ns
        if self.is_live:
            self._owner.part(self, moment_ns, data)
        if self._found == _UNSEEN and _ends_by_chunks(data):
            self._found = _BY_END
        elif self._found != _BY_END:
            self._look_closely(moment_ns)
            return
        elif len(data) < len(LAST_CHUNK):
            data = b"".join([piece for _, piece in pieces[-len(LAST_CHUNK) :]])
        if data.endswith(LAST_CHUNK):
            self.num_answers += 1
            self.state = IDLE
            self._owner.finished(self, moment_ns)
        elif data.endswith(b"\r\n\r\n"):  # headers after the body?
            self._look_closely(moment_ns)

    def _look_closely(self, moment_ns: int) -> None:
        """Ask a framer, from now on at each read."""
        if self._framer is None:
            self._found, self._framer = _BY_FRAMER, Framer()
            for _, data in self.pieces[:-1]:
                self._framer.feed(data)
        framer = self._framer
        framer.feed(self.pieces[-1][1])
        if framer.is_malformed:
            self._owner.lost(self, "malformed", "")
        elif framer.is_whole:
            self.num_answers += 1
            self.state = IDLE
            self._owner.finished(self, moment_ns)
            if not framer.keeps_alive and self.state == IDLE:
                self._owner.lost(self, "closed", "")

    # ---- writing and opening

    def _write(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        try:
            sent = self._socket.send(data)
        except _SOON:
            sent = 0
        except OSError as error:
            self._rest = b""
            self._owner.lost(self, "reset", error.strerror or str(error))
            return
        had, self._rest = bool(self._rest), data[sent:]
        if self._rest or had:
            self._epoll.modify(self.fd, WRITE if self._rest else READ)

    def _connected(self) -> None:
        """Go on once the system has connected, or has not."""
        code = self._code
        if code in (0, errno.EINPROGRESS):
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            refused = code == errno.ECONNREFUSED
            self._owner.lost(self, "refused" if refused else "no_connection", os.strerror(code))
            return
        self._epoll.modify(self.fd, READ)
        if self._tls is None:
            self._is_open()
        else:
            self.state = SHAKING
            self._shake()

    def _is_open(self) -> None:
        self.state = IDLE
        self.opened_ns = now_ns()
        self._owner.opened(self)

    # ---- TLS

    def _shake(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._write(self._tls_out.read())
        except ssl.SSLError as error:
            self._owner.lost(self, "tls", tls_words(error))
        else:
            self._write(self._tls_out.read())
            if self.state == SHAKING:
                self._is_open()

    def _hear_tls(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except _SOON:
            return
        except OSError as error:
            ending: Ending = "tls" if self.state == SHAKING else "reset"
            self._owner.lost(self, ending, error.strerror or str(error))
            return
        moment_ns = now_ns()
        if self.state == SHAKING:
            self._heard_shaking(data)
            return
        self._tls_in.write(data)
        plain, is_over = self._decrypted()
        if self._tls_out.pending:
            self._write(self._tls_out.read())
        if plain:
            self._took(moment_ns, plain)
        if (is_over or not data) and self.state in (IDLE, BUSY):
            self._took(moment_ns, b"")

    def _heard_shaking(self, data: bytes) -> None:
        if not data:
            self._owner.lost(self, "tls", "the server closed the connection in the handshake")
            return
        self._tls_in.write(data)
        self._shake()

    def _encrypted(self, data: bytes) -> bytes:
        """Return what goes over the line; nothing where the other side has ended it, which the next
        read tells.
        """
        assert self._tls is not None
        with suppress(ssl.SSLError):
            self._tls.write(data)
        return self._tls_out.read()

    def _decrypted(self) -> tuple[bytes, bool]:
        """Return what can be read now, and whether no more will come."""
        assert self._tls is not None
        found = []
        try:
            while data := self._tls.read(READ_BYTES):
                found.append(data)
        except ssl.SSLWantReadError:
            return b"".join(found), False
        except ssl.SSLError:
            pass
        return b"".join(found), True


def _ends_by_chunks(data: bytes) -> bool:
    """Is this the beginning of a good answer in chunks, over a connection that stays open?"""
    end = data.find(b"\r\n\r\n")
    if end < 0 or not data.startswith(b"HTTP/1.1 200"):
        return False
    head = data[:end].lower()
    return b"transfer-encoding: chunked" in head and b"connection: close" not in head


def tls_words(error: ssl.SSLError) -> str:
    """Return why a handshake failed, without OpenSSL's place in its own source."""
    known = getattr(error, "verify_message", "")
    return known or (error.reason or str(error)).replace("_", " ").lower()
