"""One run from the user's words to a finished folder: check, prepare, warm up, measure, write down,
judge.

Nothing here is timed but `measure`; nothing inside `measure` writes a file.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from harness import registry
from harness.engine import environment, runlog
from harness.engine.dispatched.arm import arm_of, drive
from harness.engine.dispatched.arm import recorder as recorder_for
from harness.engine.driver import Stop
from harness.engine.pieces import Pieces, noted, reason, show_where
from harness.engine.recorder import Recorder
from harness.engine.runlog import RunFacts
from harness.kernel import files
from harness.kernel.clock import RealClock, VirtualClock, utc_now
from harness.kernel.errors import BadInput, HarnessError, RunBroke
from harness.kernel.foreign.consent import remember
from harness.kernel.log import RunLog
from harness.kernel.privacy.logs import hide_secrets
from harness.kernel.privacy.secrets import hidden_in
from harness.kernel.process.stopping import deaf
from harness.kernel.process.streams import tell
from harness.kernel.protocols import SUT, Announced, Dispatcher, Logged, Say
from harness.kernel.types import MemoryUse, RunSettings
from harness.loads.library import longest
from harness.official.wheel import require_wheel
from harness.options.effective import effective
from harness.options.saved import wishes, without_secrets
from harness.options.settings import Mode, RunConfig, run_settings
from harness.result import evaluation, search
from harness.result.library import library
from harness.result.publish import publish
from harness.result.read import ACCURACY_PART
from harness.result.result import Result
from harness.running import sampling
from harness.running.forecast import conflicts_of
from harness.running.keeping import (
    Written,
    expected_bytes,
    keep,
    keep_again,
    note_seal,
    refuse_elsewhere,
    what_of,
)
from harness.running.parts import Origin, Parts
from harness.running.searching import rates
from harness.running.signals import stoppable
from harness.running.start import close, start
from harness.running.timed import Timed
from harness.running.untimed import ask_back, commit, load, roundtrip_us
from harness.running.warmup import (
    given_by,
    given_rate,
    rate_seen,
    refuse_unanswered,
    warmup,
    warmup_samples,
)
from reports import conf_lines
from scenarios.peak.watch import Watch


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
        found = library(config)
        self.samples, self.source, self._own_qps = found.samples, found.source, found.qps
        self.scenario = registry.scenario(config.scenario, found.rows)
        expected = self._settings(
            given_rate(config, self._own_qps)
        )  # refuses what the library cannot give
        now = utc_now()
        self.started_at = now.isoformat(timespec="seconds")
        name = f"{now:%Y%m%dT%H%M%SZ}_{config.scenario}_{what_of(config, self.entry)}"
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
        self.kept: Path | None = None  # where the part is that was measured last
        self._written = Written()  # what the run is judged by, whatever becomes of its folder
        self.conflicts: list[dict[str, Any]] = []  # known once the rate is
        self._environment = environment.describe()
        self.clock = VirtualClock() if config.clock == "virtual" else RealClock()
        self.sut: SUT | None = None
        self._modes = {"submission": self._submit, "find-peak": self._find_peak}  # of several parts

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with deaf():
            for part in filter(None, (self.sut, self.clock)):
                close(part)
            hide_secrets(self.folder / "sut.log")
            if kind is not None and issubclass(kind, KeyboardInterrupt):
                self._tell_what_is_kept()
            elif kind is not None and issubclass(kind, BadInput) and not self.measured:
                shutil.rmtree(self.folder, ignore_errors=True)  # else its log may help

    def _tell_what_is_kept(self) -> None:
        """Say of a run that was stopped what there is of it; leave no folder of nothing."""
        if self.kept is not None:
            tell(f"what was measured is kept: see python -m harness report {self.kept}")
            return
        if not self.measured and self._parts.origin is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        if not self.measured:
            tell("the run was stopped before anything was measured")

    def execute(self) -> Result:
        """Make the whole run. Raises HarnessError if it cannot begin; a run that breaks returns a
        Result that says so.
        """
        self._describe(self.folder, self._settings(given_rate(self.config, self._own_qps)))
        self._parts.begin(Origin(self.folder, self.started_at))
        for sentence in conf_lines.sentences(self.config.conf_files):
            self._say(sentence)
        self._gpus_before = sampling.gpus_before(self.config, self.entry, self.clock)
        self.sut = sut = start(self.config, self.entry, self.clock, self.folder, self._say)
        loading = f"loading {self.config.model} in {self.config.variant}"
        asking = "finding out what the server does" if self.entry.asks_server else ""
        self._say(loading if self.entry.runs_model else asking)
        self._load_s = load(sut, self.samples, Recorder(self.clock))
        rate = self._calibrate(sut)
        begun = self._parts.begin(Origin(self.folder, self.started_at, *rate))
        self.started_at, self._qps_origin = begun.started_at, begun.target_qps_origin
        target_qps = rate[0] if begun.target_qps is None else begun.target_qps
        self._warn(self._settings(target_qps))
        with stoppable(self.stop, self.clock):  # to the end: Ctrl-C must cost nothing measured
            return self._modes.get(self.config.mode, self._one)(sut, target_qps)

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
            tell(f"note: {sure}{conflict.detail}; {conflict.remedy}")

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
        self._keep_last("performance", result)
        return result

    def _find_peak(self, sut: SUT, target_qps: float) -> Result:
        """Search for the highest rate that holds; the best run becomes this folder's own."""
        search_ = rates.search_of(self.config, self._settings, target_qps)
        steps: list[dict[str, Any]] = []
        wanted = search_.next(steps)
        while isinstance(wanted, rates.Step):
            steps.append(self._step(sut, wanted, len(steps) + 1))
            held = [step for step in steps if step["held"]]
            kept = [*held, search_.best(steps)]
            self._written.forget_all_but(*(self.folder / step["folder"] for step in kept))
            broke = steps[-1]["status"] in search.BROKE
            wanted = steps[-1]["status"] if broke else search_.next(steps)
        written = self._written.of(self.folder / search_.best(steps)["folder"])
        told = {"steps": steps, "ended": wanted} | search_.told(steps)
        of_search = files.write_json(self.folder / search.FILE, told)
        self._written[self.folder] = runlog.adopt(self.folder, written) | {search.FILE: of_search}
        result = self._finish(sut, self.folder, last=True)
        self._keep_last("peak", result)
        return result

    def _keep_last(self, name: str, result: Result) -> None:
        """Keep the row of the last part. A disk that does not take it costs no verdict."""
        with noted(f"row of the part {name}"):
            self._parts.keep(name, result, {})

    def _step(self, sut: SUT, step: rates.Step, number: int) -> dict[str, Any]:
        name, settings = f"step_{number:02d}", step.settings
        if (known := self._parts.known(name, settings)) is not None:
            return known
        why = f" ({step.purpose})" if step.purpose else ""
        self._say(f"step {number}: {settings.target_qps:.4g} queries/s{why}")
        folder = runlog.part(self.folder, name)
        found = self._part(sut, settings, folder, page=False, watch=step.watch())
        log, _ = runlog.read_log(folder, self._written[folder][runlog.SAMPLES])
        row = search.row(found, log, settings, folder.name)
        if step.purpose:
            row = search.of_sequence(row, found, log, settings, step, self.stop.suffices)
        self._parts.keep(name, found, row)
        return row

    def _part(
        self,
        sut: SUT,
        settings: RunSettings,
        folder: Path,
        last: bool = False,
        page: bool = True,
        watch: Watch | None = None,
    ) -> Result:
        """Make one timed part, from its settings to its published folder. The run's evaluation
        follows the `last`.
        """
        self._describe(folder, settings)
        if isinstance(sut, Announced):
            sut.announce(settings.mode)
        run_id = "/".join(dict.fromkeys((self.folder.name, folder.name)))
        facts = RunFacts(run_id=run_id, started_at=self.started_at)
        facts.target_qps_origin = self._qps_origin
        facts.driver = {"channel_roundtrip_us": roundtrip_us(sut)}
        facts.sut = hidden_in(sut.facts())
        if self.entry.uses_gpu:
            facts.gpus = sampling.gpus_of(facts.sut, sut, self._gpus_before)
        meanings = commit(sut)
        arm = self._arm(sut)
        timed = Timed(self.config, self.scenario, self.clock, self.stop, self._progress, arm)
        kept = timed.recorder(sut, settings, facts, folder)
        with self.stop.raising(False), kept as recorder:
            prepare_s = load(sut, self.samples, recorder)
            facts.driver |= {"load_s": self._load_s, "prepare_s": prepare_s}
            self._say("")
            self.measured = True
            log = timed.measure(sut, settings, facts, folder, recorder, watch)
            lines = folder / runlog.TELEMETRY_LINES
            folder = self._keep(folder, log, facts)  # first of all: what was measured is safe now
            self.kept = folder
        self._say("reading the outputs")
        pieces = Pieces(facts.missing)
        if isinstance(sut, Announced):
            nothing: dict[str, Any] = {}
            whose = "server" if self.entry.asks_server else "replicas"
            known = pieces.make("figure", whose, sut.after, nothing, later=False)
            facts.sut |= hidden_in(known)
        ask_back(sut, log, facts, pieces, meanings, self.samples)
        if isinstance(sut, Logged):
            sut.keep_log()
        make = partial(runlog.write_telemetry, folder, lines, facts.clock_start_ns)
        telemetry = pieces.make("file", runlog.TELEMETRY, make, None, later=False)
        if telemetry is not None:
            self._written[folder][runlog.TELEMETRY] = telemetry
        facts.missing = pieces.missing
        missing = self._keep_again(folder, log, facts, "texts and memory")
        return self._finish(sut, folder, last, page, missing)

    def _keep(self, folder: Path, log: RunLog, facts: RunFacts) -> Path:
        """Write the run down; return its folder, another one if its own takes no more. Raises
        RunBroke.
        """
        files = self._written.pop(folder)
        place, files[runlog.SAMPLES] = keep(folder, log, facts, files)
        self._written[place] = files
        if folder != self.folder or self.config.mode in self._modes:
            refuse_elsewhere(folder, place)
        else:
            self.folder = place
        return place

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
            if last and evaluation.is_needed(self.samples, self.config.evaluate):
                missing = [*missing, *self._evaluate(sut, folder)]
            note_seal(self._written.of(folder))
            page = page and not self.config.no_page
            return publish(folder, self.samples, page, missing, written=self._written)
        except Exception as fault:
            show_where(fault)
            raise RunBroke(
                "judging the run",
                reason(fault),
                "what was measured is kept",
                f"harness report {folder} tries again; TOUCHSTONE_DEBUG=1 shows where.",
            ) from fault

    def _evaluate(self, sut: SUT, folder: Path) -> list[dict[str, Any]]:
        """Score reference answers and choices, once everything measured is safe and the memory's
        peaks have been read: this phase has a peak of its own.
        """
        log, facts = runlog.read_log(folder, self._written.of(folder)[runlog.SAMPLES])
        if log.end != "completed":
            return []
        c = self.config
        wanted = c.evaluate, c.verifier, c.run_code, self.stop, self._say
        facts.evaluation = evaluation.after_run(sut, log, self.samples, *wanted)
        pieces, name = Pieces(facts.missing), "memory of the evaluation"
        use = pieces.make("figure", name, sut.memory, MemoryUse(), later=False)
        facts.memory["evaluation_peak_bytes"] = use.evaluation_peak_bytes
        facts.missing = pieces.missing
        return self._keep_again(folder, log, facts, "evaluation")

    def _keep_again(
        self, folder: Path, log: RunLog, facts: RunFacts, what: str
    ) -> list[dict[str, Any]]:
        files = self._written.of(folder)
        written = keep_again(folder, log, facts, what, files[runlog.SAMPLES])
        files[runlog.SAMPLES], missing = written
        return missing

    # ---- before

    def _settings(self, target_qps: float, mode: Mode | None = None) -> RunSettings:
        tokens = longest(self.samples, self.config.tokens_per_answer)
        return run_settings(self.config, len(self.samples), target_qps, mode, tokens)

    def _describe(self, folder: Path, settings: RunSettings) -> None:
        """Write what a run that dies still says of itself; again once the rate is known."""
        saved = {
            "config": without_secrets(self.config),
            "run": asdict(settings),
            "dataset": self.source,
            "effective": [row._asdict() for row in effective(self.config, settings)],
            "conflicts": self.conflicts,
        }
        if (sut := registry.record_of(self.config.sut)) is not None:
            saved["sut"] = sut
        self._written[folder] = {
            "settings.json": files.write_json(folder / "settings.json", saved),
            "environment.json": files.write_json(folder / "environment.json", self._environment),
        }
        if any(wishes(self.config)):
            remember(folder / "settings.json")

    def _arm(self, sut: SUT) -> Dispatcher | None:
        is_ours = registry.may_say_when(self.config.sut)
        return arm_of(sut, is_ours and self.config.driver != "mlcommons")

    def _calibrate(self, sut: SUT) -> tuple[float, str]:
        """Warm up; return the rate in queries per second and its origin. Where the user left it
        open, it is a share of the throughput seen while warm.
        """
        given = given_rate(self.config, self._own_qps), given_by(self.config)
        count = warmup_samples(self.config, len(self.samples))
        if not count:
            return given[0], given[1] or "default: nothing to calibrate on"
        self._say(f"warming up with {count} samples")
        arm = self._arm(sut)
        recorder = recorder_for(self.clock, arm)
        load(sut, self.samples, recorder)
        # accuracy: the plan alone decides when it ends
        settings = replace(self._settings(1.0, "accuracy"), drain_timeout_ns=0)
        plan = warmup(count, len(self.samples), self.config)
        with stoppable(self.stop, self.clock):
            log = drive(plan, sut, arm, self.clock, recorder, settings, self.stop)
        if self.stop.requests:
            raise KeyboardInterrupt
        if log.end == "error":
            raise RunBroke("warm-up", log.end_reason)
        refuse_unanswered(log)
        return given if given[1] else rate_seen(self.config, log)
