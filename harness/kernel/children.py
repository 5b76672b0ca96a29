"""How is a process of our own started? As `python -m MODULE`, which finds our packages wherever
this process found them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread

ROOT = Path(__file__).resolve().parents[2]  # the folder that has our packages


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs one of our modules."""
    return [sys.executable, "-m", module, *arguments]


def variables(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of such a process: this one's, with `more`, and our packages."""
    known = os.environ.get("PYTHONPATH", "")
    paths = os.pathsep.join(filter(None, (str(ROOT), known)))
    safe = {"PYTHONSAFEPATH": "1"}  # no module from the folder that we were started in
    return {**os.environ, **(more or {}), **safe, "PYTHONPATH": paths}


def once_stdin_closes(act: Callable[[], object]) -> None:
    """Call `act` when the parent closes our stdin, or the system does because the parent died.

    A thread listens: Windows selects among sockets alone. It reads past the buffer, whose lock must
    be free when the interpreter ends.
    """

    def listen() -> None:
        while os.read(0, 4096):
            pass
        act()

    Thread(target=listen, daemon=True).start()
