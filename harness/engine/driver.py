"""When may the next query go? One loop answers for every scenario.

A query is released either `At` a moment or `AfterInFlight` (fewer than k queries open); the
scenario's plan says which, so there is no `if scenario` here. Accuracy runs and warm-ups are the
same loop with another plan or another recorder.

From the first issue to the last completion the loop stamps and appends, nothing else: no logging,
no files, no garbage collection. Everything that waits goes through the clock, so a virtual clock
replays the same loop in no time.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice

from harness.engine.recorder import Recorder
from harness.engine.timeouts import Timeouts
from harness.engine.turns import Turns, has_turns, issue_turns
from harness.kernel.clock import FAR_FUTURE_NS
from harness.kernel.errors import RunBroke
from harness.kernel.log import RunLog
from harness.kernel.protocols import SUT, Clock
from harness.kernel.types import AfterQuery, At, Query, RunSettings

AHEAD = (
    100_000  # queries made before the clock starts (20 MB); making one costs as much as issuing it
)


STOPPED = "stopped by the user (Ctrl-C)"


class Stop:
    """Set from a signal handler: once to stop issuing and drain, twice to stop waiting as well.

    `suffice` ends issuing too, because enough has been seen: nobody wants the run stopped, and
    what is open is waited for.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.suffices = False  # enough has been seen of the part that is measured
        self.ends = False  # issuing: for either reason
        self.may_raise = True  # whether the handler may tear away who is at work

    def request(self) -> None:
        self.requests += 1
        self.ends = True

    def suffice(self) -> None:
        """End issuing in this part of the run."""
        self.suffices = self.ends = True

    def begin_part(self) -> None:
        """Forget that an earlier part was ended."""
        self.suffices, self.ends = False, bool(self.requests)

    @contextmanager
    def raising(self, may_raise: bool) -> Iterator[None]:
        """Let the handler raise KeyboardInterrupt inside, at most once, or keep it from that."""
        before, self.may_raise = self.may_raise, may_raise
        try:
            yield
        finally:
            self.may_raise = before


def drive(
    queries: Iterable[Query],
    sut: SUT,
    clock: Clock,
    recorder: Recorder,
    settings: RunSettings,
    stop: Stop | None = None,
    on_idle: Callable[[Recorder], None] | None = None,
) -> RunLog:
    """Issue `queries` to `sut` and return what happened.

    The SUT's death or any exception of it ends the run with `end == "error"`; what had completed is
    kept. `on_idle` is called before each wait (a progress display): it must take microseconds.
    """
    loop = Loop(sut, clock, recorder, settings, stop or Stop(), on_idle)
    start_ns = clock.now_ns()
    with quiet():
        try:
            rest = iter(queries)
            ahead = list(islice(rest, AHEAD))
            turns = Turns(chain(ahead, rest)) if has_turns(ahead) else None
            with loop.stop.raising(True):
                recorder.gate_ns = start_ns = clock.now_ns()
                if turns is not None:
                    issue_turns(loop, turns, start_ns)
                else:
                    loop.issue_all(chain(ahead, rest), start_ns)
                sut.flush()
                loop.drain()
        except RunBroke as broke:
            return _broken(recorder, start_ns, str(broke))
        except KeyboardInterrupt:  # torn away from a SUT in this process that does not return
            loop.stop.request()
        except (Exception, SystemExit) as fault:  # of the SUT: what was measured matters more
            return _broken(recorder, start_ns, f"the SUT raised {type(fault).__name__}: {fault}")
    if loop.stop.requests:
        return recorder.log(start_ns, "interrupted", STOPPED)
    return recorder.log(start_ns, "completed")


class Loop:
    """What the loop over the queries works with."""

    def __init__(
        self,
        sut: SUT,
        clock: Clock,
        recorder: Recorder,
        settings: RunSettings,
        stop: Stop,
        on_idle: Callable[[Recorder], None] | None,
    ) -> None:
        self.sut, self.clock, self.recorder = sut, clock, recorder
        self.settings, self.stop, self.on_idle = settings, stop, on_idle
        self.timeouts = Timeouts(recorder, settings.sample_timeout_ns, clock.now_ns())

    def issue_all(self, queries: Iterable[Query], start_ns: int) -> None:
        sut_issue, record_issue, now_ns, wait = (
            self.sut.issue,
            self.recorder.issue,
            self.clock.now_ns,
            self.clock.wait,
        )
        recorder, stop, pause = self.recorder, self.stop, self.pause
        min_queries, min_end_ns, max_queries, max_end_ns = self.limits(start_ns)
        limited = max_queries < FAR_FUTURE_NS or max_end_ns < FAR_FUTURE_NS
        issued, issued_ns = 0, start_ns
        for query in queries:
            release = query.release
            if isinstance(release, At):
                due_ns = start_ns + release.offset_ns
                now = wait(0)  # late or not, first hear what has arrived
                while now < due_ns and not stop.ends:
                    now = pause(due_ns)
            else:
                assert not isinstance(release, AfterQuery)  # see `turns`
                if issued >= min_queries and issued_ns >= min_end_ns:
                    return
                if release.offset_ns is not None:
                    self.sut.flush()
                while recorder.open_queries >= release.below and not stop.ends:
                    pause(FAR_FUTURE_NS)
                due_ns = recorder.gate_ns
                now = now_ns()
                if release.offset_ns is not None:  # the schedule goes on from here
                    start_ns = due_ns - release.offset_ns
            if stop.ends or (limited and (issued >= max_queries or issued_ns > max_end_ns)):
                return
            issued_ns = now
            record_issue(query, due_ns, issued_ns)
            sut_issue(query)
            issued += 1  # noqa: SIM113 (enumerate would build a tuple per query)

    def drain(self) -> None:
        """Wait for what is open: as long as something comes (`harness.engine.timeouts`), or up to
        `drain_timeout_ns` after a Ctrl-C.
        """
        give_up_ns = FAR_FUTURE_NS
        while self.recorder.open_samples and self.stop.requests < 2:
            if self.stop.requests and give_up_ns == FAR_FUTURE_NS:
                give_up_ns = self.clock.now_ns() + self.settings.drain_timeout_ns
            if self.pause(give_up_ns) >= give_up_ns:
                return

    def pause(self, until_ns: int) -> int:
        """Wait, but wake in time to give up on a sample that nothing comes of."""
        timeouts = self.timeouts
        if self.on_idle is not None:
            self.on_idle(self.recorder)
        check_ns = timeouts.check_ns if self.recorder.open_samples else FAR_FUTURE_NS
        now = self.clock.wait(min(until_ns, check_ns))
        if now >= check_ns:
            timeouts.look(now)
        return now

    def limits(self, start_ns: int) -> tuple[int, int, int, int]:
        """End a closed loop at (min queries and min moment), any loop at (max queries or max
        moment).

        LoadGen checks the same after each issue; in accuracy mode the plan alone decides, as there.
        """
        s, never = self.settings, FAR_FUTURE_NS
        if s.mode == "accuracy":
            return never, never, never, never
        return (
            s.min_queries,
            start_ns + s.min_duration_ns,
            never if s.max_queries is None else s.max_queries,
            never if s.max_duration_ns is None else start_ns + s.max_duration_ns,
        )


def _broken(recorder: Recorder, start_ns: int, reason: str) -> RunLog:
    recorder.give_up(f"lost: {reason}")
    return recorder.log(start_ns, "error", reason)


@contextmanager
def quiet() -> Iterator[None]:
    """Collect garbage before the block, and none inside it."""
    gc.collect()
    gc.freeze()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
        gc.unfreeze()
