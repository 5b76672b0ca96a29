"""What does a stop (Ctrl-C, a polite kill, a terminal that closes) do while a run is being made?

The first lets the run drain, the second ends the wait, and later ones change nothing while what was
measured is in memory alone. Only a SUT in this process that never returns is torn away from.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from types import FrameType

from harness.engine import journal, recorder
from harness.engine.driver import Stop
from harness.kernel.clock import RealClock, VirtualClock, wake_on_signals
from harness.kernel.process import stopping

_PATIENCE = 3  # so many stops are polite requests
_RECORDING = (recorder.__file__, journal.__file__)


@contextmanager
def stoppable(stop: Stop, clock: RealClock | VirtualClock) -> Iterator[None]:
    """Let a stop end issuing and drain; a second one stops waiting too. Further ones raise
    KeyboardInterrupt where `stop.may_raise`.
    """

    def on_signal(_: int, frame: FrameType | None) -> None:
        stop.request()
        clock.notify()
        insists = stop.requests > _PATIENCE and stop.may_raise
        if insists and not _is_recording(frame):  # a row must not be torn
            stop.may_raise = False
            raise stopping.Stopped

    with stopping.handled(on_signal), wake_on_signals(clock):
        yield


def _is_recording(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename in _RECORDING:
            return True
        frame = frame.f_back
    return False


class Passed:
    """Whether a stop was passed on."""

    any = False


@contextmanager
def passed_on(process: Popen[bytes]) -> Iterator[Passed]:
    """Let what would stop us reach `process` instead."""
    passed = Passed()

    def pass_on(number: int, _: object) -> None:
        passed.any = True
        process.send_signal(number)

    with stopping.handled(pass_on):
        yield passed
