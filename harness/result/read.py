"""What is in the folder of a finished run? Its raw files, read once and checked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import scenarios
from harness import registry
from harness.engine import runlog
from harness.engine.pieces import Pieces
from harness.engine.runlog import RunFacts
from harness.kernel.entries import SutEntry
from harness.kernel.errors import BadInput
from harness.kernel.foreign import declared, parsed
from harness.kernel.foreign.own_files import check_folder, read_bytes
from harness.kernel.foreign.raw import check_bounds
from harness.kernel.log import RunLog
from harness.kernel.places import not_a_run
from harness.kernel.types import RunSettings, Seeds
from harness.official.figures import is_official, official_results
from harness.options.settings import RunConfig
from harness.result import evaluation, search
from harness.result.integrity import seal
from harness.result.integrity.seal import Seal
from scenarios.loadgen import results as loadgen_results

SETTINGS, ENVIRONMENT = "settings.json", "environment.json"
ACCURACY_PART = "accuracy"  # of a submission: a run folder inside the performance part's
_FILES = (
    "settings.json", "environment.json", "samples.parquet", "telemetry.parquet", "scores.parquet",
    "report.html",
    "sut.log", "loadgen.log", search.FILE, "mlperf_log_summary.txt",
    "mlperf_log_detail.txt", "mlperf_log_accuracy.json",
)  # fmt: skip
_MADE = ("memory.json", "scores.json", "verdicts.json", "result.json")


class Raw(NamedTuple):
    """The raw files of a run folder, read once.

    `entry` says what its SUT is, by the run's own record: none of its code is asked. `lg` is what
    LoadGen would have made of the same times (None where that broke); `official` what it did make
    of them, where it was the driver. `missing` could not be read or made. `telemetry` are its
    columns, `search` the steps of a find-peak run, `seal` tells whether the files are those that
    were measured.
    """

    saved: dict[str, Any]
    environment: dict[str, Any]
    log: RunLog
    facts: RunFacts
    settings: RunSettings
    config: RunConfig
    entry: SutEntry
    lg: loadgen_results.LoadgenResults | None
    official: dict[str, Any]
    missing: list[dict[str, Any]]
    telemetry: dict[str, list[Any]]
    search: dict[str, Any]
    seal: Seal


def read_run(folder: Path, written: Mapping[str, bytes] | None = None) -> Raw:
    """Read a run folder; or, in its place, the raw files as they were `written` into it just now:
    nobody can have edited those. Raises BadInput if it holds no run of this version.
    """
    files = _files_to_read(folder) if written is None else dict(written)
    saved = _parsed(folder, SETTINGS, files)
    log, facts = runlog.read_log(folder, files.get(runlog.SAMPLES))
    _check_settings(folder, saved)
    check_bounds(log, f"reading {folder / runlog.SAMPLES}")
    settings, config, entry = _parse(folder, saved)
    pieces = Pieces([*facts.missing, *evaluation.missing(facts.evaluation)])
    nothing: dict[str, Any] = {}  # what was measured stands without it
    read = partial(_parsed, folder, ENVIRONMENT, files)
    environment = pieces.make("file", ENVIRONMENT, read, nothing, later=False)
    declared.hold(environment, "environment", f"reading {folder / ENVIRONMENT}")
    telemetry = runlog.read_telemetry(folder, files.get(runlog.TELEMETRY))
    parts = {ENVIRONMENT: environment, runlog.TELEMETRY: telemetry}
    damaged = [name for name, part in parts.items() if not part]
    hashes = seal.hashes(files)
    sealed = seal.fresh(hashes) if written else seal.examine(facts.run_id, hashes, folder, damaged)
    official: dict[str, Any] = {}
    if config.driver == "mlcommons":
        official = pieces.make("figure", "official LoadGen", lambda: _official(folder), official)
    lg = None
    if scenarios.entry_of(settings).loadgen is not None:
        lg = pieces.make("figure", "LoadGen", lambda: loadgen_results.results(log, settings), None)
    steps = search.parsed(folder, files.get(search.FILE))
    return Raw(
        saved, environment, log, facts, settings, config, entry, lg, official, pieces.missing,
        telemetry, steps, sealed,
    )  # fmt: skip


def _official(folder: Path) -> dict[str, Any]:
    return official_results(folder) if is_official(folder) else {}


def _files_to_read(folder: Path) -> dict[str, bytes]:
    """Read what a run was sealed with. Raises BadInput."""
    check_folder(folder)
    try:
        files = runlog.read_raw(folder)
        if (folder / search.FILE).is_file():
            files[search.FILE] = read_bytes(folder / search.FILE)
    except OSError:
        raise not_a_run(folder, runlog.SAMPLES) from None
    return files


def _parsed(folder: Path, name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        data = parsed.loads(files[name].decode())
        if not isinstance(data, dict):
            raise ValueError
    except (KeyError, ValueError):
        raise not_a_run(folder, name) from None
    return data


def _check_settings(folder: Path, saved: dict[str, Any]) -> None:
    """Hold the settings against their schema. Raises BadInput."""
    doing = f"reading {folder / SETTINGS}"
    declared.hold(saved, "settings", doing)
    if not isinstance(saved.get("dataset"), dict) or "name" not in saved["dataset"]:
        todo = "Restore the file, or run again."
        raise BadInput(doing, "dataset.name is missing", "expected the file of a run", todo)


def _parse(folder: Path, saved: dict[str, Any]) -> tuple[RunSettings, RunConfig, SutEntry]:
    try:
        settings = RunSettings(**{**saved["run"], "seeds": Seeds(**saved["run"]["seeds"])})
        config = RunConfig.model_validate(saved["config"])
        _ = config.chosen_profile, config.pattern  # names that this version knows
        return settings, config, registry.recorded_entry(config.sut, saved.get("sut"))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise BadInput(
            f"reading {folder}",
            "settings.json has other fields than this version writes",
            "expected a run of this version of Touchstone",
            "Read it with the version that made it (see environment.json), or run again.",
        ) from None


def read_json(path: Path) -> dict[str, Any]:
    """Read one of its JSON files. Raises BadInput if that is missing or damaged."""
    try:
        data = parsed.read_json(path)
        if not isinstance(data, dict):
            raise ValueError
    except (OSError, ValueError):
        raise not_a_run(path.parent, path.name) from None
    return data


def files_of(folder: Path) -> dict[str, str]:
    """Name the files inside the folder, which can be moved so. The JSON files are written together
    with this list.
    """
    return {
        Path(name).stem: name
        for name in (*_FILES, *_MADE)
        if name in _MADE or (folder / name).is_file()
    }
