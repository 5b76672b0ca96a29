"""How does `harness view` begin and end? It takes its address on loopback, looks once which runs
there are, and answers until it is told to stop.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from harness.kernel.places import wrong_path
from harness.kernel.process import stopping
from harness.kernel.process.listening import listener, origin_of
from harness.kernel.process.streams import put
from harness.view.app import application
from harness.view.index import Index

HOST = "127.0.0.1"
_LEAVE_S = 2  # for the pages that are being made when it is told to stop


def view(folder: Path, port: int, show: Callable[[str], None], as_json: bool) -> int:
    """Show a folder until told to stop; return the exit code. Raises HarnessError."""
    if not folder.is_dir():
        raise wrong_path("view", folder, "expected a folder with runs in it")
    with listener(HOST, port) as bound:
        index = Index(folder.resolve())
        index.start()
        try:
            return _serve(index, bound, lambda: _say_ready(index, bound, show, as_json))
        finally:
            index.stop()


def _say_ready(
    index: Index, bound: socket.socket, show: Callable[[str], None], as_json: bool
) -> None:
    url = origin_of(bound)
    if as_json:
        facts = {"url": url, "folder": str(index.root), "found": len(index.entries)}
        put(json.dumps(facts, separators=(",", ":")) + "\n")
        return
    count = len(index.entries)
    what = "1 run or study" if count == 1 else f"{count:,} runs and studies"
    show(f"Showing {what} of {index.root} at {url}. Ctrl-C stops it.")


def _serve(index: Index, bound: socket.socket, ready: Callable[[], None]) -> int:
    server = _Server(index, ready)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[bound]))
    return stopping.STOPPED if server.heard == signal.SIGINT else 0


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves the signals to us."""

    def __init__(self, index: Index, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            application(index),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_LEAVE_S,
        )
        super().__init__(config)
        self._ready = ready
        self.heard = 0

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with stopping.handled(self._hear):
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def _hear(self, number: int, frame: object) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self.heard = number
