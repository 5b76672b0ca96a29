"""How does a server of somebody else's come up on this machine, and how does it end?

    with Server("vllm", order, folder / "sut.log", say) as server:
        ...server.url, server.model

It gets a free port of the loopback address, and is waited for as long as it shows signs of life
(`harness.kernel.machine.waits`), until it says that it is healthy. One that ends first says its
last words. What it writes goes to the log of the run (`sut.border.words`). A keeper
(`sut.started.keeper`) sees to its end.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.kernel.clock import monotonic_s
from harness.kernel.errors import SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process import children
from harness.kernel.protocols import Say
from sut.border.words import Words
from sut.started import family, health, table
from sut.started.keeper import SIGNALLED
from sut.started.order import Order

_PAUSE_S = 0.2  # between two questions whether it is healthy
_TIDY_S = 10.0  # for the keeper, once the server's time is over
_TRIES = 3  # somebody else may take the port before the server does


class Server:
    """Start the server `kind` (a row of `sut.started.table`) and wait until it is healthy.

    Raises BadInput for what it cannot be asked, SetupFailed if it is not there, dies, stops or
    falls silent.
    """

    def __init__(self, kind: str, order: Order, log: Path, say: Say) -> None:
        table.check(kind, order)
        self.kind, self._row = kind, table.row(kind)
        self.model = self._row.names_adapter(order)
        self._words = Words(log)
        begun_s = monotonic_s()
        try:
            self._start(order, say)
        except BaseException:
            self._words.close()
            raise
        self.started_s = monotonic_s() - begun_s

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def pid(self) -> int:
        """The keeper, whose children are the server."""
        return self._process.pid

    def keep_log(self) -> None:
        """Copy what it has written so far into the log of the run."""
        self._words.keep()

    def facts(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "command": self.command,
            "started_s": round(self.started_s, 3),
        }

    def close(self) -> None:
        """End it, and all that it has started."""
        members = family.started_by(self.pid)
        self._process.let_go()
        waits.leave(self._process, waits.LEAVING_S + _TIDY_S)
        family.kill(members)  # nobody is left, unless the keeper was hindered
        self._words.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- coming up

    def _start(self, order: Order, say: Say) -> None:
        """Start it, again where its port went to somebody else meanwhile."""
        for last in (*[False] * (_TRIES - 1), True):
            self.port = _free_port()
            self.command = [*self._row.command(order, self.port, say), *order.arguments]
            say(f"starting {self.kind} (its words: {self._words.target.name})")
            self._process = children.Child(
                "sut.started.keeper",
                json.dumps(self.command),
                str(waits.LEAVING_S),
                stdout=self._words.file,
                stderr=self._words.file,
            )
            try:
                if self._came_up():
                    return
            except BaseException:
                self._process.kill()
                self._process.wait()
                raise
            if last or not _is_taken(self.port):
                raise self._death()

    def _came_up(self) -> bool:
        """Wait until it is healthy; False if it has ended. Raises SetupFailed."""
        wait, look_s = waits.Wait(self.pid, waits.LOADING), monotonic_s()
        while not health.is_good(self.port, self.pid):
            try:
                self._process.wait(_PAUSE_S)
                return False
            except subprocess.TimeoutExpired:
                pass
            if monotonic_s() - look_s >= wait.pause_s:
                look_s = monotonic_s()
                self._look(wait)
        return True

    def _look(self, wait: waits.Wait) -> None:
        try:
            wait.look()
        except waits.Overdue as overdue:
            raise self._failed(str(overdue)) from None

    def _death(self) -> SetupFailed:
        return self._failed(_how(self._process.wait()))

    def _failed(self, how: str) -> SetupFailed:
        """Return what to say of a server that did not come up: its last words."""
        said = self._words.last_line()
        found = how + (f", last words: {said}" if said else "")
        return SetupFailed(f"starting {self.kind}", found, "", f"See {self._words.target}.")


def _how(code: int) -> str:
    if code <= SIGNALLED:
        return f"it ended with exit code {code}"
    try:
        name = signal.Signals(code - SIGNALLED).name
    except ValueError:
        return f"it ended with exit code {code}"
    return f"it was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_taken(port: int) -> bool:
    """Say whether somebody listens there."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
