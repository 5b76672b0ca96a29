"""What is in the folder of a finished run? Its raw files, read once and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import scenarios
from harness.engine import runlog
from harness.engine.pieces import Pieces
from harness.engine.runlog import RunFacts
from harness.kernel.errors import BadInput
from harness.kernel.foreign import declared
from harness.kernel.foreign.raw import check_bounds
from harness.kernel.places import not_a_run
from harness.kernel.types import RunLog, RunSettings, Seeds
from harness.official.figures import is_official, official_results
from harness.options.settings import RunConfig
from harness.result import evaluation, search
from scenarios.loadgen import results as loadgen_results

ACCURACY_PART = "accuracy"  # of a submission: a run folder inside the performance part's
_FILES = (
    "settings.json", "environment.json", "samples.parquet", "telemetry.parquet", "report.html",
    "sut.log", "loadgen.log", search.FILE, "mlperf_log_summary.txt",
    "mlperf_log_detail.txt", "mlperf_log_accuracy.json",
)  # fmt: skip
_MADE = ("memory.json", "scores.json", "verdicts.json", "result.json")


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


def read_run(folder: Path) -> Raw:
    """Read a run folder. Raises BadInput if it holds no run of this version."""
    saved = read_json(folder / "settings.json")
    environment = read_json(folder / "environment.json")
    _check(folder, saved, environment)
    log, facts = runlog.read_log(folder)
    check_bounds(log, f"reading {folder / 'samples.parquet'}")
    settings, config = _parse(folder, saved)
    pieces = Pieces([*facts.missing, *evaluation.missing(facts.evaluation)])
    official: dict[str, Any] = {}
    if config.driver == "mlcommons":
        official = pieces.make("figure", "official LoadGen", lambda: _official(folder), official)
    lg = None
    if scenarios.entry(settings.scenario).loadgen is not None:
        lg = pieces.make("figure", "LoadGen", lambda: loadgen_results.results(log, settings), None)
    return Raw(saved, environment, log, facts, settings, config, lg, official, pieces.missing)


def _check(folder: Path, saved: dict[str, Any], environment: dict[str, Any]) -> None:
    """Hold both files against their schemas. Raises BadInput."""
    for name, value in (("settings", saved), ("environment", environment)):
        declared.hold(value, name, f"reading {folder / name}.json")
    if not isinstance(saved.get("dataset"), dict) or "name" not in saved["dataset"]:
        found = "dataset.name is missing"
        raise BadInput(f"reading {folder / 'settings.json'}", found, "expected the file of a run")


def _official(folder: Path) -> dict[str, Any]:
    return official_results(folder) if is_official(folder) else {}


def _parse(folder: Path, saved: dict[str, Any]) -> tuple[RunSettings, RunConfig]:
    try:
        settings = RunSettings(**{**saved["run"], "seeds": Seeds(**saved["run"]["seeds"])})
        return settings, RunConfig.model_validate(saved["config"])
    except (KeyError, TypeError, ValueError):
        raise BadInput(
            f"reading {folder}",
            "settings.json has other fields than this version writes",
            "expected a run of this version of Touchstone",
            "Read it with the version that made it (see environment.json), or run again.",
        ) from None


def read_json(path: Path) -> dict[str, Any]:
    """Read one of its JSON files. Raises BadInput if that is missing or damaged."""
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
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
