"""How do our servers run? uvicorn on one thread, which says nothing by itself and leaves the
signals to us.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from harness.kernel.process import stopping


class QuietServer(uvicorn.Server):
    """Calls `ready` once it answers. `how` goes to uvicorn's Config."""

    def __init__(self, application: Any, ready: Callable[[], None], **how: Any) -> None:
        config = uvicorn.Config(
            application,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            **how,
        )
        super().__init__(config)
        self._ready = ready
        self.heard = 0  # the signal that stopped it

    def until_stopped(self, work: Coroutine[Any, Any, None]) -> int:
        """Do `work`, which serves; return the exit code: Ctrl-C is 130, SIGTERM, with which
        services are stopped, is 0.
        """
        with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
            runner.run(work)
        return stopping.STOPPED if self.heard == signal.SIGINT else 0

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear what stops us in place of uvicorn."""
        with stopping.handled(self.hear):
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self._ready()

    def hear(self, number: int, frame: object) -> None:
        """End at a signal; at a second one at once."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self.heard = number
