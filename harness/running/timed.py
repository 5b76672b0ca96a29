"""What happens while the clock runs, and right before and after? Nothing here writes a file once
the first query is out.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from harness.engine.dispatched.arm import drive
from harness.engine.driver import Stop
from harness.engine.pieces import Pieces
from harness.engine.recorder import Recorder
from harness.engine.referee import load as processors
from harness.engine.runlog import RunFacts
from harness.engine.telemetry import Telemetry
from harness.kernel.clock import RealClock, VirtualClock, process_cpu_s, utc_now
from harness.kernel.log import RunLog
from harness.kernel.protocols import SUT, Dispatcher, Scenario
from harness.kernel.types import RunSettings
from harness.official import driver as mlcommons
from harness.official.relay import Relay, StampedRelay
from harness.options.settings import RunConfig
from harness.registry import may_say_when
from harness.result import logs
from harness.running import sampling
from harness.running.journaling import journaled
from harness.running.watching import Watching
from scenarios.peak.watch import Watch


@dataclass(frozen=True)
class Timed:
    """The timed parts of one run."""

    config: RunConfig
    scenario: Scenario
    clock: RealClock | VirtualClock
    stop: Stop
    progress: bool
    arm: Dispatcher | None = None

    def recorder(
        self, sut: SUT, settings: RunSettings, facts: RunFacts, folder: Path
    ) -> AbstractContextManager[Recorder]:
        """Return the recorder of a part, for as long as its events are in memory alone."""
        if self.config.driver == "mlcommons":
            kind = StampedRelay if may_say_when(self.config.sut) else Relay
            return nullcontext(kind(self.clock, settings))
        return journaled(self.clock, sut, settings, folder, facts, self.arm)

    def measure(
        self,
        sut: SUT,
        settings: RunSettings,
        facts: RunFacts,
        folder: Path,
        recorder: Recorder,
        watch: Watch | None = None,
    ) -> RunLog:
        """Drive a part, and return what happened; what is about the machine goes into `facts`. It
        ends early if `watch` sees that it cannot hold.
        """
        self.stop.begin_part()
        schedule = self.scenario.schedule(settings)
        limits = replace(settings, min_queries=max(settings.min_queries, schedule.min_issued))
        total = self._expected_samples(limits, schedule.indices.size)
        pieces = Pieces(facts.missing)
        every_s = self.config.telemetry_interval
        begin = partial(
            sampling.begin, self.clock, sut, folder, facts, total, self.progress, every_s
        )
        helper = pieces.make("file", "telemetry", begin, None, later=False)
        facts.measured_at = utc_now().isoformat(timespec="milliseconds")
        plan = self.scenario.plan(settings, schedule)
        on_idle = helper.on_idle if helper else None
        if watch is not None:
            on_idle = Watching(watch, settings, self.stop, self.clock, on_idle)
        begun = _Begun(self.clock, sut)
        facts.clock_start_ns = begun.start_ns
        try:
            if isinstance(recorder, Relay):
                due = mlcommons.due_offsets(settings, schedule)
                log = mlcommons.drive(
                    settings, sut, self.clock, recorder, folder, due, self.stop, on_idle
                )
                facts.notes = recorder.repairs()
                hashes = partial(logs.hashes, folder)
                facts.log_hashes = pieces.make("log", "MLPerf logs", hashes, {}, later=False)
            else:
                log = drive(plan, sut, self.arm, self.clock, recorder, limits, self.stop, on_idle)
                if self.arm is not None:
                    told = pieces.make("figure", "client", self.arm.client, None, later=False)
                    facts.driver["client"] = told or {}
        finally:
            begun.end(facts)
            _end(helper, recorder, pieces)
            facts.missing = pieces.missing
        return log

    def _expected_samples(self, limits: RunSettings, planned: int) -> int | None:
        """Return the number of samples that progress counts towards; None if time ends the run."""
        if limits.mode == "accuracy" or not self.config.pattern.is_closed:
            return int(planned)
        return None if limits.min_duration_ns else limits.min_queries * limits.samples_per_query


class _Begun:
    """What the machine had counted when the part began; nothing of it exists in virtual time."""

    def __init__(self, clock: RealClock | VirtualClock, sut: SUT) -> None:
        self._clock, self._is_real = clock, isinstance(clock, RealClock)
        self._pids = sampling.processes(sut)
        self._before = processors.read(self._pids) if self._is_real else None
        self._used_s, self.start_ns = process_cpu_s(), clock.now_ns()

    def end(self, facts: RunFacts) -> None:
        """Note what has been used since."""
        wall_s = (self._clock.now_ns() - self.start_ns) / 1e9
        if self._is_real and wall_s > 0:
            used_s = process_cpu_s() - self._used_s
            facts.driver["client_cpu_percent"] = round(100 * used_s / wall_s, 2)
        if self._before:
            facts.load = processors.between(self._before, processors.read(self._pids))


def _end(helper: Telemetry | None, recorder: Recorder, pieces: Pieces) -> None:
    if helper is not None:
        end = partial(sampling.end, helper, recorder)
        pieces.make("file", "telemetry", end, None, later=False)
