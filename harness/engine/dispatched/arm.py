"""Who says when a sample was sent and heard? The driver, by its own clock; workers of ours, where a
SUT of ours has them. Nobody else is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.engine import driver
from harness.engine.dispatched import drive as dispatched
from harness.engine.dispatched.recorder import StampedRecorder
from harness.engine.driver import Stop
from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock, VirtualClock
from harness.kernel.log import RunLog
from harness.kernel.protocols import SUT, Dispatcher
from harness.kernel.types import Query, RunSettings


def arm_of(sut: SUT, is_believed: bool) -> Dispatcher | None:
    """Return the SUT as the driver's arm; None where the driver itself sends and stamps."""
    return sut if is_believed and isinstance(sut, Dispatcher) else None


def recorder(clock: RealClock | VirtualClock, arm: Dispatcher | None) -> Recorder:
    """Return a recorder for it."""
    return Recorder(clock) if arm is None else StampedRecorder(clock)


def drive(
    queries: Iterable[Query],
    sut: SUT,
    arm: Dispatcher | None,
    clock: RealClock | VirtualClock,
    recorder: Recorder,
    settings: RunSettings,
    stop: Stop,
    on_idle: Callable[[Recorder], None] | None = None,
) -> RunLog:
    """Issue the queries to the SUT, or have its workers do it; return what happened."""
    if arm is None:
        return driver.drive(queries, sut, clock, recorder, settings, stop, on_idle)
    assert isinstance(recorder, StampedRecorder)
    return dispatched.drive(queries, arm, clock, recorder, settings, stop, on_idle)
