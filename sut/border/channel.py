"""One stream socket between this process and a child that it starts.

A child inherits its end as an open descriptor. Where the system hands none on (Windows), it
connects to a port of the loopback interface and says a secret first, which it finds in its
environment: anybody on the machine may connect to a port, but only the child knows the word.
"""

from __future__ import annotations

import hmac
import os
import secrets
import selectors
import socket
import subprocess
from collections.abc import Sequence
from socket import socket as Socket
from typing import Any, NamedTuple, Protocol

from harness.kernel.machine import waits

_SECRET = "TOUCHSTONE_CHANNEL"
_HOST = "127.0.0.1"
_LOOK_S = 0.5  # is the child still alive?
_WORD_TIMEOUT_S = 5.0
_DONT_WAIT = getattr(socket, "MSG_DONTWAIT", None)


class Offer(Protocol):
    """`argument` goes to the child on its command line, `started` to Popen."""

    argument: str
    environment: dict[str, str]
    started: dict[str, Any]
    socket: Socket

    def accept(self, process: subprocess.Popen[Any]) -> Socket:
        """Return our end, once the child has the other. Raises ConnectionError if it has died,
        Overdue if it was waited for too long.
        """
        ...


def offer() -> Offer:
    return _Inherited() if hasattr(os, "fork") else _Loopback()


def connect(argument: str) -> Socket:
    """Return the child's end."""
    if argument.isdigit():
        return socket.socket(fileno=int(argument))
    host, _, port = argument.rpartition(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(os.environ.pop(_SECRET).encode())
    return connection


def send_now(connection: Socket, data: memoryview) -> int:
    """Send what fits now, and return how much it was. Raises BlockingIOError if nothing fits."""
    if _DONT_WAIT is not None:
        return connection.send(data, _DONT_WAIT)
    connection.setblocking(False)
    try:
        return connection.send(data)
    finally:
        connection.setblocking(True)


def send_backlog(connection: Socket, backlog: bytearray) -> None:
    """Send what fits now, and take it off the backlog. Raises BlockingIOError if some is left."""
    while backlog:
        with memoryview(backlog) as view:
            sent = send_now(connection, view)
        del backlog[:sent]


def wait(connection: Socket, wants_to_send: bool, pause_s: float) -> int:
    """Wait for one of them, as `wait_any` does for several."""
    return wait_any([Wanted(connection, wants_to_send)], pause_s)[0]


class Wanted(NamedTuple):
    """A connection that is to be read, and written to where something is left to send."""

    connection: Socket
    wants_to_send: bool


def wait_any(wanted: Sequence[Wanted], pause_s: float) -> list[int]:
    """Wait until something can be received on one of them, or sent where that is wanted; return
    for each which, as events of `selectors`, 0 for neither.
    """
    with selectors.DefaultSelector() as selector:
        for place, (connection, wants_to_send) in enumerate(wanted):
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wants_to_send else 0)
            selector.register(connection, events, place)
        ready = {key.data: events for key, events in selector.select(pause_s)}
    return [ready.get(place, 0) for place in range(len(wanted))]


class _Inherited:
    def __init__(self) -> None:
        self.socket, self._theirs = socket.socketpair()
        self.argument = str(self._theirs.fileno())
        self.environment: dict[str, str] = {}
        self.started = {"pass_fds": [self._theirs.fileno()]}

    def accept(self, process: subprocess.Popen[Any]) -> Socket:
        self._theirs.close()
        return self.socket


class _Loopback:
    def __init__(self) -> None:
        self.socket = socket.create_server((_HOST, 0))
        self.argument = f"{_HOST}:{self.socket.getsockname()[1]}"
        self._word = secrets.token_hex(16)
        self.environment = {_SECRET: self._word}
        self.started: dict[str, Any] = {}

    def accept(self, process: subprocess.Popen[Any]) -> Socket:
        self.socket.settimeout(_LOOK_S)
        wait = waits.Wait(process.pid, waits.STARTING)
        with self.socket:
            while True:
                connection = self._accepted(process, wait)
                if connection is not None and self._knows_the_word(connection):
                    connection.settimeout(None)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return connection

    def _accepted(self, process: subprocess.Popen[Any], wait: waits.Wait) -> Socket | None:
        try:
            return self.socket.accept()[0]
        except TimeoutError:
            if process.poll() is not None:
                raise ConnectionError("the child is gone") from None
            wait.look()
            return None

    def _knows_the_word(self, connection: Socket) -> bool:
        connection.settimeout(_WORD_TIMEOUT_S)
        said = b""
        try:
            while len(said) < len(self._word):
                data = connection.recv(len(self._word) - len(said))
                if not data:
                    break
                said += data
        except OSError:
            said = b""
        if hmac.compare_digest(said, self._word.encode()):
            return True
        connection.close()
        return False
