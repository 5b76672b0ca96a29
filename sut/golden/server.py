"""The golden server: `python -m sut.golden.server SETTINGS [--port N] [--tls FOLDER]`.

One thread, epoll and raw sockets. Every write has a moment; the server sleeps until shortly before
the next one and spins the rest, stamps right before it sends, and keeps the stamps
(`GET /golden/stamps`). It says "ready PORT" once it listens, and ends when its parent does.
"""

from __future__ import annotations

import argparse
import gc
import os
import select
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from heapq import heappop, heappush
from pathlib import Path

from harness.kernel.clock import RealClock
from harness.kernel.errors import SetupFailed
from harness.kernel.process import children
from sut.golden.answering import Answering, Reply
from sut.golden.answers.scripts import Script, Write, response
from sut.golden.answers.settings import Settings, changed
from sut.golden.certificate import context
from sut.golden.connection import Connection, Request
from sut.golden.stamps import Sending, encoded

_SPIN_NS = 60_000
_IDLE_S = 0.5
_WRITES_IN_TURN = 32  # before requests are looked for again
_now_ns = RealClock.now_ns


class Server:
    def __init__(
        self, listener: socket.socket, settings: Settings, tls: ssl.SSLContext | None = None
    ) -> None:
        self._listener, self._tls = listener, tls
        self._answering = Answering(settings)
        self._clock = RealClock()  # which makes the system wake us on time
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._kept: list[Sending] = []
        self._due: list[tuple[int, int, Sending]] = []
        self._count = 0
        listener.setblocking(False)
        self._epoll.register(listener.fileno(), select.EPOLLIN)

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Serve until `until` says so; it is asked twice a second, or when something happens."""
        while not until():
            self._turn()

    def _turn(self) -> None:
        self._wait()
        for fd, events in self._epoll.poll(0):
            if fd == self._listener.fileno():
                self._accept()
            elif fd in self._connections:
                self._serve(self._connections[fd], events)
        self._write_due()

    def _wait(self) -> None:
        """Sleep until something can be read or the next write is near; spin the rest."""
        due_ns = self._due[0][0] if self._due else _now_ns() + int(_IDLE_S * 1e9)
        pause_ns = due_ns - _now_ns() - _SPIN_NS
        if pause_ns > 0 and select.select((self._epoll,), (), (), min(pause_ns / 1e9, _IDLE_S))[0]:
            return
        if self._due and pause_ns <= 0:
            while _now_ns() < due_ns and not self._epoll.poll(0, 1):
                pass

    # ---- requests

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                connection = Connection(sock, self._tls)
                self._connections[connection.fd] = connection
                self._epoll.register(connection.fd, select.EPOLLIN)

    def _serve(self, connection: Connection, events: int) -> None:
        try:
            if events & select.EPOLLOUT and connection.flush():
                self._epoll.modify(connection.fd, select.EPOLLIN)
            if connection.is_shaking and not connection.shake():
                return
            if not connection.read():
                self._drop(connection)
                return
            self._take(connection)
        except (OSError, ValueError):
            self._drop(connection)

    def _take(self, connection: Connection) -> None:
        """Begin to answer the next request that came whole."""
        if connection.busy or (request := connection.next()) is None:
            return
        received_ns = _now_ns()
        counts = self._answering.counts
        number = counts.received
        reply = self._reply(request)
        sending = Sending(connection, reply, request.head, number, received_ns)
        if counts.received > number and self._answering.settings.stamps:
            self._kept.append(sending)
        connection.busy = True
        counts.running += reply.is_answer
        if sending.writes and sending.writes[0].offset_ns <= 0:
            self._write(sending)
        else:
            self._plan(sending)

    def _reply(self, request: Request) -> Reply:
        if request.path == "/golden/stamps":
            body = response(200, encoded(self._kept))
            return Reply(Script([Write(0, body, 0)]))
        if request.path == "/golden/settings" and request.method == "POST":
            self._kept = []
        return self._answering.reply(request)

    # ---- responses

    def _plan(self, sending: Sending) -> None:
        if sending.n == len(sending.writes):
            self._end(sending)
            return
        due_ns = sending.received_ns + sending.writes[sending.n].offset_ns
        self._count += 1
        heappush(self._due, (due_ns, self._count, sending))

    def _write_due(self) -> None:
        due, now_ns = self._due, _now_ns()
        for _ in range(_WRITES_IN_TURN):
            if not due or due[0][0] > now_ns:
                return
            self._write(heappop(due)[2])

    def _write(self, sending: Sending) -> None:
        """Send what is due now, and plan the rest."""
        connection, write = sending.connection, sending.writes[sending.n]
        if connection.sock.fileno() < 0:
            self._forget(sending)
            return
        sending.n += 1
        sending.sent_ns.append(_now_ns())
        try:
            went = connection.write(write.data)
        except OSError:
            self._drop(connection)
            self._forget(sending)
            return
        self._answering.counts.generated_tokens += write.tokens
        if not went:
            self._epoll.modify(connection.fd, select.EPOLLIN | select.EPOLLOUT)
        self._plan(sending)

    def _forget(self, sending: Sending) -> None:
        """Give an answer up whose client has gone."""
        self._answering.counts.running -= sending.reply.is_answer

    def _end(self, sending: Sending) -> None:
        connection, reply, counts = sending.connection, sending.reply, self._answering.counts
        counts.running -= reply.is_answer
        counts.finished += reply.is_answer
        counts.prompt_tokens += reply.prompt_tokens
        counts.cached_tokens += reply.cached_tokens
        ending = reply.script.ending
        if ending == "keep" and b"connection: close" in sending.head.lower():
            ending = "close"
        match ending:
            case "keep":
                connection.busy = False
                self._take(connection)
            case "hang":
                pass
            case "close":
                self._close(connection)
            case "reset":
                self._drop(connection, is_reset=True)
            case "die":
                os._exit(1)

    def _close(self, connection: Connection) -> None:
        """Close in order, once all was sent."""
        connection.sock.setblocking(True)
        with suppress(OSError):
            connection.flush()
            if not self._tls:
                connection.sock.shutdown(socket.SHUT_WR)
        self._drop(connection)

    def _drop(self, connection: Connection, is_reset: bool = False) -> None:
        if self._connections.pop(connection.fd, None) is None:
            return
        self._epoll.unregister(connection.fd)
        if is_reset:
            connection.reset()
        else:
            connection.sock.close()

    def close(self) -> None:
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._epoll.close()
        self._clock.close()
        self._listener.close()


def serve(
    host: str,
    port: int,
    settings: Settings,
    tls_folder: Path | None = None,
    ready: Callable[[int], object] = lambda port: None,
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Listen there and serve until `until` says so. `ready` hears the port. Raises OSError,
    SetupFailed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=4096) as listener:
        tls = context(tls_folder) if tls_folder else None
        server = Server(listener, settings, tls)
        ready(listener.getsockname()[1])
        try:
            server.run(until)
        finally:
            server.close()


def main() -> None:
    if children.is_one():
        children.bind()
    gc.disable()  # a pause would be a late write, and nothing here refers to itself
    words = argparse.ArgumentParser()
    words.add_argument("settings", nargs="?", default="{}")
    words.add_argument("--host", default="127.0.0.1")
    words.add_argument("--port", type=int, default=0)
    words.add_argument("--tls", type=Path)
    said = words.parse_args()
    try:
        settings = changed(Settings(), said.settings.encode())
        serve(said.host, said.port, settings, said.tls, _ready)
    except (OSError, ValueError, SetupFailed) as error:
        sys.exit(f"golden server: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _ready(port: int) -> None:
    print("ready", port, flush=True)


if __name__ == "__main__":
    main()
