"""How does `harness view` begin and end? It takes its address on loopback, looks once which runs
there are, and answers until it is told to stop.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

from harness.kernel.places import wrong_path
from harness.kernel.process.listening import listener, origin_of
from harness.kernel.process.serving import QuietServer
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
    server = QuietServer(application(index), ready, timeout_graceful_shutdown=_LEAVE_S)
    return server.until_stopped(server.serve(sockets=[bound]))
