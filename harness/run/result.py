"""From raw files to `result.json`: the stable summary that programs read.

`build` reads a finished run folder and nothing else, so a report made later equals the one made
after the run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

import scenarios
from accuracy.datasets.subset import how_drawn, subset_notes
from harness import registry
from harness.engine import environment, runlog
from harness.engine.environment import notes as environment_notes
from harness.engine.pieces import Pieces
from harness.engine.pieces import reason as reason_of
from harness.engine.runlog import RunFacts
from harness.kernel.entries import ALL_EVIDENCE, Evidence
from harness.kernel.errors import BadInput
from harness.kernel.places import not_a_run
from harness.kernel.stats import summary_ms
from harness.kernel.types import Metric, RunLog, RunSettings, Sample, Seeds, Verdict
from harness.official import driver as mlcommons
from harness.options.division import Division, division, official_lacks
from harness.options.settings import RunConfig
from harness.run import evaluation, measured, search
from harness.run.energy import energy
from reports.mlperf import files as mlperf_logs
from scenarios.loadgen import accuracy_log
from scenarios.loadgen import results as loadgen_results
from scenarios.loadgen import settings as loadgen_settings

SCHEMA = "touchstone.result/1"
ACCURACY_PART = "accuracy"  # of a submission: a run folder inside the performance part's
Row = dict[str, float | int | None]
_DRIVER = ("issue_lag_p99_ms", "client_cpu_percent", "channel_roundtrip_us")
_NO_HEADLINE = {"name": "result", "value": None, "unit": "", "n": 0}
_NO_THROUGHPUT: dict[str, float | None] = dict.fromkeys(
    ("samples_per_s", "queries_per_s", "tokens_per_s", "scheduled_samples_per_s", "duration_s")
)
_LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "latency_ms", "issue_lag_ms")
_NO_LATENCY = summary_ms(np.empty(0, np.int64))


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
    throughput: dict[str, float | None]
    counts: dict[str, int]
    memory: dict[str, Any]
    sut_facts: dict[str, Any]
    accuracy: dict[str, float]
    energy: dict[str, Any] = {}  # where watts were sampled
    driver: dict[str, float | None]
    verdicts: list[dict[str, Any]]
    notes: list[str]
    settings: dict[str, Any]
    environment: dict[str, Any]
    files: dict[str, str]
    search: list[dict[str, Any]] = []  # find-peak: each rate tried, and whether it held
    percentiles: list[float] = []  # shown in place of the usual ones (--percentiles)
    missing: list[dict[str, Any]] = []  # what could not be made, and why (`harness.engine.pieces`)

    def to_json(self) -> dict[str, Any]:
        data = self.model_dump(mode="json")
        return {"schema": data.pop("schema_"), **data}


class Raw(NamedTuple):
    """The raw files of a run folder, read once.

    `lg` is what LoadGen would have made of the same times (None where that broke); `official` what
    it did make of them, where it was the driver. `missing` could not be read or made.
    """

    saved: dict[str, Any]
    environment: dict[str, Any]
    log: RunLog
    facts: RunFacts
    settings: RunSettings
    config: RunConfig
    lg: loadgen_results.LoadgenResults | None
    official: dict[str, Any]
    missing: list[dict[str, Any]]


def publish(
    folder: Path,
    samples: Sequence[Sample] | None = None,
    page: bool = True,
    missing: Sequence[Mapping[str, Any]] = (),
    percentiles: Sequence[float] = (),
) -> Result:
    """Build the Result and write all that can be made from the raw files; whatever breaks on the
    way costs its own piece only, and is named in `missing`.

    `samples` (for accuracy) are read again if not given and still there. Without `page`,
    report.html is left for later; `missing` names what could not even be written down.
    `percentiles` (in percent) are shown in place of those that the run asked for.
    """
    raw = read(folder)
    if percentiles:
        raw = raw._replace(config=raw.config.model_copy(update={"percentiles": percentiles}))
    raw.missing.extend(dict(row) for row in missing)
    accuracy = (
        publish(folder / ACCURACY_PART, samples, percentiles=percentiles)
        if (folder / ACCURACY_PART).is_dir()
        else None
    )
    result = build(folder, raw, samples)
    if accuracy is not None:
        _join(result, accuracy, evaluation.figures(raw.facts.evaluation))
    if found := search.read(folder):
        search.conclude(result, found, raw.settings)
    pieces = Pieces(result.missing)
    with _extra(folder, "log", "MLPerf logs", pieces):
        _write_logs(folder, raw, result)
    if page:
        result.files = _files(folder) | {"report": "report.html"}
        result.missing = pieces.missing
        with _extra(folder, "page", "report.html", pieces):
            _write_page(folder, raw, result, pieces)
    result.files, result.missing = _files(folder), pieces.missing
    _write_results(folder, result)
    return result


def _write_results(folder: Path, result: Result) -> None:
    """The JSON files. The verdict stands even where the disk takes no more of them."""
    data = result.to_json()
    parts = {"memory": data["memory"], "scores": data["accuracy"], "verdicts": data["verdicts"]}
    for name, value in (parts | {"result": data}).items():
        with _extra(folder, "file", f"{name}.json", Pieces()):
            runlog.write_json(folder / f"{name}.json", value)


def _join(result: Result, accuracy: Result, evaluated: dict[str, float]) -> None:
    """A submission's scores and half of its verdict are those of its accuracy part."""
    result.accuracy = accuracy.accuracy | evaluated
    result.loadgen_valid = bool(result.loadgen_valid and accuracy.loadgen_valid)
    result.verdicts += [
        v | {"rule": f"accuracy part: {v['rule']}"}
        for v in accuracy.verdicts
        if v["status"] == "FAIL" or v["error"]
    ]
    result.missing = [row for row in result.missing if row["kind"] != "score"]
    result.missing += [row | {"name": f"accuracy part: {row['name']}"} for row in accuracy.missing]
    if accuracy.status != "VALID" and result.status == "VALID":
        result.status = accuracy.status
        result.status_reason = f"accuracy part {accuracy.status_reason}"
        result.official = False


def read(folder: Path) -> Raw:
    """Raises BadInput if the folder holds no run of this version."""
    saved = _read_json(folder / "settings.json")
    environment = _read_json(folder / "environment.json")
    log, facts = runlog.read_log(folder)
    settings, config = _parse(folder, saved)
    pieces = Pieces([*facts.missing, *evaluation.missing(facts.evaluation)])
    nothing: dict[str, Any] = {}
    by_loadgen = config.driver == "mlcommons"
    official = nothing
    if by_loadgen:
        official = pieces.make("figure", "official LoadGen", lambda: _official(folder), nothing)
    lg = None
    if scenarios.entry(settings.scenario).loadgen is not None:
        lg = pieces.make("figure", "LoadGen", lambda: loadgen_results.results(log, settings), None)
    return Raw(saved, environment, log, facts, settings, config, lg, official, pieces.missing)


def _official(folder: Path) -> dict[str, Any]:
    return mlcommons.official_results(folder) if mlcommons.is_official(folder) else {}


def build(folder: Path, raw: Raw, samples: Sequence[Sample] | None = None) -> Result:
    """Judge and score a run. A figure that cannot be made is missing, and named."""
    log, facts, settings, config, loadgen = (
        raw.log, raw.facts, raw.settings, raw.config, raw.official,
    )  # fmt: skip
    pieces = Pieces(raw.missing)
    make = partial(pieces.make, "figure")
    entry = registry.sut_entry(config.sut)
    verdicts = judge(log, facts, settings, pieces, entry.evidence)
    if "result_validity" in loadgen:
        verdicts.append(_official_verdict(loadgen))
    status, reason = _status(log, verdicts)
    scores, notes = _scores(folder, raw, samples, pieces)
    counts = measured.counts(log)
    found = make("division", lambda: _division(raw), None)
    lacks = official_lacks(config.chosen_profile, found)
    return Result(
        run_id=facts.run_id,
        started_at=facts.started_at,
        scenario=settings.scenario,
        mode=config.mode if settings.mode == "performance" else settings.mode,
        profile=config.profile,
        model=config.model if entry.runs_model else config.sut,
        variant=config.variant if entry.runs_model else "",
        dataset=raw.saved["dataset"]["name"],
        sut=config.sut,
        status=status,
        status_reason=reason,
        official=status == "VALID" and not lacks,
        official_lacks=lacks,
        division={} if found is None else found.to_json(),
        loadgen_valid=_loadgen_valid(raw),
        loadgen=loadgen,
        result=make("result", lambda: _headline(log, settings, loadgen), _NO_HEADLINE),
        latency=make(
            "latency",
            lambda: measured.latency(log, config.percentiles),
            dict.fromkeys(_LATENCIES, _NO_LATENCY),
        ),
        throughput=make(
            "throughput",
            lambda: measured.throughput(log, settings, entry.evidence),
            _NO_THROUGHPUT,
        ),
        counts=counts,
        memory=make("memory", lambda: _memory(folder, facts), {**_NO_MEMORY, "source": ""}),
        sut_facts=facts.sut,
        accuracy=scores | evaluation.figures(facts.evaluation),
        energy=make("energy", lambda: _energy(folder, log, counts["tokens"]), {}),
        driver=make("driver", lambda: _driver(log, facts), dict.fromkeys(_DRIVER)),
        verdicts=[asdict(v) for v in verdicts],
        notes=[
            *_notes(config, facts),
            *environment_notes(raw.environment),
            *subset_notes(raw.saved["dataset"]),
            *notes,
        ],
        settings={**raw.saved, "target_qps_origin": facts.target_qps_origin},
        environment=raw.environment,
        files=_files(folder),
        search=search.read(folder).get("steps", []),
        percentiles=list(config.percentiles),
        missing=pieces.missing,
    )


def _division(raw: Raw) -> Division | None:
    return division(raw.config, raw.settings, raw.saved["dataset"], raw.facts.sut)


def _loadgen_valid(raw: Raw) -> bool | None:
    if scenarios.entry(raw.settings.scenario).loadgen is None:
        return None
    own = raw.lg is not None and raw.lg.valid
    return bool(raw.official.get("result_validity", "VALID" if own else "") == "VALID")


def _energy(folder: Path, log: RunLog, tokens: int) -> dict[str, Any]:
    last_ns = int(log.done_ns[log.completed].max(initial=0))
    return energy(runlog.read_telemetry(folder), last_ns, tokens)


def _headline(log: RunLog, settings: RunSettings, loadgen: dict[str, Any]) -> dict[str, Any]:
    """The scenario's figure; the official LoadGen's own where it was the driver."""
    metric = registry.scenario(settings.scenario).result(log, settings).figure()
    theirs = scenarios.entry(settings.scenario).loadgen
    if theirs is None:
        return metric
    value = loadgen.get(theirs.figure.format(p=100 * settings.percentile))
    if value is None:
        return metric
    return metric | {"name": f"{metric['name']}, by LoadGen", "value": value / theirs.per_unit}


_WAY_TO_LOADGEN = (
    "see mlperf_log_summary.txt; LoadGen's latencies include the way from its process to this one"
)


def _official_verdict(loadgen: dict[str, Any]) -> Verdict:
    """The official LoadGen's word is one condition more: its clock is another, and so is its place
    on the way.
    """
    valid = loadgen["result_validity"] == "VALID"
    reason = loadgen.get("result_invalid_reason") or "early stopping: see mlperf_log_summary.txt"
    return Verdict(
        rule="official_loadgen",
        status="PASS" if valid else "FAIL",
        detail=f"LoadGen {loadgen['loadgen_version']}" + ("" if valid else f": {reason}"),
        remedy="" if valid else _WAY_TO_LOADGEN,
        loadgen=True,
    )


def judge(
    log: RunLog,
    facts: RunFacts,
    settings: RunSettings,
    pieces: Pieces | None = None,
    evidence: Collection[Evidence] = ALL_EVIDENCE,
) -> list[Verdict]:
    """The scenario's conditions (performance mode only), then the output rules (always). One that
    breaks is UNDECIDED: it has not been kept. `evidence` is what the SUT may send.
    """
    pieces = pieces or Pieces()
    told = facts.sut | {"max_new_tokens": settings.max_new_tokens, "evidence": evidence}
    found = list[Verdict]()
    if settings.mode == "performance":
        name, timed = f"{settings.scenario} conditions", partial(_conditions, log, settings)
        found += _judged(name, timed, pieces, loadgen=True)
    for name in registry.rule_names():
        found += _judged(name, partial(registry.judged_by, name, log, told), pieces)
    return found


def _conditions(log: RunLog, settings: RunSettings) -> list[Verdict]:
    """The scenario's own; none of them is LoadGen's where it has no such scenario."""
    found = registry.scenario(settings.scenario).judge(log, settings)
    if scenarios.entry(settings.scenario).loadgen is None:
        return [replace(verdict, loadgen=False) for verdict in found]
    return found


def _judged(
    name: str, verdicts: Callable[[], list[Verdict]], pieces: Pieces, loadgen: bool = False
) -> list[Verdict]:
    try:
        return verdicts()
    except Exception as fault:  # a rule is code too: what it did not see is not in order
        pieces.lost("rule", name, fault)
        why, remedy = reason_of(fault), "harness report RUN judges the run again"
        return [
            Verdict(
                name, "UNDECIDED", detail=f"could not be judged: {why}", remedy=remedy,
                loadgen=loadgen, error=why,
            )
        ]  # fmt: skip


@contextmanager
def _extra(folder: Path, kind: str, name: str, pieces: Pieces) -> Iterator[None]:
    """What cannot be made (or what the user does not wait for) costs a note, never the run."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as fault:
        pieces.lost(kind, name, fault)
        why = reason_of(fault)
        print(f"note: no {name} ({why}); harness report {folder} tries again", file=sys.stderr)


def _write_logs(folder: Path, raw: Raw, result: Result) -> None:
    """LoadGen's three files, if it has such a scenario; those it wrote itself stay as they are."""
    if raw.config.pattern.loadgen is not None and not raw.official:
        mlperf_logs.write(folder, _header(result, raw.facts), log_texts(raw, result))


def log_texts(raw: Raw, result: Result) -> dict[str, str]:
    """Return LoadGen's three files of a run (name -> content), made from its raw files."""
    log, settings, found = raw.log, raw.settings, raw.lg
    if found is None:
        raise ValueError("they need LoadGen's figures")
    header = _header(result, raw.facts)
    names = mlperf_logs.Settings(
        requested=loadgen_settings.requested(settings),
        effective=loadgen_settings.effective_lines(settings),
        parameters=loadgen_settings.parameters(settings),
    )
    sets = registry.scenario(settings.scenario).schedule(settings).sets
    logged = accuracy_log.logged_samples(log, settings, _generated_before(raw)).tolist()
    return {
        mlperf_logs.DETAIL: mlperf_logs.detail(header, names, sets, found, log),
        mlperf_logs.SUMMARY: mlperf_logs.summary(header, names, found),
        mlperf_logs.ACCURACY: mlperf_logs.accuracy(
            log, logged, settings.use_tokens, not raw.config.pattern.is_at_once
        ),
    }


def _generated_before(raw: Raw) -> int:
    """Samples that the accuracy part of a submission drew for: LoadGen goes on where that ended."""
    if raw.config.mode != "submission" or raw.settings.mode == "accuracy":
        return 0
    accuracy = replace(raw.settings, mode="accuracy")
    return int(registry.scenario(accuracy.scenario).schedule(accuracy).indices.size)


def _header(result: Result, facts: RunFacts) -> mlperf_logs.Header:
    run, git = result.settings["run"], result.environment.get("git") or {}
    return mlperf_logs.Header(
        run_id=result.run_id,
        version=f"touchstone {environment.own_version()}",
        sut_name=" ".join(
            dict.fromkeys(filter(None, ("Touchstone", result.sut, result.model, result.variant)))
        ),
        qsl_name=result.dataset,
        total_count=run["num_samples"],
        performance_count=run["performance_samples"],
        started_at=facts.measured_at or result.started_at,
        git_commit=git.get("commit", "NA"),
    )


def _write_page(folder: Path, raw: Raw, result: Result, pieces: Pieces) -> None:
    from reports.pages import run as html

    with suppress(OSError):
        # should this one fail, an older page would tell another story
        (folder / "report.html").unlink()
    telemetry = runlog.read_telemetry(folder)
    html.write(folder, result.to_json(), raw.log, telemetry, partial(pieces.lost, "picture"))


def _status(
    log: RunLog, verdicts: list[Verdict]
) -> tuple[Literal["VALID", "INVALID", "INTERRUPTED", "ERROR"], str]:
    if log.end == "error":
        return "ERROR", log.end_reason
    if log.end == "interrupted":
        return "INTERRUPTED", log.end_reason
    parts = {
        "failed": [v.rule for v in verdicts if v.status == "FAIL"],
        "could not be judged": [v.rule for v in verdicts if v.error],
    }
    reasons = [f"{what}: {', '.join(rules)}" for what, rules in parts.items() if rules]
    return ("INVALID", "; ".join(reasons)) if reasons else ("VALID", "every condition holds")


_NO_MEMORY = dict.fromkeys(
    (
        "weights_bytes", "kv_cache_bytes", "peak_bytes", "rss_peak_bytes", "gpu_peak_bytes",
        "loading_peak_bytes", "serving_peak_bytes", "evaluation_peak_bytes",
    ),
)  # fmt: skip


def _memory(folder: Path, facts: RunFacts) -> dict[str, Any]:
    """What the SUT said of itself; where it died, the telemetry's peak of its process, which covers
    the timed part alone.
    """
    memory: dict[str, Any] = {**_NO_MEMORY, "source": "", **facts.memory}
    seen = [value for value in runlog.read_telemetry(folder).get("sut_rss_bytes", []) if value]
    if memory["rss_peak_bytes"] is None and seen:
        source = "telemetry: the process once a second, in the timed part only"
        memory |= dict.fromkeys(("rss_peak_bytes", "serving_peak_bytes"), max(seen))
        memory["source"] = source
    return memory


def _scores(
    folder: Path, raw: Raw, samples: Sequence[Sample] | None, pieces: Pieces
) -> tuple[dict[str, float], list[str]]:
    """(scores, notes). Without the run's own dataset the scores of the run itself stand, if it left
    any.
    """
    if samples is None:
        samples = pieces.make("score", "all (reading the dataset)", lambda: samples_of(raw), None)
    if samples is None:
        kept = folder / "scores.json"
        return (_read_json(kept) if kept.is_file() else {}), [
            "the dataset has moved or changed: scores are those of the run"
        ]
    log = raw.log
    ids = np.flatnonzero(log.completed)
    if raw.settings.mode == "accuracy":  # multi-stream pads its last query: each counts once
        ids = ids[np.unique(log.index[ids], return_index=True)[1]]
    found = list[Metric]()
    for name in registry.metrics():
        found += pieces.make("score", name, partial(_score, name, log, samples, ids), [])
    notes = [f"no {metric.name}: {metric.why}" for metric in found if metric.why]
    return {metric.name: metric.value for metric in found if metric.value is not None}, notes


def _score(name: str, log: RunLog, samples: Sequence[Sample], ids: Any) -> list[Metric]:
    return registry.metric(name)(log, samples, ids)


def _driver(log: RunLog, facts: RunFacts) -> dict[str, float | None]:
    lag = summary_ms(log.issue_lag_ns)
    return dict.fromkeys(_DRIVER) | {"issue_lag_p99_ms": lag["p99"]} | facts.driver


def _notes(config: RunConfig, facts: RunFacts) -> list[str]:
    notes = list(facts.sut.get("notes") or [])
    runs_model = registry.sut_entry(config.sut).runs_model
    if runs_model and facts.sut.get("notes"):
        notes = [f"{config.model}: {note}" for note in notes]
    if truncated := facts.sut.get("truncated_samples"):
        shown = ", ".join(map(str, truncated[:5])) + (", ..." if len(truncated) > 5 else "")
        notes.append(f"{len(truncated)} prompts were truncated at the front (samples {shown})")
    notes += [*facts.notes, *evaluation.notes(facts.evaluation)]
    if not registry.sut_entry(config.sut).uses_dataset:
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


def samples_of(raw: Raw) -> Sequence[Sample] | None:
    """The run's dataset again, for a report made later; None if it is not there any more, or not
    the same.
    """
    saved, config = raw.saved, raw.config
    from accuracy.datasets.files import load_dataset

    if not registry.sut_entry(config.sut).uses_dataset:
        return ()
    columns = (config.prompt_column, config.reference_column)
    try:
        loaded = load_dataset(
            config.dataset, saved["run"]["max_new_tokens"], config.num_samples, *columns
        )
    except BadInput:
        return None
    same = loaded.source["sha256"] == saved["dataset"].get("sha256")
    same = same and how_drawn(loaded.source) == how_drawn(saved["dataset"])
    return loaded.samples if same else None


def _parse(folder: Path, saved: dict[str, Any]) -> tuple[RunSettings, RunConfig]:
    try:
        settings = RunSettings(**{**saved["run"], "seeds": Seeds(**saved["run"]["seeds"])})
        return settings, RunConfig.model_validate(saved["config"])
    except (KeyError, TypeError, ValidationError):
        raise BadInput(
            f"reading {folder}",
            "settings.json has other fields than this version writes",
            "expected a run of this version of Touchstone",
            "Read it with the version that made it (see environment.json), or run again.",
        ) from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise not_a_run(path.parent, path.name) from None
    return data


_FILES = (
    "settings.json", "environment.json", "samples.parquet", "telemetry.parquet", "report.html",
    "sut.log", "loadgen.log", search.FILE, "mlperf_log_summary.txt",
    "mlperf_log_detail.txt", "mlperf_log_accuracy.json",
)  # fmt: skip
_MADE = ("memory.json", "scores.json", "verdicts.json", "result.json")


def _files(folder: Path) -> dict[str, str]:
    """Names inside the folder, so that it can be moved; the JSON files are written together with
    this list.
    """
    return {
        Path(name).stem: name
        for name in (*_FILES, *_MADE)
        if name in _MADE or (folder / name).is_file()
    }
