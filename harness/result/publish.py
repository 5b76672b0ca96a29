"""What does a run folder get beside its raw files? result.json, LoadGen's logs, the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from accuracy.tasks import files as task_files
from harness import registry
from harness.engine import environment, runlog
from harness.engine.pieces import Pieces
from harness.engine.pieces import reason as reason_of
from harness.engine.runlog import RunFacts
from harness.kernel import files
from harness.kernel.process.streams import tell
from harness.kernel.texts import on_one_line
from harness.kernel.types import Sample
from harness.result import evaluation, search
from harness.result.read import ACCURACY_PART, Raw, files_of, read_run
from harness.result.result import Result, build
from reports.endpoints import files as endpoints
from reports.mlperf import files as mlperf_logs
from scenarios.early_stopping import estimate_rank
from scenarios.loadgen import accuracy_log
from scenarios.loadgen import settings as loadgen_settings

Written = Mapping[Path, Mapping[str, bytes]]  # raw files by run folder and name


def publish(
    folder: Path,
    samples: Sequence[Sample] | None = None,
    page: bool = True,
    missing: Sequence[Mapping[str, Any]] = (),
    percentiles: Sequence[float] = (),
    written: Written | None = None,
) -> Result:
    """Build the Result and write all that can be made from the raw files; whatever breaks on the
    way costs its own piece only, and is named in `missing`.

    `samples` (for accuracy) are read again if not given and still there. Without `page`,
    report.html is left for later; `missing` names what could not even be written down.
    `percentiles` (in percent) are shown in place of those that the run asked for. `written` are raw
    files as they were written into run folders just now: they are judged, not what is there.
    """
    if not written:
        _convert_left_telemetry(folder)
    accuracy = None
    if (part := folder / ACCURACY_PART).is_dir():
        accuracy = publish(part, samples, page, percentiles=percentiles, written=written)
    raw, result = whole(folder, samples, missing, percentiles, written or {}, accuracy)
    pieces = Pieces(result.missing)
    with _extra(folder, "log", "MLPerf logs", pieces):
        _write_logs(folder, raw, result)
    if result.marks:
        with _extra(folder, "file", task_files.SCORES, pieces):
            task_files.write(folder, result.marks)
    with _extra(folder, "log", "files of MLPerf Endpoints", pieces):
        _write_endpoints(folder, raw, result)
    if page:
        result.files = files_of(folder) | {"report": "report.html"}
        result.missing = pieces.missing
        with _extra(folder, "page", "report.html", pieces):
            _write_page(folder, raw, result, pieces)
    result.files, result.missing = files_of(folder), pieces.missing
    _write_results(folder, result)
    return result


def _convert_left_telemetry(folder: Path) -> None:
    """Make telemetry.parquet of what a killed run left; of a sealed one nothing is added. It is
    extra: without it the page says that there is none.
    """
    if not (folder / runlog.TELEMETRY_LINES).is_file():
        return
    with suppress(Exception):
        raw = read_run(folder)
        if raw.seal.status == "not sealed":
            runlog.convert_left_telemetry(folder, raw.facts)


def whole(
    folder: Path,
    samples: Sequence[Sample] | None = None,
    missing: Sequence[Mapping[str, Any]] = (),
    percentiles: Sequence[float] = (),
    written: Written = MappingProxyType({}),
    accuracy: Result | None = None,
) -> tuple[Raw, Result]:
    """Return a run and what is made of it, with that of its accuracy part (made here if it is not
    given) and of its search; see `publish`. Nothing is written.
    """
    raw = read_run(folder, written.get(folder))
    if percentiles:
        raw = raw._replace(config=raw.config.model_copy(update={"percentiles": percentiles}))
    raw.missing.extend(dict(row) for row in missing)
    result = build(folder, raw, samples)
    if (part := folder / ACCURACY_PART).is_dir():
        if accuracy is None:
            _, accuracy = whole(part, samples, percentiles=percentiles, written=written)
        _join(result, accuracy, evaluation.figures(raw.facts.evaluation))
    if raw.search:
        search.conclude(result, raw.search, raw.settings)
    return raw, result


def _write_results(folder: Path, result: Result) -> None:
    """Write the JSON files. The verdict stands even where the disk takes no more of them."""
    data = result.to_json()
    parts = {"memory": data["memory"], "scores": data["accuracy"], "verdicts": data["verdicts"]}
    for name, value in (parts | {"result": data}).items():
        with _extra(folder, "file", f"{name}.json", Pieces()):
            files.write_json(folder / f"{name}.json", value)


def _join(result: Result, accuracy: Result, evaluated: dict[str, float]) -> None:
    """Take a submission's scores and half of its verdict from its accuracy part."""
    result.accuracy = accuracy.accuracy | evaluated
    result.loadgen_valid = bool(result.loadgen_valid and accuracy.loadgen_valid)
    result.verdicts += [
        v | {"rule": f"accuracy part: {v['rule']}"}
        for v in accuracy.verdicts
        if v["status"] in ("FAIL", "UNDECIDED")
    ]
    result.missing = [row for row in result.missing if row["kind"] != "score"]
    result.missing += [row | {"name": f"accuracy part: {row['name']}"} for row in accuracy.missing]
    if accuracy.status != "VALID" and result.status == "VALID":
        result.status = accuracy.status
        result.status_reason = f"accuracy part {accuracy.status_reason}"
        result.official = False


@contextmanager
def _extra(folder: Path, kind: str, name: str, pieces: Pieces) -> Iterator[None]:
    """Turn what cannot be made (or what the user does not wait for) into a note."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as fault:
        pieces.lost(kind, name, fault)
        why = reason_of(fault)
        tell(f"note: no {name} ({why}); harness report {folder} tries again")


def _write_logs(folder: Path, raw: Raw, result: Result) -> None:
    """Write LoadGen's three files, if it has such a scenario; those it wrote itself stay."""
    if raw.config.pattern.loadgen is not None and not raw.official:
        mlperf_logs.write(folder, _header(result, raw.facts), log_texts(raw, result))


def _write_endpoints(folder: Path, raw: Raw, result: Result) -> None:
    """Write the result files of MLPerf Endpoints for a run of a server."""
    if not raw.entry.asks_server:
        return
    where = str(raw.facts.sut.get("url", "")), str(raw.facts.sut.get("endpoint", ""))
    version = f"touchstone {environment.own_version()}"
    texts = endpoints.texts(result.to_json(), raw.log, estimate_rank, version, where)
    endpoints.write(folder, texts)


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
    """Count what the accuracy part of a submission drew: LoadGen goes on where that ended."""
    if raw.config.mode != "submission" or raw.settings.mode == "accuracy":
        return 0
    accuracy = replace(raw.settings, mode="accuracy")
    return int(registry.scenario(accuracy.scenario).schedule(accuracy).indices.size)


def _header(result: Result, facts: RunFacts) -> mlperf_logs.Header:
    run, git = result.settings["run"], result.environment.get("git") or {}
    names = ("Touchstone", result.sut, result.model, result.variant)
    return mlperf_logs.Header(
        run_id=result.run_id,
        version=f"touchstone {environment.own_version()}",
        sut_name=on_one_line(" ".join(dict.fromkeys(filter(None, names)))),
        qsl_name=on_one_line(result.dataset),
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
    lost = partial(pieces.lost, "picture")
    html.write(folder, result.to_json(), raw.log, raw.telemetry, lost)
