"""What does the official LoadGen say of the same SUT? Its wheel as the driver, at arm's length.

The wheel runs in a process of its own (`harness.official.child`): it may crash or wait for ever,
and our results must not go with it. SUT, clock and recorder stay here. LoadGen's queries come
through a socket that is read inside `clock.wait`, just as a SUT's events are; the recorder writes
every event down and relays first tokens and completions.

    relay = Relay(clock, settings)      # a Recorder
    sut.load(samples, relay)
    log = drive(settings, sut, clock, relay, folder)
    figures = official_results(folder)

Latency in LoadGen's logs counts from its own schedule and includes the way through the socket. Ours
counts from the arrival of the query; in the server scenario from its place in the schedule
(`offsets_ns`, counted from the first arrival), so that a LoadGen that falls behind shows as issue
lag.

What would upset the wheel is kept from it, and `Relay.repairs` says so: an answer without a first
token (which can crash it) gets one, a failed or lost sample (for which it waits for ever) is
answered with nothing, a second completion is dropped.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import scenarios
from harness.engine.driver import STOPPED, Stop, quiet
from harness.engine.recorder import Recorder
from harness.engine.timeouts import Timeouts
from harness.kernel.clock import FAR_FUTURE_NS, RealClock
from harness.kernel.errors import BadInput, HarnessError, RunBroke, SetupFailed
from harness.kernel.log import RunLog
from harness.kernel.machine import waits
from harness.kernel.protocols import SUT, Clock
from harness.kernel.types import At, Query, QuerySample, RunSettings
from harness.official.child import FLUSH, OVER, WORD
from harness.official.relay import Relay
from harness.official.wheel import KEPT, LOGS, WORDS, Wheel, require_wheel

_RETRY_NS = 1_000_000
_SILENCE_NS = (
    120_000_000_000  # of LoadGen with nothing open; generating and writing its logs take seconds
)
_LONGEST_GAP = 30.0  # of mean gaps: a Poisson process exceeds it once in e^30 arrivals
_RELEASED = At(0)  # LoadGen has done the waiting


def due_offsets(settings: RunSettings, schedule: Any) -> Sequence[int]:
    """Return when each query of a server run is due, as `drive` wants it; nothing where LoadGen
    alone decides.
    """
    timed = scenarios.entry(settings.scenario).is_open and settings.mode == "performance"
    return schedule.offsets_ns.tolist() if timed else ()


def drive(
    settings: RunSettings,
    sut: SUT,
    clock: Clock,
    recorder: Relay,
    folder: Path,
    offsets_ns: Sequence[int] = (),
    stop: Stop | None = None,
    on_idle: Callable[[Recorder], None] | None = None,
) -> RunLog:
    """Let the official LoadGen test `sut`, which has been loaded with `recorder` as its sink. Its
    logs go to `folder`.

    `offsets_ns`: when each query is due (a server run in performance mode). The wheel's death, its
    silence and any exception of the SUT end the run with `end == "error"`: what had completed is
    kept, LoadGen's unfinished logs get another name. Raises SetupFailed if LoadGen is missing or
    ends before its first query, BadInput if it could not run here.
    """
    require_wheel()
    _check(clock, folder)
    with quiet(), Wheel(settings, clock, folder) as wheel:
        loop = _Loop(settings, sut, clock, recorder, offsets_ns, wheel, stop or Stop(), on_idle)
        clock.watch(wheel.socket.fileno(), loop.hear)
        try:
            with loop.stop.raising(True):
                loop.run()
        except KeyboardInterrupt:  # torn away from a SUT in this process that does not return
            loop.stop.request()
        # a SUT may raise anything: the samples measured so far matter more
        except (Exception, SystemExit) as fault:
            if not recorder.num_issued and isinstance(fault, RunBroke):
                raise SetupFailed(*fault.facts[:2], "", f"See {folder / WORDS}.") from None
            reason = (
                str(fault)
                if isinstance(fault, HarnessError)
                else f"the SUT raised {type(fault).__name__}: {fault}"
            )
            recorder.give_up(f"lost: {reason}")
            return recorder.log(loop.start_ns, "error", reason)
    if wheel.over:
        return recorder.log(loop.start_ns, "completed")
    return recorder.log(loop.start_ns, "interrupted", STOPPED)


def _check(clock: Clock, folder: Path) -> None:
    if not isinstance(clock, RealClock):
        fine, todo = "LoadGen reads the wall clock", "Use --clock real."
        raise BadInput("--driver mlcommons", "a virtual clock", fine, todo)
    if there := [name for name in LOGS if (folder / name).exists()]:
        found, fine = f"{there[0]} is there already", "a folder without logs of a run"
        raise BadInput(f"--driver mlcommons in {folder}", found, fine)


class _Loop:
    """The driver's thread: hears LoadGen's queries, gives up on lost samples, sends what the
    recorder has to tell.
    """

    def __init__(
        self,
        settings: RunSettings,
        sut: SUT,
        clock: Clock,
        recorder: Relay,
        offsets_ns: Sequence[int],
        wheel: Wheel,
        stop: Stop,
        on_idle: Callable[[Recorder], None] | None,
    ) -> None:
        self.settings, self.sut, self.clock, self.recorder = settings, sut, clock, recorder
        self.offsets_ns, self.wheel, self.stop, self.on_idle = offsets_ns, wheel, stop, on_idle
        self.start_ns = self._heard_ns = clock.now_ns()
        self.timeouts = Timeouts(recorder, settings.sample_timeout_ns, self.start_ns)
        gap_s = (
            _LONGEST_GAP / settings.target_qps
            if scenarios.entry(settings.scenario).is_open
            else 0.0
        )
        self._patience_ns = _SILENCE_NS + int(gap_s * 1e9)
        self._stops = waits.Stops(wheel.pid, self.start_ns)
        self._look_ns = self._looked_ns = self.start_ns
        self._queries = 0
        self._inbox = bytearray()

    def run(self) -> None:
        """Go on until LoadGen is content, or the user is not."""
        give_up_ns = FAR_FUTURE_NS
        while not self.wheel.over and self.clock.now_ns() < give_up_ns:
            if self.stop.requests:
                if self.stop.requests > 1 or not self.recorder.open_samples:
                    return
                give_up_ns = min(give_up_ns, self.clock.now_ns() + self.settings.drain_timeout_ns)
            self._pause(give_up_ns)

    def _pause(self, until_ns: int) -> None:
        recorder, timeouts = self.recorder, self.timeouts
        check_ns, silent_ns = timeouts.check_ns, FAR_FUTURE_NS
        if not recorder.open_samples:
            check_ns = FAR_FUTURE_NS
            silent_ns = max(self._heard_ns, recorder.gate_ns) + self._patience_ns
        retry_ns = self.clock.now_ns() + _RETRY_NS if recorder.outbox else FAR_FUTURE_NS
        if self.on_idle is not None:
            self.on_idle(recorder)
        now = self.clock.wait(min(until_ns, check_ns, silent_ns, retry_ns, self._look_ns))
        if now >= check_ns:
            timeouts.look(now)
        if now >= self._look_ns:
            self._look_at_the_wheel(now)
        if now >= silent_ns and now >= self._heard_ns + self._patience_ns:
            raise RunBroke(
                "the official LoadGen", f"said nothing for {self._patience_ns / 1e9:g} s", "", KEPT
            )
        self.wheel.send(recorder.outbox)

    def _look_at_the_wheel(self, now_ns: int) -> None:
        """Raise RunBroke if the wheel's process is stopped: nothing would come of it for ever where
        the SUT goes on answering what is open, or where the next query is due in hours.
        """
        try:
            self._stops.look(now_ns, self._heard_ns >= self._looked_ns)
        except waits.Overdue as overdue:
            raise RunBroke("the official LoadGen", str(overdue), "", KEPT) from None
        self._looked_ns, self._look_ns = now_ns, now_ns + self._stops.LOOK_NS

    def hear(self) -> None:
        self._inbox += self.wheel.receive()
        arrived_ns = self._heard_ns = self.clock.now_ns()
        at, end = 0, len(self._inbox)
        while at + 4 <= end:
            (count,) = WORD.unpack_from(self._inbox, at)
            size = 4 if count in (FLUSH, OVER) else 4 + 4 * count
            if at + size > end:
                break
            body = bytes(self._inbox[at + 4 : at + size])
            at += size
            if count == OVER:
                self.wheel.over = True
            elif self.stop.requests:  # LoadGen goes on asking; nobody answers
                continue
            elif count == FLUSH:
                self.sut.flush()
            else:
                self._issue(array("I", body), arrived_ns)
        del self._inbox[:at]

    def _issue(self, indices: array[int], arrived_ns: int) -> None:
        recorder, i = self.recorder, self._queries
        if not i:
            self.start_ns = recorder.gate_ns = arrived_ns
        due_ns = (
            min(arrived_ns, self.start_ns + self.offsets_ns[i])
            if i < len(self.offsets_ns)
            else arrived_ns
        )
        self._queries = i + 1
        first = recorder.num_issued
        query = Query(
            i, [QuerySample(first + k, index) for k, index in enumerate(indices)], _RELEASED
        )
        recorder.issue(query, due_ns, self.clock.now_ns())
        self.sut.issue(query)
