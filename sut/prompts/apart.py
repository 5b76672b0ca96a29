"""Run a function apart: in a copy of this process, which may take so much time and memory and no
more.

For programs of others that run inside ours, as chat templates do. One that computes 9**9**9 hears
no signal until it is done, and one that takes all memory takes ours. The copy is made once (fork),
answers one question after another, and is ended with whoever asked. It has no file and no socket of
ours open. Where there is no fork (Windows) the function is called as it is.
"""

from __future__ import annotations

import gc
import json
import math
import os
import signal
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection as _Connection
from pathlib import Path
from typing import Any


class Ended(Exception):
    """The copy ended instead of answering: by which signal, or with which exit code."""


class Apart:
    """`ask(what)` returns what `act(what)` returns in the copy; both are what JSON can say.

    `more_bytes` is the memory that the copy may take beyond what this process has.
    """

    def __init__(self, act: Callable[[Any], Any], more_bytes: int) -> None:
        self._act, self._more_bytes = act, more_bytes
        self._copy: tuple[int, _Connection] | None = None
        self._end: Any = None  # ends the copy, at the latest when this process ends

    def ask(self, what: Any, patience_s: float) -> Any:
        """Return the answer. Raises TimeoutError after `patience_s`, Ended."""
        if not hasattr(os, "fork"):
            return self._act(what)
        pid, connection = self._started()
        with suppress(OSError):  # it has ended: reading says how
            connection.send_bytes(json.dumps([what, patience_s]).encode())
        if not connection.poll(patience_s):
            self.close()
            raise TimeoutError
        try:
            return json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            self._copy = None
            self._end.detach()  # the system may give its number to another process
            connection.close()
            raise Ended(_how(os.waitpid(pid, 0)[1])) from None

    def close(self) -> None:
        """End the copy, whatever it does; the next question makes another one."""
        if self._copy is not None:
            self._copy = None
            self._end()

    def _started(self) -> tuple[int, _Connection]:
        if self._copy is None:
            self._copy = _fork(self._act, self._more_bytes)
            self._end = weakref.finalize(self, _kill, *self._copy)
        return self._copy


def _fork(act: Callable[[Any], Any], more_bytes: int) -> tuple[int, _Connection]:
    """Return the id of a new copy and our end of the connection to it."""
    ours, its = Pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads: it needs none of them
        pid = os.fork()
    if pid == 0:
        try:
            _serve(act, its, more_bytes)
        finally:
            os._exit(0)
    its.close()
    return pid, ours


def _serve(act: Callable[[Any], Any], connection: _Connection, more_bytes: int) -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    gc.disable()  # it would touch, and so copy, every page of this process
    own = connection.fileno()
    os.closerange(3, own)
    os.closerange(own + 1, os.sysconf("SC_OPEN_MAX"))
    _limit_memory(more_bytes)
    while True:
        try:
            what, patience_s = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        _limit_time(patience_s)
        connection.send_bytes(json.dumps(act(what)).encode())


def _limit_memory(more_bytes: int) -> None:
    """Let each further allocation beyond `more_bytes` fail, where the system tells what we have."""
    import resource

    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _limit_time(patience_s: float) -> None:
    """Let the system end the copy even if nobody is left who waits for it."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    limit_s = math.ceil(used.ru_utime + used.ru_stime + patience_s) + 1
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, resource.RLIM_INFINITY))


def _kill(pid: int, connection: _Connection) -> None:
    connection.close()
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"it was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"it ended with exit code {os.waitstatus_to_exitcode(status)}"
