"""What came out of a run? `build` reads its raw files and nothing else, so a report made later
equals the one made after the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

import scenarios
from accuracy.datasets.subset import subset_notes
from accuracy.tasks import checks
from harness import registry
from harness.engine.environment import notes as environment_notes
from harness.engine.pieces import Pieces
from harness.engine.runlog import RunFacts
from harness.kernel.entries import SutEntry
from harness.kernel.log import RunLog
from harness.kernel.stats import summary_ms
from harness.kernel.types import RunSettings, Sample, Verdict
from harness.kernel.words.variant import named, precision_of
from harness.options.division import Division, division, official_lacks
from harness.options.settings import RunConfig
from harness.result import evaluation, measured, quiet, scored, served
from harness.result.attempts import drawn
from harness.result.capacity.goodput import capacity, goodput, objectives
from harness.result.device import self_check
from harness.result.doubts.doubt import Known
from harness.result.doubts.doubts import doubts
from harness.result.gpus import refused
from harness.result.gpus.energy import energy
from harness.result.gpus.energy import notes as energy_notes
from harness.result.gpus.over_run import over_run
from harness.result.integrity import seal
from harness.result.judge import judge, not_judged, official_verdict, status_of
from harness.result.measured import span_ns
from harness.result.phases import steady as steady_state
from harness.result.read import Raw, files_of
from scenarios import uncertainty

SCHEMA = "touchstone.result/1"
Row = dict[str, float | int | None]
_DRIVER = (
    "issue_lag_p99_ms", "error_percent", "client_cpu_percent", "channel_roundtrip_us", "load_s",
    "prepare_s", "read_back_s", "silent_tokens", "committed_ids",
)  # fmt: skip
_NO_HEADLINE = {"name": "result", "value": None, "unit": "", "n": 0}
_NO_THROUGHPUT: dict[str, float | None] = dict.fromkeys(
    ("samples_per_s", "queries_per_s", "tokens_per_s", "scheduled_samples_per_s", "duration_s")
)
TOLD = 0.90  # of the memory that the system saw: less than that is not the same peak
_NOT_EVERYWHERE = (
    "goodput",
    "capacity",
    "task",
    "served",
    "gpus",
    "self_check",
    "doubts",
    "steady",
)
_LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "latency_ms", "issue_lag_ms")
_NO_LATENCY = summary_ms(np.empty(0, np.int64))
_NO_MEMORY = dict.fromkeys(
    (
        "weights_bytes", "kv_cache_bytes", "peak_bytes", "rss_peak_bytes", "gpu_peak_bytes",
        "loading_peak_bytes", "serving_peak_bytes", "evaluation_peak_bytes",
    ),
)  # fmt: skip


class Result(BaseModel):
    """`result.json`. Names are kept; new ones may join."""

    model_config = ConfigDict(extra="forbid")

    schema_: str = SCHEMA
    run_id: str
    started_at: str
    scenario: str
    mode: str
    profile: str
    model: str
    variant: str
    dataset: str
    sut: str
    status: Literal["VALID", "INVALID", "INTERRUPTED", "ERROR"]
    status_reason: str
    official: bool
    official_lacks: list[str] = []  # what else than VALID it would take, by the setting's name
    division: dict[str, Any] = {}  # closed or open, and what differs from the profile
    loadgen_valid: bool | None  # None: LoadGen has no such scenario
    loadgen: dict[str, Any] = {}  # the official LoadGen's own figures, where it was the driver
    result: dict[str, Any]
    latency: dict[str, Row]
    driver_error: dict[str, Row] = {}  # how far the driver's own delays raised each latency
    throughput: dict[str, float | None]
    counts: dict[str, int]
    goodput: dict[str, Any] = {}  # requests that kept --slo (`harness.result.capacity.goodput`)
    capacity: dict[str, Any] = {}  # users at once, of an open loop
    memory: dict[str, Any]
    sut_facts: dict[str, Any]
    accuracy: dict[str, float]
    task: dict[str, Any] = {}  # how well --task was solved (`accuracy.tasks.marks`)
    marks: list[dict[str, Any]] = Field([], exclude=True)  # rows of scores.parquet
    energy: dict[str, Any] = {}  # where it was counted, or watts sampled
    gpus: list[dict[str, Any]] = []  # what each GPU of the run did (`harness.result.gpus`)
    driver: dict[str, Any]
    served: dict[str, Any] = {}  # what a server does, and how it failed (`harness.result.served`)
    self_check: dict[str, Any] = {}  # decode steps beside their limit (`result.device.self_check`)
    load: dict[str, Any] = {}  # who else used the processors (`harness.engine.referee.load`)
    verdicts: list[dict[str, Any]]
    notes: list[str]
    settings: dict[str, Any]
    environment: dict[str, Any]
    files: dict[str, str]
    search: list[dict[str, Any]] = []  # find-peak: each rate tried, and whether it held
    percentiles: list[float] = []  # shown in place of the usual ones (--percentiles)
    doubts: list[dict[str, Any]] = []  # what makes it shaky (`harness.result.doubts`)
    seal: dict[str, Any] = {}  # whether the raw files are those that were measured (`seal.Seal`)
    steady: dict[str, Any] = {}  # the run without its warm-up (`harness.result.phases.steady`)
    missing: list[dict[str, Any]] = []  # what could not be made, and why (`harness.engine.pieces`)

    def to_json(self) -> dict[str, Any]:
        data = self.model_dump(mode="json")
        for name in _NOT_EVERYWHERE:
            if not data[name]:
                del data[name]
        return {"schema": data.pop("schema_"), **data}


def build(folder: Path, raw: Raw, samples: Sequence[Sample] | None = None) -> Result:
    """Judge and score a run. A figure that cannot be made is missing, and named."""
    log, facts, settings, config, loadgen = (
        raw.log, raw.facts, raw.settings, raw.config, raw.official,
    )  # fmt: skip
    pieces = Pieces(raw.missing)
    make = partial(pieces.make, "figure")
    entry = raw.entry
    is_official = config.chosen_profile.official
    evidence = served.evidence(entry, facts.sut)
    budget = config.error_budget if entry.asks_server else None
    verdicts = judge(log, facts, settings, pieces, evidence, is_official, budget, raw.telemetry)
    if "result_validity" in loadgen:
        verdicts.append(official_verdict(loadgen))
    if raw.seal.status == "edited":
        verdicts.append(seal.verdict(raw.seal))
    status, reason = status_of(log, verdicts)
    asked = scored.asked_of(raw, samples, pieces)
    scores, notes = scored.figures(folder, raw, asked, pieces)
    marks = make("marks of the task", lambda: scored.marks(raw, asked), list[dict[str, Any]]())
    nothing: dict[str, Any] = {}
    task = make("task", lambda: scored.task(raw, marks), nothing)
    if task:
        wrong = partial(scored.errors, raw, asked, marks, variant_of(raw))
        task = task | make("errors of the task", wrong, nothing)
    counts = measured.counts(log)
    found = make("division", lambda: _division(raw), None)
    loadgen_valid = _loadgen_valid(raw)
    lacks = official_lacks(config, settings, found, loadgen_valid)
    lacks += not_judged(verdicts)
    none: list[str] = []
    memory = make("memory", lambda: _memory(raw), {**_NO_MEMORY, "source": ""})
    checked = make("self-check", lambda: self_check.figures(facts.self_check, facts.sut), nothing)
    spent = make("energy", lambda: _energy(raw, counts["tokens"]), nothing)
    no_rows: list[dict[str, Any]] = []
    gpus = make("GPUs", lambda: over_run(raw.telemetry, span_ns(log), facts.gpus), no_rows)
    server = (
        make("server", lambda: served.figures(log, facts.sut), nothing) if entry.asks_server else {}
    )
    steady = make("steady state", lambda: steady_state.figures(log, settings), nothing)
    known = Known(
        log,
        settings,
        scenarios.entry_of(settings).is_open,
        scenarios.entry_of(settings).is_at_once,
        verdicts,
        facts.load,
        gpus,
        server,
        steady,
    )
    return Result(
        run_id=facts.run_id,
        started_at=facts.started_at,
        scenario=settings.scenario,
        mode=config.mode if settings.mode == "performance" else settings.mode,
        profile=config.profile,
        model=_model(raw),
        variant=variant_of(raw),
        dataset=raw.saved["dataset"]["name"],
        sut=config.sut,
        status=status,
        status_reason=reason,
        official=status == "VALID" and not lacks,
        official_lacks=lacks,
        division={} if found is None else found.to_json(),
        loadgen_valid=loadgen_valid,
        loadgen=loadgen,
        result=make("result", lambda: _headline(log, settings, loadgen), _NO_HEADLINE),
        latency=make(
            "latency",
            lambda: measured.latency(log, config.percentiles),
            dict.fromkeys(_LATENCIES, _NO_LATENCY),
        ),
        driver_error=make(
            "driver error", lambda: measured.driver_error(log, config.percentiles), nothing
        ),
        throughput=make(
            "throughput",
            lambda: measured.throughput(log, settings, evidence),
            _NO_THROUGHPUT,
        ),
        counts=counts,
        goodput=make("goodput", lambda: goodput(log, *objectives(config, settings)), nothing),
        capacity=make("capacity", lambda: capacity(log), nothing)
        if config.pattern.is_open and settings.mode == "performance"
        else {},
        memory=memory,
        sut_facts=facts.sut,
        accuracy=scores | evaluation.figures(facts.evaluation),
        task=task,
        marks=marks,
        energy=spent,
        gpus=gpus,
        driver=make("driver", lambda: _driver(log, facts, verdicts), dict.fromkeys(_DRIVER)),
        served=server,
        self_check=checked,
        load=facts.load,
        verdicts=[asdict(v) for v in verdicts],
        notes=[
            *_notes(config, facts, entry),
            *_memory_note(memory),
            *self_check.notes(checked),
            *environment_notes(raw.environment),
            *energy_notes(facts.gpus, spent),
            *make("notes on GPUs", lambda: refused.notes(raw.telemetry, span_ns(log), spent), none),
            *quiet.note(facts.load, log),
            *subset_notes(raw.saved["dataset"]),
            *checks.notes(raw.saved["dataset"]),
            *notes,
        ],
        settings={**raw.saved, "target_qps_origin": facts.target_qps_origin},
        environment=raw.environment,
        files=files_of(folder),
        search=raw.search.get("steps", []),
        percentiles=list(config.percentiles),
        doubts=[doubt.to_json() for doubt in doubts(known, pieces)],
        seal=raw.seal.to_json(),
        steady=steady,
        missing=pieces.missing,
    )


def _model(raw: Raw) -> str:
    """Return the model as it was named; that of a server, as the server has it."""
    if raw.entry.asks_server:
        return str(raw.facts.sut.get("model") or raw.config.sut)
    return raw.config.model if raw.entry.runs_model else raw.config.sut


def variant_of(raw: Raw) -> str:
    """Return the precision, with what its name does not tell; in a server that the run started,
    with the server's name; "" where no model was loaded.
    """
    if raw.entry.starts_server:
        return f"{raw.config.sut}:{raw.config.variant}"
    name = raw.config.variant if raw.entry.runs_model else ""
    return named(name, precision_of(raw.facts.sut))


def _division(raw: Raw) -> Division | None:
    dataset, runs_model = raw.saved["dataset"], raw.entry.runs_model or raw.entry.asks_server
    return division(raw.config, raw.settings, dataset, raw.facts.sut, runs_model)


def _loadgen_valid(raw: Raw) -> bool | None:
    if scenarios.entry_of(raw.settings).loadgen is None:
        return None
    own = raw.lg is not None and raw.lg.valid
    return bool(raw.official.get("result_validity", "VALID" if own else "") == "VALID")


def _headline(log: RunLog, settings: RunSettings, loadgen: dict[str, Any]) -> dict[str, Any]:
    """Return the scenario's figure; the official LoadGen's own where it was the driver."""
    metric = registry.scenario(settings.scenario).result(log, settings).figure()
    theirs = scenarios.entry_of(settings).loadgen
    if theirs is None:
        return metric
    value = loadgen.get(theirs.figure.format(p=100 * settings.percentile))
    if value is None:
        return metric
    return metric | {"name": f"{metric['name']}, by LoadGen", "value": value / theirs.per_unit}


def _energy(raw: Raw, tokens: int) -> dict[str, Any]:
    return energy(raw.telemetry, span_ns(raw.log), tokens, raw.facts.gpus)


def _memory(raw: Raw) -> dict[str, Any]:
    """Return what the SUT said of itself; where it died, the telemetry's peak of its process, which
    covers the timed part alone.
    """
    memory: dict[str, Any] = {**_NO_MEMORY, "source": "", **raw.facts.memory}
    seen = [value for value in raw.telemetry.get("sut_rss_bytes", []) if value]
    if seen:
        memory["system_peak_bytes"] = max(*seen, memory.get("system_peak_bytes", 0))
    if memory["rss_peak_bytes"] is None and seen:
        source = "telemetry: the process once a second, in the timed part only"
        memory |= dict.fromkeys(("rss_peak_bytes", "serving_peak_bytes"), max(seen))
        memory["source"] = source
    return memory


def _driver(log: RunLog, facts: RunFacts, verdicts: Sequence[Verdict]) -> dict[str, float | None]:
    lag = summary_ms(log.issue_lag_ns)
    errors = [verdict.measured for verdict in verdicts if verdict.rule == uncertainty.RULE]
    made = {"issue_lag_p99_ms": lag["p99"], "error_percent": errors[0] if errors else None}
    return dict.fromkeys(_DRIVER) | made | facts.driver


def _memory_note(memory: Mapping[str, Any]) -> list[str]:
    """Say that the SUT tells of less memory than the system saw."""
    told, seen = memory.get("rss_peak_bytes"), memory.get("system_peak_bytes")
    if told is None or seen is None or told >= TOLD * seen:
        return []
    gib = f"{told / 2**30:.3g} GiB", f"{seen / 2**30:.3g} GiB"
    return [f"memory: the SUT tells of a peak of {gib[0]}, the system saw {gib[1]}"]


def _of_replicas(config: RunConfig, facts: RunFacts) -> list[str]:
    """Say where copies of the model ran, and how the work was divided among them."""
    replicas = facts.sut.get("replicas")
    if config.replicas == 1 or not replicas:
        return []
    where = f"{replicas['count']} replicas ({'; '.join(replicas['places'])})"
    if replicas.get("balance") is None:
        return [where]
    samples = " and ".join(map(str, replicas["samples"]))
    share = f"{100 * replicas['balance']:.3g} % of the tokens of the busiest"
    return [f"{where} took {samples} samples; the least busy answered {share}"]


def _notes(config: RunConfig, facts: RunFacts, entry: SutEntry) -> list[str]:
    notes = list(facts.sut.get("notes") or [])
    runs_model = entry.runs_model
    if runs_model and facts.sut.get("notes"):
        notes = [f"{config.model}: {note}" for note in notes]
    if truncated := facts.sut.get("truncated_samples"):
        shown = ", ".join(map(str, truncated[:5])) + (", ..." if len(truncated) > 5 else "")
        notes.append(f"{len(truncated)} prompts were truncated at the front (samples {shown})")
    notes += [
        *_of_replicas(config, facts),
        *facts.notes,
        *evaluation.notes(facts.evaluation),
        *drawn.notes(facts.evaluation),
    ]
    if not entry.uses_dataset:
        notes.append(f"no model ran: --sut {config.sut} makes its answers up")
    if not config.chosen_profile.official:
        notes.append(f"profile {config.profile}: {config.chosen_profile.summary}")
    if (
        runs_model
        and config.variant.startswith("lora")
        and config.adapter is None
        and config.dataset == "qa"
    ):
        notes.append(
            "the shipped adapter was trained on 150 of the 200 questions of qa, so its scores"
            " there are flattering"
        )
    if config.in_process:
        notes.append("the SUT ran in the driver's own process: its work delays the driver's clock")
    return notes
