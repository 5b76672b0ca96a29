"""How is this program stopped? By Ctrl-C, by a polite kill, by a terminal that closes: all three
alike, from the first line of `main` to the last.

A signal raises KeyboardInterrupt, except where something must not be torn apart: there a handler
of its own counts it (`harness.running.signals`), or nothing hears it (`deaf`). Once the exit code
is known, none is heard any more.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

STOPPED = 130  # the exit code after any of them
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # the last is that of Windows
    if hasattr(signal, name)
)
Handler = Callable[[int, Any], None] | signal.Handlers
# `nohup` has the end of a terminal ignored. A shell script does so with Ctrl-C for what it starts
# in the background; a kill -INT is meant nonetheless.
_UNWANTED = {n for n in SIGNALS if n != signal.SIGINT and signal.getsignal(n) == signal.SIG_IGN}
_heard = 0
_is_program = _is_over = False


class Stopped(KeyboardInterrupt):
    """What a signal raises. Python ends a program by SIGINT, whatever its exit code, if a
    KeyboardInterrupt has passed through `exec` of a text, as every import of a dataclass has; it
    looks for that very class (`run_eval_code_obj` in Python/pythonrun.c).
    """


def listen() -> None:
    """Stop this program at a signal from now on."""
    global _is_program
    _is_program = True
    _set(_stop)


def over() -> None:
    """Let the program hear nothing from now on: its exit code is known, and what is left takes a
    moment. Whoever calls a command from a program of theirs keeps their handlers.
    """
    global _is_over
    _is_over = True
    if _is_program:
        _set(signal.SIG_IGN)


def exit_code(code: int) -> int:
    """Return the exit code of a command that ended with `code`, unless a stop came in between."""
    return STOPPED if heard() and not _is_over else code


def heard() -> bool:
    """Return whether a signal has raised KeyboardInterrupt: a library may have swallowed it, or
    made another exception of it.
    """
    return _heard > 0


def check() -> None:
    """Raise KeyboardInterrupt if a stop was asked for that a library has swallowed."""
    if heard():
        raise Stopped


@contextmanager
def listening() -> Iterator[None]:
    """Stop at a signal inside."""
    global _heard
    if not _is_program:
        _heard = 0
    with handled(_stop):
        yield


@contextmanager
def deaf() -> Iterator[None]:
    """Hear nothing inside: tidying up takes seconds at most."""
    with handled(signal.SIG_IGN):
        yield


@contextmanager
def later() -> Iterator[None]:
    """Hear a stop when the block has ended: what is being kept is kept."""
    came: list[int] = []
    with handled(lambda number, _: came.append(number)):
        yield
    if came:
        _stop(came[0], None)


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """Let `handler` hear what would stop the program. Only the main thread may set one; in another
    nothing changes.
    """
    before = _set(handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _set(handler: Handler) -> dict[int, Any]:
    """Set a handler for every signal that stops, and return those that were there."""
    if current_thread() is not main_thread():
        return {}
    wanted = [number for number in SIGNALS if number not in _UNWANTED]
    return {number: signal.signal(number, handler) for number in wanted}


def _stop(number: int, frame: object) -> None:
    global _heard
    _heard += 1
    raise Stopped
