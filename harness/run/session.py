"""One run from the user's words to a finished folder: check, prepare, warm up, measure, write down,
judge.

Nothing here is timed but `measure`; nothing inside `measure` writes a file.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any, NamedTuple

import numpy as np

from accuracy.outputs.texts import read_back
from harness import registry
from harness.engine import environment, runlog
from harness.engine.driver import Stop, drive
from harness.engine.pieces import Pieces, reason, show_where
from harness.engine.recorder import Recorder
from harness.engine.runlog import RunFacts
from harness.engine.telemetry import Telemetry
from harness.kernel.clock import (
    RealClock,
    VirtualClock,
    process_cpu_s,
    utc_now,
    wake_on_signals,
)
from harness.kernel.errors import BadInput, HarnessError, RunBroke
from harness.kernel.protocols import SUT, OfProcess, Reachable
from harness.kernel.types import (
    AfterInFlight,
    MemoryUse,
    Query,
    QuerySample,
    RunLog,
    RunSettings,
    Sample,
)
from harness.official import driver as mlcommons
from harness.options.effective import effective
from harness.options.settings import UNCALIBRATED_QPS, Mode, RunConfig, run_settings
from harness.run import evaluation, logs, search
from harness.run import result as results
from reports import conf_lines
from scenarios import peak_verdict

Say = Callable[[str], None]
_PATIENCE = 3  # so many Ctrl-C are polite requests
_CALIBRATION_LOAD = 0.4  # of the throughput that the warm-up reached
_SIMULATED_SAMPLES = 1000


class Run:
    """`with Run(config, say) as run: run.execute()`. Closes the SUT and the clock whatever
    happens.
    """

    def __init__(self, config: RunConfig, say: Say, progress: bool = True) -> None:
        self.config, self._say, self._progress = config, say, progress
        self.stop = Stop()
        self.entry = registry.sut_entry(config.sut)
        registry.check_plugins()
        if config.driver == "mlcommons":
            mlcommons.require_wheel()
        self.samples, self.source = _library(config)
        self.scenario = registry.scenario(config.scenario)
        expected = run_settings(
            config, len(self.samples), _given_rate(config)
        )  # refuses what the library cannot give
        now = utc_now()
        self.started_at = now.isoformat(timespec="seconds")
        what = (
            f"{config.model.rstrip('/').split('/')[-1]}_{config.variant}"
            if self.entry.runs_model
            else config.sut.replace(":", ".")
        )
        self.folder = runlog.create(
            config.output_dir, f"{now:%Y%m%dT%H%M%SZ}_{config.scenario}_{what}"
        )
        try:
            runlog.check_room(self.folder, _expected_bytes(expected))
            runlog.check_writer(self.folder)
        except HarnessError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.measured = False  # something is on disk that must not be lost
        self.conflicts: list[dict[str, Any]] = []  # known once the rate is
        self._environment = environment.describe()
        self.clock = VirtualClock() if config.clock == "virtual" else RealClock()
        self.sut: SUT | None = None

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with _deaf():
            for part in filter(None, (self.sut, self.clock)):
                _close(part)
            never_began = kind is not None and issubclass(kind, (BadInput, KeyboardInterrupt))
            if never_began and not self.measured:  # after other faults its log may help
                shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self) -> results.Result:
        """The whole run. Raises HarnessError if it cannot begin; a run that breaks returns a Result
        that says so.
        """
        self._describe(self.folder, self._settings(_given_rate(self.config)))
        for sentence in conf_lines.sentences(self.config.conf_files):
            self._say(sentence)
        self.sut = sut = self._start()
        self._say(
            f"loading {self.config.model} in {self.config.variant}" if self.entry.runs_model else ""
        )
        sut.load(self.samples, Recorder(self.clock))
        target_qps, self._qps_origin = self._calibrate(sut)
        self._warn(self._settings(target_qps))
        modes = {"submission": self._submit, "find-peak": self._find_peak}
        with self._stoppable():  # to the end: from here on Ctrl-C must not cost what was measured
            return modes.get(self.config.mode, self._one)(sut, target_qps)

    def _warn(self, settings: RunSettings) -> None:
        """What contradicts itself is said before the time it would waste, and kept."""
        rate_known = not self._qps_origin.startswith("default")
        schedule = self.scenario.schedule(settings)
        found = _conflicts(self.config, settings, schedule, rate_known)
        self.conflicts = [asdict(conflict) for conflict in found]
        if found:
            self._say("")
        for conflict in found:
            sure = "this run cannot be VALID: " if conflict.certain else ""
            print(f"note: {sure}{conflict.detail}; {conflict.remedy}", file=sys.stderr)

    # ---- the modes

    def _one(self, sut: SUT, target_qps: float) -> results.Result:
        return self._part(sut, self._settings(target_qps), self.folder, last=True)

    def _submit(self, sut: SUT, target_qps: float) -> results.Result:
        """Accuracy over every sample, then performance: two whole run folders, the first inside the
        second.
        """
        accuracy = self._part(
            sut,
            self._settings(target_qps, "accuracy"),
            runlog.part(self.folder, results.ACCURACY_PART),
        )
        if accuracy.status in ("ERROR", "INTERRUPTED"):
            self.folder /= results.ACCURACY_PART
            return accuracy
        return self._part(sut, self._settings(target_qps), self.folder, last=True)

    def _find_peak(self, sut: SUT, target_qps: float) -> results.Result:
        """LoadGen's search for the highest rate that holds; the best run becomes this folder's
        own.
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
        return self._finish(sut, self.folder, last=True)

    def _step(self, sut: SUT, qps: float, number: int) -> dict[str, Any]:
        self._say(f"step {number}: {qps:g} queries/s")
        folder, settings = runlog.part(self.folder, f"step_{number:02d}"), self._settings(qps)
        found = self._part(sut, settings, folder, page=False)
        return search.row(found, runlog.read_log(folder)[0], settings, folder.name)

    def _part(
        self, sut: SUT, settings: RunSettings, folder: Path, last: bool = False, page: bool = True
    ) -> results.Result:
        """One timed part, from its settings to its published folder. The run's evaluation follows
        the `last`.
        """
        self._describe(folder, settings)
        facts = RunFacts(
            run_id="/".join(dict.fromkeys((self.folder.name, folder.name))),
            started_at=self.started_at,
        )
        facts.target_qps_origin = self._qps_origin
        facts.driver = {"channel_roundtrip_us": _roundtrip_us(sut)}
        facts.sut = sut.facts()
        log, start_ns = self._measure(sut, settings, facts, folder)
        _keep(folder, log, facts)  # first of all: what was measured is safe now
        self._say("reading the outputs")
        pieces = Pieces(facts.missing)
        _ask_back(sut, log, facts, pieces)
        pieces.make(
            "file",
            "telemetry.parquet",
            lambda: runlog.write_telemetry(folder, folder / "telemetry.jsonl", start_ns),
            None,
            later=False,
        )
        facts.missing = pieces.missing
        missing = _keep_again(folder, log, facts, "texts and memory")
        return self._finish(sut, folder, last, page, missing)

    def _finish(
        self,
        sut: SUT,
        folder: Path,
        last: bool = False,
        page: bool = True,
        missing: Sequence[Mapping[str, Any]] = (),
    ) -> results.Result:
        """From the raw files to the verdict. Raises RunBroke, naming the folder, if that fails."""
        try:
            if last and self.config.evaluate:
                missing = [*missing, *self._evaluate(sut, folder)]
            return results.publish(folder, self.samples, page, missing)
        except Exception as fault:
            show_where(fault)
            raise RunBroke(
                "judging the run",
                reason(fault),
                "what was measured is kept",
                f"harness report {folder} tries again; TOUCHSTONE_DEBUG=1 shows where.",
            ) from fault

    def _evaluate(self, sut: SUT, folder: Path) -> list[dict[str, Any]]:
        """When everything measured is safe and the memory's peaks have been read: this phase has
        one of its own.
        """
        log, facts = runlog.read_log(folder)
        if log.end != "completed":
            return []
        facts.evaluation = evaluation.evaluate(sut, self.samples, self.stop, self._say)
        pieces = Pieces(facts.missing)
        use = pieces.make(
            "figure", "memory of the evaluation", sut.memory, MemoryUse(), later=False
        )
        facts.memory["evaluation_peak_bytes"] = use.evaluation_peak_bytes
        facts.missing = pieces.missing
        return _keep_again(folder, log, facts, "evaluation")

    # ---- before

    def _settings(self, target_qps: float, mode: Mode | None = None) -> RunSettings:
        return run_settings(self.config, len(self.samples), target_qps, mode)

    def _describe(self, folder: Path, settings: RunSettings) -> None:
        """What a run that dies still says of itself; written again once the rate is known."""
        config = self.config.model_dump(mode="json")
        origins = [row._asdict() for row in effective(self.config, settings)]
        saved = {
            "config": config,
            "run": asdict(settings),
            "dataset": self.source,
            "effective": origins,
            "conflicts": self.conflicts,
        }
        runlog.write_json(folder / "settings.json", saved)
        runlog.write_json(folder / "environment.json", self._environment)

    def _start(self) -> SUT:
        entry, options = self.entry, self._options()
        if not entry.isolated or self.config.in_process:
            return registry.make_sut(entry, self.clock, options)
        from sut.border.isolated import Isolated
        from sut.border.threads import environment as thread_environment

        return Isolated(
            self.clock, entry.target, options, self.folder / "sut.log", thread_environment()
        )

    def _options(self) -> dict[str, Any]:
        config = self.config
        if not self.entry.runs_model:
            registry.check_options(config.sut, config.sut_options)
            return dict(config.sut_options)
        from sut.model.find import resolve

        model = resolve(config.model, self._say)
        return {
            "path": model.path,
            "variant": config.variant,
            "max_batch": config.max_concurrency,
            "device": config.device,
            "device_map": config.device_map,
            "adapter": None if config.adapter is None else str(config.adapter),
            "merge_adapter": config.merge_adapter,
            "kv_cache_bytes": None
            if config.kv_cache_gib is None
            else int(config.kv_cache_gib * 2**30),
            "truncate": config.truncate,
            "trust_remote_code": config.trust_remote_code,
            "notes": list(model.notes),
        }

    def _calibrate(self, sut: SUT) -> tuple[float, str]:
        """Warm up, and choose the rate where the user left it open: a share of the throughput seen
        while warm.
        """
        given = self.config.target_qps
        count = _warmup_samples(self.config)
        if not count:
            return _given_rate(
                self.config
            ), "given" if given != "auto" else "default: nothing to calibrate on"
        self._say(f"warming up with {count} samples")
        recorder = Recorder(self.clock)
        sut.load(self.samples, recorder)
        settings = replace(
            self._settings(1.0, "accuracy"), drain_timeout_ns=0
        )  # accuracy: the plan alone decides when it ends
        with self._stoppable():
            log = drive(
                _warmup(count, len(self.samples), self.config),
                sut,
                self.clock,
                recorder,
                settings,
                self.stop,
            )
        if self.stop.requests:
            raise KeyboardInterrupt
        if log.end == "error":
            raise RunBroke("warm-up", log.end_reason)
        if given != "auto":
            return float(given), "given"
        rate = _steady_rate(log)
        if rate is None:
            return _given_rate(self.config), "default: the warm-up completed nothing"
        share = _CALIBRATION_LOAD if self.config.pattern.is_open else 1.0
        qps = float(f"{rate * share / self.config.size_of_query:.3g}")
        return qps, f"auto: {share:.0%} of {rate:.3g} samples/s, seen in the warm-up"

    # ---- the timed part

    def _measure(
        self, sut: SUT, settings: RunSettings, facts: RunFacts, folder: Path
    ) -> tuple[RunLog, int]:
        schedule = self.scenario.schedule(settings)
        least = max(settings.min_queries, schedule.min_issued)
        if settings.mode == "accuracy" or not self.config.pattern.is_closed:
            total: int | None = int(schedule.indices.size)
        else:
            total = least * settings.samples_per_query if not settings.min_duration_ns else None
        official = self.config.driver == "mlcommons"
        recorder = mlcommons.Relay(self.clock, settings) if official else Recorder(self.clock)
        sut.load(self.samples, recorder)
        pieces = Pieces(facts.missing)
        helper = pieces.make(
            "file", "telemetry", lambda: self._telemetry(sut, total, folder), None, later=False
        )
        self._say("")
        facts.measured_at = utc_now().isoformat(timespec="milliseconds")
        used_s, start_ns = process_cpu_s(), self.clock.now_ns()
        plan = self.scenario.plan(settings, schedule)
        self.measured, on_idle = True, helper.on_idle if helper else None
        try:
            if isinstance(recorder, mlcommons.Relay):
                log = mlcommons.drive(
                    settings,
                    sut,
                    self.clock,
                    recorder,
                    folder,
                    mlcommons.due_offsets(settings, schedule),
                    self.stop,
                    on_idle,
                )
                facts.notes = recorder.repairs()
                facts.log_hashes = logs.hashes(folder)
            else:
                limits = replace(settings, min_queries=least)
                log = drive(plan, sut, self.clock, recorder, limits, self.stop, on_idle)
        finally:
            wall_s = (self.clock.now_ns() - start_ns) / 1e9
            if helper:
                pieces.make("file", "telemetry", partial(_end, helper, recorder), None, later=False)
            facts.missing = pieces.missing
        if isinstance(self.clock, RealClock) and wall_s > 0:
            facts.driver["client_cpu_percent"] = round(100 * (process_cpu_s() - used_s) / wall_s, 2)
        return log, start_ns

    def _telemetry(self, sut: SUT, total: int | None, folder: Path) -> Telemetry | None:
        if not isinstance(self.clock, RealClock):
            return None
        pids = {"driver": os.getpid()}
        if isinstance(sut, OfProcess):
            pids["sut"] = sut.pid
        return Telemetry(folder / "telemetry.jsonl", pids, total, self._progress)

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Ctrl-C (or a polite kill) stops issuing and drains; a second one stops waiting too."""
        if current_thread() is not main_thread():
            yield
            return

        def on_signal(*_: object) -> None:
            self.stop.request()
            self.clock.notify()
            if self.stop.requests > _PATIENCE:
                raise KeyboardInterrupt

        old = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            with wake_on_signals(self.clock):
                yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


def fetch(configs: Iterable[RunConfig], say: Say) -> None:
    """Make the models of these runs loadable, before the first of them begins. Raises SetupFailed,
    once instead of in each run.
    """
    from sut.model.find import resolve

    for name in dict.fromkeys(config.model for config in configs if _runs_model(config)):
        resolve(name, say)


class Forecast(NamedTuple):
    """A run that is not made: its settings and schedule, a word on its length by label, and what
    contradicts itself in it.
    """

    settings: RunSettings
    schedule: Any
    sentences: dict[str, str]
    conflicts: list[Any]


def forecast(config: RunConfig) -> Forecast:
    """What `harness plan` shows."""
    uses_dataset = registry.sut_entry(config.sut).uses_dataset
    count = len(_library(config)[0]) if uses_dataset else config.num_samples or _SIMULATED_SAMPLES
    settings = run_settings(config, count, _given_rate(config))
    schedule = registry.scenario(config.scenario).schedule(settings)
    from scenarios.forecast import forecast

    sentences = forecast(settings, schedule)
    if config.mode == "find-peak":
        sentences = {"length": f"each step of the search: {sentences['length']}"}
    rate_known = config.target_qps != "auto"
    found = _conflicts(config, settings, schedule, rate_known)
    return Forecast(settings, schedule, sentences, found)


def _conflicts(
    config: RunConfig, settings: RunSettings, schedule: Any, rate_known: bool
) -> list[Any]:
    from scenarios.conflicts import conflicts

    search = config.mode == "find-peak"
    return conflicts(settings, schedule, _warmup_samples(config), search, rate_known)


def _library(config: RunConfig) -> tuple[list[Sample], dict[str, Any]]:
    """The samples (QSL). SUTs without a model get numbered stand-ins."""
    if not registry.sut_entry(config.sut).uses_dataset:
        n = config.num_samples or _SIMULATED_SAMPLES
        samples = [
            Sample(i, f"sample {i}", max_new_tokens=config.tokens_per_answer) for i in range(n)
        ]
        return samples, {"name": "none", "rows": n}
    from accuracy.datasets.files import load_dataset

    loaded = load_dataset(
        config.dataset,
        config.tokens_per_answer,
        config.num_samples,
        config.prompt_column,
        config.reference_column,
    )
    return loaded.samples, loaded.source


def _given_rate(config: RunConfig) -> float:
    return UNCALIBRATED_QPS if config.target_qps == "auto" else float(config.target_qps)


def _warmup_samples(config: RunConfig) -> int:
    """Enough to fill the batch twice over, so that its steady throughput shows; none where nothing
    can be cold.
    """
    if config.warmup is not None:
        return config.warmup
    if not registry.sut_entry(config.sut).warms_up:
        return 0
    if config.target_qps == "auto" and not config.pattern.is_closed:
        return min(2 * config.max_concurrency, 64)
    return 4


def _warmup(count: int, library: int, config: RunConfig) -> Iterator[Query]:
    """Samples from the end of the library, as many in flight as the batch holds (one in
    single-stream).
    """
    gate = AfterInFlight(1 if config.pattern.is_one_by_one else config.max_concurrency)
    for i in range(count):
        yield Query(i, (QuerySample(i, (library - 1 - i) % library),), gate)


def _steady_rate(log: RunLog) -> float | None:
    """Samples per second between the first and the last completion, so that a cold start counts
    less.
    """
    done = np.sort(log.done_ns[log.completed])
    if not len(done):
        return None
    first = len(done) // 4
    span_s = float(done[-1] - done[first]) / 1e9
    whole_s = float(done[-1]) / 1e9
    if span_s > 0:
        return (len(done) - 1 - first) / span_s if first else len(done) / whole_s
    return len(done) / whole_s if whole_s else None


def _runs_model(config: RunConfig) -> bool:
    return registry.sut_entry(config.sut).runs_model


def _roundtrip_us(sut: SUT) -> float | None:
    return sut.ping_us() if isinstance(sut, Reachable) else None


def _end(helper: Telemetry, recorder: Recorder) -> None:
    helper.on_idle(recorder)
    helper.stop()


def _close(part: Any) -> None:
    """A system that cannot even be closed in order does not take the verdict with it."""
    try:
        part.close()
    except Exception as fault:
        print(f"note: closing {type(part).__name__}: {reason(fault)}", file=sys.stderr)


def _ask_back(sut: SUT, log: RunLog, facts: RunFacts, pieces: Pieces) -> None:
    """Memory and texts: as much of each as a SUT that may have died can still give."""
    use = pieces.make("figure", "memory", sut.memory, MemoryUse(), later=False)
    facts.memory = asdict(use)
    read = pieces.make("texts", "texts", lambda: read_back(log, sut.decode), None, later=False)
    if read is not None:
        log.texts, differing, facts.sut["texts_from"] = read
        log.anomalies += differing


def _keep(folder: Path, log: RunLog, facts: RunFacts) -> None:
    """samples.parquet; in another place if the folder takes no more. Raises RunBroke then."""
    try:
        runlog.write_log(folder, log, facts)
    except Exception as fault:
        doing = f"writing {folder / 'samples.parquet'}"
        try:
            place = runlog.rescue_log(folder, log, facts)
        except Exception as another:
            raise RunBroke(doing, reason(fault), f"nor anywhere else: {reason(another)}") from fault
        kept, todo = f"what was measured is in {place}", f"harness report {place} reads it."
        raise RunBroke(doing, reason(fault), kept, todo) from fault


def _keep_again(folder: Path, log: RunLog, facts: RunFacts, what: str) -> list[dict[str, Any]]:
    """With what has been found out since; if that cannot be written, what is there stays."""
    pieces = Pieces()
    pieces.make("file", what, lambda: runlog.rewrite_log(folder, log, facts), None, later=False)
    return pieces.missing


@contextmanager
def _deaf() -> Iterator[None]:
    """No Ctrl-C while tidying up: it takes seconds at most."""
    if current_thread() is not main_thread():
        yield
        return
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)


def _expected_bytes(settings: RunSettings) -> int:
    """A generous guess: ids, stamps and text of every sample we may issue, and a floor for the
    rest.
    """
    by_time = int(2 * settings.target_qps * settings.min_duration_ns / 1e9)
    count = max(settings.min_queries, by_time, settings.num_samples) * settings.samples_per_query
    return 4 * 2**20 + count * (200 + 20 * settings.max_new_tokens)
