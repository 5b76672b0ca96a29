"""What happens on a node? An actor there starts the process of a run, looks at it when it is asked,
and tells what came of it.

The process is a child of the actor: it dies with it, and the actor dies with whoever leads the
study. Every call is short, so that a stop is heard at once.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil

from harness.kernel.foreign.own_files import inside
from harness.kernel.machine import installed, waits
from harness.kernel.process import children
from harness.study.cluster import carry
from harness.study.executors.child import Handed, started


class Hand:
    """Makes one run at a time. `place` is the study's folder, which has `word` in the file `token`
    if this machine sees the same folder; `share` is (number, processors) of a shared node.
    """

    def __init__(self, place: str, token: str, word: str, share: tuple[int, int] | None) -> None:
        _undo_ray()
        if share is not None:
            _keep_to(*share)
        self._shares_folder = _read(Path(token)) == word
        self._scratch = tempfile.TemporaryDirectory(prefix="touchstone-runs-")
        self._place = Path(place if self._shares_folder else self._scratch.name)
        self._handed: Handed | None = None
        self._process: children.Child | None = None
        self._open = ExitStack()
        self._was_stopped = False
        self._folder = self._place

    def facts(self) -> dict[str, Any]:
        """Return who this is."""
        return {"versions": installed.versions(), "host": socket.gethostname()}

    def begin(self, settings: str) -> None:
        """Start the process of a run, whose settings are JSON."""
        self.end()
        config = json.loads(settings) | {"output_dir": str(self._place)}
        handed = self._open.enter_context(Handed(json.dumps(config)))
        self._process = self._open.enter_context(started(handed))
        self._handed, self._was_stopped = handed, False

    def look(self, wait_s: float) -> dict[str, Any] | None:
        """Return what came of the run; None while it is being made."""
        assert self._process is not None
        assert self._handed is not None
        code = waits.within(self._process, wait_s)
        if code is None:
            return None
        answer = self._handed.answer()
        found: dict[str, Any] = {
            "code": code,
            "was_stopped": self._was_stopped,
            "answer": answer,
            "files": [],
        }
        if answer and "result" in answer:
            self._folder = Path(answer["folder"])
            found["files"] = carry.listed(self._folder)
            found["is_shared"] = self._shares_folder
        return found

    def stop(self) -> None:
        """Let the run hear a Ctrl-C."""
        if self._process is not None and self._process.poll() is None:
            self._was_stopped = True
            self._process.send_signal(signal.SIGINT)

    def piece(self, file: str, offset: int) -> bytes:
        """Return some bytes of a file of the run's folder."""
        with inside(self._folder, file).open("rb") as opened:
            opened.seek(offset)
            return opened.read(carry.PIECE_BYTES)

    def end(self) -> None:
        """Forget the run; what was brought back is gone here."""
        self._open.close()
        self._process = self._handed = None
        if not self._shares_folder:
            self._scratch.cleanup()
            Path(self._scratch.name).mkdir(exist_ok=True)


def _undo_ray() -> None:
    """Let a run have as many threads as it would have without Ray, which sets a number of its own
    where nobody has.
    """
    with suppress(psutil.Error):
        if "OMP_NUM_THREADS" not in psutil.Process(os.getppid()).environ():
            os.environ.pop("OMP_NUM_THREADS", None)


def _keep_to(number: int, cpus: int) -> None:
    """Run on our share of the processors alone, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        ours = sorted(os.sched_getaffinity(0))[number * cpus : (number + 1) * cpus]
        if len(ours) == cpus:
            os.sched_setaffinity(0, ours)


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
