"""How does the server run, and how does it end? uvicorn on uvloop, one thread, until it is told to
stop.

Told to (Ctrl-C, SIGTERM) it takes no new connections, finishes the answers that are open and ends;
told again it ends at once. Ctrl-C is exit code 130, as everywhere; SIGTERM, with which services are
stopped, is 0.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import uvicorn

from harness.kernel.errors import HarnessError
from harness.kernel.process import stopping
from harness.kernel.process.listening import listener, origin_of
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
    loop = server.config.get_loop_factory()
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(server.at(bound))
    if house.desk.fault is not None:
        raise house.desk.fault
    return stopping.STOPPED if server.heard == signal.SIGINT else 0


class Server(uvicorn.Server):
    """uvicorn's server, which leaves the signals to us."""

    def __init__(self, house: House, engine: Attached, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            application(house),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
            backlog=_BACKLOG,
        )
        super().__init__(config)
        self._house, self._engine, self._ready = house, engine, ready
        self.heard = 0

    async def at(self, bound: socket.socket) -> None:
        """Serve at this socket until told to stop, or the engine is lost."""

        def lost(error: HarnessError) -> None:
            self._house.desk.lost(error)
            self.should_exit = True

        self._engine.attach(asyncio.get_running_loop(), self._house.desk.hear, lost)
        await self.serve(sockets=[bound])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with stopping.handled(self._hear):
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def _hear(self, number: int, frame: object) -> None:
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
