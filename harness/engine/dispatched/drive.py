"""How does a run go whose SUT has workers that send by themselves? They have the whole plan before
the clock starts, so the driver hands it over, waits, and writes down what they say.

The rules of release and of the end are those of `harness.engine.driver`; how long an answer is
waited for is the workers' business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.engine.dispatched.hearing import Hearing, hearing_of
from harness.engine.dispatched.recorder import StampedRecorder
from harness.engine.driver import STOPPED, Stop, quiet
from harness.engine.recorder import Recorder
from harness.kernel.answers import Window
from harness.kernel.clock import FAR_FUTURE_NS
from harness.kernel.errors import HarnessError, RunBroke
from harness.kernel.log import RunLog
from harness.kernel.protocols import Clock, Dispatcher
from harness.kernel.types import NEVER, Query, RunSettings

RETRIES = 10  # of a request in accuracy mode that the server had no room for
_CLOSING_NS = 5_000_000_000  # for workers to close what is open
_LOOK_NS = 250_000_000  # between two calls of `on_idle`


def drive(
    queries: Iterable[Query],
    arm: Dispatcher,
    clock: Clock,
    recorder: StampedRecorder,
    settings: RunSettings,
    stop: Stop | None = None,
    on_idle: Callable[[Recorder], None] | None = None,
) -> RunLog:
    """Let `arm` follow the plan; return what happened.

    A worker's death ends the run with `end == "error"`; what had completed is kept.
    """
    stop, plan = stop or Stop(), list(queries)
    hearing = hearing_of(plan, recorder)
    start_ns = clock.now_ns()
    with quiet(), stop.raising(False):
        try:
            start_ns = recorder.gate_ns = arm.dispatch(plan, window_of(settings), hearing)
            hearing.start_ns = start_ns
            _wait(arm, clock, hearing, settings, stop, on_idle)
        except Exception as fault:
            return _broken(hearing, start_ns, fault)
    if hearing.reason:
        return _broken(hearing, start_ns, RunBroke("the server", hearing.reason))
    if stop.requests:
        return recorder.log(start_ns, "interrupted", STOPPED)
    return recorder.log(start_ns, "completed")


def window_of(settings: RunSettings) -> Window:
    """Return when the plan ends."""
    if settings.mode == "accuracy":
        return Window(retries=RETRIES)
    queries, duration_ns = settings.max_queries, settings.max_duration_ns
    return Window(
        min_queries=settings.min_queries,
        min_duration_ns=settings.min_duration_ns,
        max_queries=NEVER if queries is None else queries,
        max_duration_ns=NEVER if duration_ns is None else duration_ns,
    )


def _wait(
    arm: Dispatcher,
    clock: Clock,
    hearing: Hearing,
    settings: RunSettings,
    stop: Stop,
    on_idle: Callable[[Recorder], None] | None,
) -> None:
    """Wait for the end of the plan, or up to `drain_timeout_ns` after a Ctrl-C."""
    give_up_ns, is_withdrawn = FAR_FUTURE_NS, False
    while not hearing.is_over and stop.requests < 2:
        if stop.ends and not is_withdrawn:
            arm.withdraw()
            is_withdrawn = True
        if stop.requests and give_up_ns == FAR_FUTURE_NS:
            give_up_ns = clock.now_ns() + settings.drain_timeout_ns
        if on_idle is not None:
            on_idle(hearing.recorder)
        if clock.wait(min(give_up_ns, clock.now_ns() + _LOOK_NS)) >= give_up_ns:
            break
    if not hearing.is_over:
        arm.give_up()
        until_ns = clock.now_ns() + _CLOSING_NS
        while not hearing.is_over and clock.wait(until_ns) < until_ns:
            pass


def _broken(hearing: Hearing, start_ns: int, fault: Exception) -> RunLog:
    is_ours = isinstance(fault, HarnessError)
    reason = str(fault) if is_ours else f"the SUT raised {type(fault).__name__}: {fault}"
    hearing.settle()
    hearing.recorder.give_up(f"lost: {reason}")
    return hearing.recorder.log(start_ns, "error", reason)
