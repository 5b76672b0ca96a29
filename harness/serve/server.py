"""How does the server run, and how does it end? uvicorn on uvloop, one thread, until it is told to
stop.

Told to (Ctrl-C, SIGTERM) it takes no new connections, finishes the answers that are open and ends;
told again it ends at once. Ctrl-C is exit code 130, as everywhere; SIGTERM, with which services are
stopped, is 0.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Protocol

from harness.kernel.errors import HarnessError
from harness.kernel.process.listening import listener, origin_of
from harness.kernel.process.serving import QuietServer
from harness.kernel.process.streams import tell
from harness.serve.app import application
from harness.serve.desk import Serving
from harness.serve.house import House

DRAIN_S = 60  # for the answers that are open when it is told to stop
_KEEP_ALIVE_S = 120  # longer than clients keep a connection: none is closed under their hands
_BACKLOG = 2048
__all__ = ["Server", "listener", "run", "url_of"]


class Attached(Serving, Protocol):
    """An engine that tells its events to a loop."""

    def attach(
        self,
        loop: asyncio.AbstractEventLoop,
        hear: Callable[[Any], None],
        lost: Callable[[HarnessError], None],
    ) -> None: ...


def url_of(bound: socket.socket) -> str:
    """Return the base URL at which a socket of this machine is reached."""
    return f"{origin_of(bound)}/v1"


def run(house: House, engine: Attached, bound: socket.socket, ready: Callable[[], None]) -> int:
    """Serve until told to stop; return the exit code. Raises RunBroke where the engine is lost."""
    server = Server(house, engine, ready)
    code = server.until_stopped(server.at(bound))
    if house.desk.fault is not None:
        raise house.desk.fault
    return code


class Server(QuietServer):
    """Serves answers; those that are open when it is told to stop are finished."""

    def __init__(self, house: House, engine: Attached, ready: Callable[[], None]) -> None:
        super().__init__(
            application(house),
            ready,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
            backlog=_BACKLOG,
        )
        self._house, self._engine = house, engine

    async def at(self, bound: socket.socket) -> None:
        """Serve at this socket until told to stop, or the engine is lost."""

        def lost(error: HarnessError) -> None:
            self._house.desk.lost(error)
            self.should_exit = True

        self._engine.attach(asyncio.get_running_loop(), self._house.desk.hear, lost)
        await self.serve(sockets=[bound])

    def hear(self, number: int, frame: object) -> None:
        """Take no more at a signal, and say what is left; end at once at a second one."""
        if self.should_exit:
            self.force_exit = True
            return
        self.heard = number
        self.stop()
        if count := self._house.desk.open_answers:
            answers = "1 answer" if count == 1 else f"{count} answers"
            tell(f"stopping: {answers} to finish; Ctrl-C again ends them now")

    def stop(self) -> None:
        """Take no more; end once what is open is answered."""
        self.should_exit = self._house.desk.is_closing = True
