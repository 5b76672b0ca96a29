"""How does a server of somebody else's end? With the run, and with all that it has started.

    python -m sut.started.keeper '["llama-server", "--port", "40000"]' 5

The keeper is a child of ours (`harness.kernel.process.children`), so it hears when the run lets go
of it, and when the run is killed. It asks the server to end (SIGTERM), gives it that many seconds,
then kills what is left. On Linux it adopts what the server has left behind
(PR_SET_CHILD_SUBREAPER), so that a process that went into a session of its own is found as well;
and a server whose keeper was killed ends at once (PR_SET_PDEATHSIG). It ends with the server's exit
code; 128 and more stand for the signal that killed it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from threading import Event
from typing import Any

from harness.kernel.process import children
from harness.kernel.process.streams import tell
from sut.started import family

NOT_FOUND = 127  # the exit code of a shell for a program that it cannot start
SIGNALLED = 128
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
_ROUNDS = 50  # of killing what was started meanwhile
# What is meant for our own Python, for ourselves, or for servers that are asked.
_OURS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "VIRTUAL_ENV", "OPENAI_API_KEY")
_OUR_OWN = "TOUCHSTONE_"
GIVEN = "TOUCHSTONE_GIVEN"


def main() -> int:
    command: list[str] = json.loads(sys.argv[1])
    given: dict[str, str] = json.loads(os.environ.pop(GIVEN, "{}"))
    prctl = _prctl()
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    is_over = Event()
    try:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env=environment(os.environ, command[0]) | given,
            preexec_fn=partial(prctl, _PR_SET_PDEATHSIG, signal.SIGKILL),
        )
    except OSError as error:
        tell(f"{command[0]}: {error.strerror}")
        return NOT_FOUND
    children.once_let_go(partial(_end, server, is_over, float(sys.argv[2])))
    code = server.wait()
    is_over.set()
    _kill_the_rest()
    return code if code >= 0 else SIGNALLED - code


def environment(ours: Mapping[str, str], program: str) -> dict[str, str]:
    """Return the variables of a program of another Python: without those of ours, and with its own
    folder first on the path, as if its virtual environment were active.
    """
    kept = {
        name: value
        for name, value in ours.items()
        if name not in _OURS and not name.startswith(_OUR_OWN)
    }
    if folder := os.path.dirname(program):
        kept["PATH"] = os.pathsep.join(filter(None, (folder, kept.get("PATH", ""))))
    return kept


def _end(server: subprocess.Popen[bytes], is_over: Event, grace_s: float) -> None:
    """Ask the server to end; kill it if it does not. A thread does this while `main` waits."""
    with suppress(OSError):
        server.terminate()
    if not is_over.wait(grace_s):
        with suppress(OSError):
            server.kill()


def _kill_the_rest() -> None:
    """Kill what the server has started, and what that starts meanwhile."""
    for _ in range(_ROUNDS):
        left = family.started_by(os.getpid())
        if not left:
            return
        family.kill(left)


def _prctl() -> Any:
    """Return the call of Linux; elsewhere one that does nothing. It is looked up here, since
    between fork and exec nothing may be imported.
    """
    if sys.platform == "linux":
        return ctypes.CDLL(None).prctl
    return lambda *_: 0


if __name__ == "__main__":
    sys.exit(main())
