"""How does a machine lend its client workers? `python -m harness client --listen HOST:PORT` starts
a worker for each driver that connects and has the key; the connection is the worker's channel from
then on, and the worker ends with it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from socket import socket as Socket
from threading import Thread
from typing import Any

from harness.kernel.errors import BadInput, SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process import children
from harness.kernel.process.streams import tell
from sut.served.client.remote.address import Place
from sut.served.client.remote.greeting import KEY, TIMEOUT_S, Refused, key, met_by_listener

Start = Callable[[Socket], children.Child]
_SHORTEST_KEY = 16
_SILENT_S, _BETWEEN_S, _PROBES = 10, 5, 3  # until a host that is gone is known to be


def worker(connection: Socket) -> children.Child:
    """Start a worker whose channel is a connection."""
    number = connection.fileno()
    return children.Child("sut.served.client.worker", str(number), pass_fds=(number,))


class Listener:
    """Listens until it is closed. Raises BadInput for an address that must have a key, SetupFailed
    where it cannot listen.
    """

    def __init__(self, place: Place, start: Start = worker) -> None:
        if not place.is_here and len(key()) < _SHORTEST_KEY:
            found = f"{place} can be reached from other machines, and {KEY} is not set"
            fine = f"expected a key of {_SHORTEST_KEY} characters or more in it"
            todo = "Set it to the same text on both machines, or listen at 127.0.0.1."
            raise BadInput("--listen", found, fine, todo)
        self._start = start
        try:
            self._socket = socket.create_server((place.host, place.port), family=place.family)
        except OSError as error:
            found = (error.strerror or str(error)).lower()
            fine = "expected a free port of this machine"
            raise SetupFailed(f"--listen {place}", found, fine, "Choose another one.") from None
        self.port = int(self._socket.getsockname()[1])

    def serve(self) -> None:
        """Serve every driver that comes, until the listener is closed."""
        while True:
            try:
                connection, peer = self._socket.accept()
            except OSError:  # it is closed
                return
            Thread(target=self._lend, args=(connection, peer[0]), daemon=True).start()

    def _lend(self, connection: Socket, peer: str) -> None:
        """Have a worker of its own work for a driver, to its end."""
        with connection:
            try:
                connection.settimeout(TIMEOUT_S)
                met_by_listener(connection)
            except (OSError, Refused) as why:
                tell(f"{peer} was refused: {why}")
                return
            lasting(connection)
            process: Any = self._start(connection)
        with process:
            tell(f"a worker sends for {peer}")
            waits.ended(process, waits.RUNNING)
        tell(f"the worker for {peer} has ended")

    def close(self) -> None:
        """Take no more drivers."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._socket.close()


def lasting(connection: Socket) -> None:
    """Let a connection send at once, and notice a host that is gone."""
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _SILENT_S),
        ("TCP_KEEPINTVL", _BETWEEN_S),
        ("TCP_KEEPCNT", _PROBES),
    ):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
