"""What does Ctrl-C do while a run is being made?"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import Popen
from threading import current_thread, main_thread
from typing import Any

from harness.engine.driver import Stop
from harness.kernel.clock import RealClock, VirtualClock, wake_on_signals

_PATIENCE = 3  # so many Ctrl-C are polite requests


@contextmanager
def stoppable(stop: Stop, clock: RealClock | VirtualClock) -> Iterator[None]:
    """Let Ctrl-C (or a polite kill) stop issuing and drain; a second one stops waiting too."""

    def on_signal(*_: object) -> None:
        stop.request()
        clock.notify()
        if stop.requests > _PATIENCE:
            raise KeyboardInterrupt

    with _handled(on_signal, signal.SIGINT, signal.SIGTERM), wake_on_signals(clock):
        yield


@contextmanager
def deaf() -> Iterator[None]:
    """Ignore Ctrl-C while tidying up: it takes seconds at most."""
    with _handled(signal.SIG_IGN, signal.SIGINT):
        yield


@contextmanager
def passed_on(process: Popen[bytes]) -> Iterator[None]:
    """Let Ctrl-C and a polite kill reach `process` instead of this one."""

    def pass_on(number: int, _: object) -> None:
        process.send_signal(number)

    with _handled(pass_on, signal.SIGINT, signal.SIGTERM):
        yield


@contextmanager
def _handled(handler: Callable[..., None] | signal.Handlers, *numbers: int) -> Iterator[None]:
    """Set a handler for a while. Only the main thread may; in another nothing changes."""
    if current_thread() is not main_thread():
        yield
        return
    old: dict[int, Any] = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in old.items():
            signal.signal(number, previous)
