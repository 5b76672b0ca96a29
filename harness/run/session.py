"""One run from the user's words to a finished folder: check, prepare, warm up, measure, write down,
judge.

Nothing here is timed but `measure`; nothing inside `measure` writes a file.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from harness import registry
from harness.engine import environment, gpus, runlog
from harness.engine.driver import Stop, drive
from harness.engine.pieces import Pieces, reason, show_where
from harness.engine.recorder import Recorder
from harness.engine.referee import load
from harness.engine.runlog import RunFacts
from harness.engine.telemetry import Telemetry
from harness.kernel.clock import (
    RealClock,
    VirtualClock,
    process_cpu_s,
    utc_now,
)
from harness.kernel.entries import SutEntry
from harness.kernel.errors import BadInput, HarnessError, RunBroke
from harness.kernel.protocols import SUT, OfProcess, Reachable, Say
from harness.kernel.types import (
    MemoryUse,
    RunLog,
    RunSettings,
)
from harness.official import driver as mlcommons
from harness.official.relay import Relay
from harness.official.wheel import require_wheel
from harness.options.effective import effective
from harness.options.settings import Mode, RunConfig, run_settings
from harness.result import evaluation, logs, search
from harness.result.library import library
from harness.result.publish import publish
from harness.result.read import ACCURACY_PART
from harness.result.result import Result
from harness.run.forecast import conflicts_of
from harness.run.journaling import journaled
from harness.run.keeping import ask_back, expected_bytes, keep, keep_again
from harness.run.parts import Origin, Parts
from harness.run.signals import deaf, stoppable
from harness.run.start import start
from harness.run.warmup import given_rate, rate_seen, warmup, warmup_samples
from reports import conf_lines
from scenarios import peak_verdict


class Run:
    """`with Run(config, say) as run: run.execute()`. Closes the SUT and the clock whatever
    happens.
    """

    def __init__(
        self, config: RunConfig, say: Say, progress: bool = True, parts: Parts | None = None
    ) -> None:
        self.config, self._say, self._progress = config, say, progress
        self._parts = parts or Parts()
        self.stop = Stop()
        self.entry = registry.sut_entry(config.sut)
        registry.check_plugins()
        if config.driver == "mlcommons":
            require_wheel()
        self.samples, self.source = library(config)
        self.scenario = registry.scenario(config.scenario)
        expected = self._settings(given_rate(config))  # refuses what the library cannot give
        now = utc_now()
        self.started_at = now.isoformat(timespec="seconds")
        name = f"{now:%Y%m%dT%H%M%SZ}_{config.scenario}_{_what(config, self.entry)}"
        begun = self._parts.origin
        self.folder = begun.folder if begun else runlog.create(config.output_dir, name)
        try:
            runlog.check_room(self.folder, expected_bytes(expected))
            runlog.check_writer(self.folder)
        except HarnessError:
            if not begun:
                shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.measured = begun is not None  # something is on disk that must not be lost
        self.conflicts: list[dict[str, Any]] = []  # known once the rate is
        self._environment = environment.describe()
        self.clock = VirtualClock() if config.clock == "virtual" else RealClock()
        self.sut: SUT | None = None

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with deaf():
            for part in filter(None, (self.sut, self.clock)):
                _close(part)
            never_began = kind is not None and issubclass(kind, (BadInput, KeyboardInterrupt))
            if never_began and not self.measured:  # after other faults its log may help
                shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self) -> Result:
        """Make the whole run. Raises HarnessError if it cannot begin; a run that breaks returns a
        Result that says so.
        """
        self._describe(self.folder, self._settings(given_rate(self.config)))
        for sentence in conf_lines.sentences(self.config.conf_files):
            self._say(sentence)
        self.sut = sut = start(self.config, self.entry, self.clock, self.folder, self._say)
        loading = f"loading {self.config.model} in {self.config.variant}"
        self._say(loading if self.entry.runs_model else "")
        sut.load(self.samples, Recorder(self.clock))
        rate = self._calibrate(sut)
        begun = self._parts.begin(Origin(self.folder, self.started_at, *rate))
        _, self.started_at, target_qps, self._qps_origin = begun
        self._warn(self._settings(target_qps))
        modes = {"submission": self._submit, "find-peak": self._find_peak}
        with stoppable(self.stop, self.clock):  # to the end: Ctrl-C must cost nothing measured
            return modes.get(self.config.mode, self._one)(sut, target_qps)

    def _warn(self, settings: RunSettings) -> None:
        """Say what contradicts itself before the time it would waste, and keep it."""
        rate_known = not self._qps_origin.startswith("default")
        schedule = self.scenario.schedule(settings)
        found = conflicts_of(self.config, settings, schedule, rate_known)
        self.conflicts = [asdict(conflict) for conflict in found]
        if found:
            self._say("")
        for conflict in found:
            sure = "this run cannot be VALID: " if conflict.certain else ""
            print(f"note: {sure}{conflict.detail}; {conflict.remedy}", file=sys.stderr)

    # ---- the modes

    def _one(self, sut: SUT, target_qps: float) -> Result:
        return self._part(sut, self._settings(target_qps), self.folder, last=True)

    def _submit(self, sut: SUT, target_qps: float) -> Result:
        """Run accuracy over every sample, then performance: two whole run folders, the first inside
        the second.
        """
        settings = self._settings(target_qps, "accuracy")
        if self._parts.known(ACCURACY_PART, settings) is None:
            accuracy = self._part(sut, settings, runlog.part(self.folder, ACCURACY_PART))
            if accuracy.status in search.BROKE:
                self.folder /= ACCURACY_PART
                return accuracy
            self._parts.keep(ACCURACY_PART, accuracy, {})
        settings = self._settings(target_qps)
        if self._parts.known("performance", settings) is not None:
            return self._finish(sut, self.folder)
        result = self._part(sut, settings, self.folder, last=True)
        self._parts.keep("performance", result, {})
        return result

    def _find_peak(self, sut: SUT, target_qps: float) -> Result:
        """Search for the highest rate that holds, as LoadGen does; the best run becomes this
        folder's own.
        """
        from scenarios.loadgen.find_peak import next_qps

        steps: list[dict[str, Any]] = []
        qps, ended = target_qps, ""
        while not ended:
            steps.append(self._step(sut, qps, len(steps) + 1))
            if steps[-1]["status"] in search.BROKE:
                ended = steps[-1]["status"]
                break
            following = next_qps([(step["target_qps"], step["held"]) for step in steps])
            if following is None:
                ended = "open" if all(step["held"] for step in steps) else "closed"
            elif peak_verdict.is_too_large(self._settings(following)):
                ended = "size"
            else:
                qps = following
        held = [step for step in steps if step["held"] and step["status"] not in search.BROKE]
        best = max(held, key=lambda step: step["target_qps"], default=steps[-1])
        runlog.write_json(self.folder / search.FILE, {"steps": steps, "ended": ended})
        runlog.adopt(self.folder, self.folder / best["folder"])
        result = self._finish(sut, self.folder, last=True)
        self._parts.keep("peak", result, {})
        return result

    def _step(self, sut: SUT, qps: float, number: int) -> dict[str, Any]:
        name, settings = f"step_{number:02d}", self._settings(qps)
        if (known := self._parts.known(name, settings)) is not None:
            return known
        self._say(f"step {number}: {qps:g} queries/s")
        folder = runlog.part(self.folder, name)
        found = self._part(sut, settings, folder, page=False)
        row = search.row(found, runlog.read_log(folder)[0], settings, folder.name)
        self._parts.keep(name, found, row)
        return row

    def _part(
        self, sut: SUT, settings: RunSettings, folder: Path, last: bool = False, page: bool = True
    ) -> Result:
        """Make one timed part, from its settings to its published folder. The run's evaluation
        follows the `last`.
        """
        self._describe(folder, settings)
        run_id = "/".join(dict.fromkeys((self.folder.name, folder.name)))
        facts = RunFacts(run_id=run_id, started_at=self.started_at)
        facts.target_qps_origin = self._qps_origin
        facts.driver = {"channel_roundtrip_us": _roundtrip_us(sut)}
        facts.sut = sut.facts()
        if self.entry.uses_gpu:
            facts.gpus = gpus.metered(facts.sut, os.environ).to_json()
        with self._recorder(sut, settings, facts, folder) as recorder:
            log, start_ns = self._measure(sut, settings, facts, folder, recorder)
            keep(folder, log, facts)  # first of all: what was measured is safe now
        self._say("reading the outputs")
        pieces = Pieces(facts.missing)
        ask_back(sut, log, facts, pieces)
        make = partial(runlog.write_telemetry, folder, folder / "telemetry.jsonl", start_ns)
        pieces.make("file", "telemetry.parquet", make, None, later=False)
        facts.missing = pieces.missing
        missing = keep_again(folder, log, facts, "texts and memory")
        return self._finish(sut, folder, last, page, missing)

    def _finish(
        self,
        sut: SUT,
        folder: Path,
        last: bool = False,
        page: bool = True,
        missing: Sequence[Mapping[str, Any]] = (),
    ) -> Result:
        """Judge and publish the raw files. Raises RunBroke, naming the folder, if that fails."""
        try:
            if last and self.config.evaluate:
                missing = [*missing, *self._evaluate(sut, folder)]
            return publish(folder, self.samples, page, missing)
        except Exception as fault:
            show_where(fault)
            raise RunBroke(
                "judging the run",
                reason(fault),
                "what was measured is kept",
                f"harness report {folder} tries again; TOUCHSTONE_DEBUG=1 shows where.",
            ) from fault

    def _evaluate(self, sut: SUT, folder: Path) -> list[dict[str, Any]]:
        """Score the reference answers, once everything measured is safe and the memory's peaks have
        been read: this phase has a peak of its own.
        """
        log, facts = runlog.read_log(folder)
        if log.end != "completed":
            return []
        facts.evaluation = evaluation.evaluate(sut, self.samples, self.stop, self._say)
        pieces = Pieces(facts.missing)
        name = "memory of the evaluation"
        use = pieces.make("figure", name, sut.memory, MemoryUse(), later=False)
        facts.memory["evaluation_peak_bytes"] = use.evaluation_peak_bytes
        facts.missing = pieces.missing
        return keep_again(folder, log, facts, "evaluation")

    # ---- before

    def _settings(self, target_qps: float, mode: Mode | None = None) -> RunSettings:
        return run_settings(self.config, len(self.samples), target_qps, mode)

    def _describe(self, folder: Path, settings: RunSettings) -> None:
        """Write what a run that dies still says of itself; again once the rate is known."""
        saved = {
            "config": self.config.model_dump(mode="json"),
            "run": asdict(settings),
            "dataset": self.source,
            "effective": [row._asdict() for row in effective(self.config, settings)],
            "conflicts": self.conflicts,
        }
        runlog.write_json(folder / "settings.json", saved)
        runlog.write_json(folder / "environment.json", self._environment)

    def _calibrate(self, sut: SUT) -> tuple[float, str]:
        """Warm up; return the rate in queries per second and its origin. Where the user left it
        open, it is a share of the throughput seen while warm.
        """
        is_given = self.config.target_qps != "auto"
        count = warmup_samples(self.config)
        if not count:
            origin = "given" if is_given else "default: nothing to calibrate on"
            return given_rate(self.config), origin
        self._say(f"warming up with {count} samples")
        recorder = Recorder(self.clock)
        sut.load(self.samples, recorder)
        # accuracy: the plan alone decides when it ends
        settings = replace(self._settings(1.0, "accuracy"), drain_timeout_ns=0)
        plan = warmup(count, len(self.samples), self.config)
        with stoppable(self.stop, self.clock):
            log = drive(plan, sut, self.clock, recorder, settings, self.stop)
        if self.stop.requests:
            raise KeyboardInterrupt
        if log.end == "error":
            raise RunBroke("warm-up", log.end_reason)
        if is_given:
            return given_rate(self.config), "given"
        return rate_seen(self.config, log)

    # ---- the timed part

    def _recorder(
        self, sut: SUT, settings: RunSettings, facts: RunFacts, folder: Path
    ) -> AbstractContextManager[Recorder]:
        if self.config.driver == "mlcommons":
            return nullcontext(Relay(self.clock, settings))
        return journaled(self.clock, sut, settings, folder, facts)

    def _measure(
        self, sut: SUT, settings: RunSettings, facts: RunFacts, folder: Path, recorder: Recorder
    ) -> tuple[RunLog, int]:
        schedule = self.scenario.schedule(settings)
        limits = replace(settings, min_queries=max(settings.min_queries, schedule.min_issued))
        total = self._expected_samples(limits, schedule.indices.size)
        sut.load(self.samples, recorder)
        pieces = Pieces(facts.missing)
        begin = partial(self._telemetry, sut, total, folder, facts)
        helper = pieces.make("file", "telemetry", begin, None, later=False)
        self._say("")
        facts.measured_at = utc_now().isoformat(timespec="milliseconds")
        pids = _processes(sut)
        before = load.read(pids) if isinstance(self.clock, RealClock) else None
        used_s, start_ns = process_cpu_s(), self.clock.now_ns()
        plan = self.scenario.plan(settings, schedule)
        self.measured, on_idle = True, helper.on_idle if helper else None
        try:
            if isinstance(recorder, Relay):
                due = mlcommons.due_offsets(settings, schedule)
                log = mlcommons.drive(
                    settings, sut, self.clock, recorder, folder, due, self.stop, on_idle
                )
                facts.notes = recorder.repairs()
                facts.log_hashes = logs.hashes(folder)
            else:
                log = drive(plan, sut, self.clock, recorder, limits, self.stop, on_idle)
        finally:
            wall_s = (self.clock.now_ns() - start_ns) / 1e9
            facts.load = load.between(before, load.read(pids)) if before else {}
            if helper:
                pieces.make("file", "telemetry", partial(_end, helper, recorder), None, later=False)
            facts.missing = pieces.missing
        if isinstance(self.clock, RealClock) and wall_s > 0:
            facts.driver["client_cpu_percent"] = round(100 * (process_cpu_s() - used_s) / wall_s, 2)
        return log, start_ns

    def _expected_samples(self, limits: RunSettings, planned: int) -> int | None:
        """Return the number of samples that progress counts towards; None if time ends the run."""
        if limits.mode == "accuracy" or not self.config.pattern.is_closed:
            return int(planned)
        return None if limits.min_duration_ns else limits.min_queries * limits.samples_per_query

    def _telemetry(
        self, sut: SUT, total: int | None, folder: Path, facts: RunFacts
    ) -> Telemetry | None:
        if not isinstance(self.clock, RealClock):
            return None
        out, metered = folder / "telemetry.jsonl", facts.gpus.get("indices", [])
        return Telemetry(out, _processes(sut), total, self._progress, metered)


def _processes(sut: SUT) -> dict[str, int]:
    """Return the processes whose memory and load are read, by their role."""
    pids = {"driver": os.getpid()}
    return pids | {"sut": sut.pid} if isinstance(sut, OfProcess) else pids


def _what(config: RunConfig, entry: SutEntry) -> str:
    """Say in a folder's name what is measured."""
    if not entry.runs_model:
        return config.sut.replace(":", ".")
    return f"{config.model.rstrip('/').split('/')[-1]}_{config.variant}"


def _roundtrip_us(sut: SUT) -> float | None:
    return sut.ping_us() if isinstance(sut, Reachable) else None


def _end(helper: Telemetry, recorder: Recorder) -> None:
    helper.on_idle(recorder)
    helper.stop()


def _close(part: Any) -> None:
    """Close it. A system that cannot even be closed does not take the verdict with it."""
    try:
        part.close()
    except Exception as fault:
        print(f"note: closing {type(part).__name__}: {reason(fault)}", file=sys.stderr)
