"""Which files does a run of a server get for Endpoints, and what is in each?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.kernel.files import write_text
from harness.kernel.log import RunLog
from reports.endpoints import yaml
from reports.endpoints.config import config, has_files
from reports.endpoints.scores import scores
from reports.endpoints.series import Rank
from reports.endpoints.summary import summary

FOLDER = "endpoints"
CONFIG = "config.yaml"
SUMMARY, SCORES = "performance/result_summary.json", "accuracy/accuracy_results.json"


def texts(
    result: Mapping[str, Any], log: RunLog, rank: Rank, version: str, where: tuple[str, str]
) -> dict[str, str]:
    """Return name -> content of the files of a run; none where Endpoints has no such load. `where`
    is the base URL and the endpoint ("chat" or "completions").
    """
    if not has_files(result["scenario"]):
        return {}
    found = {CONFIG: yaml.text(config(result, *where))}
    if result["mode"] != "accuracy":
        found[SUMMARY] = _json(summary(result, log, rank, version))
    if scored := scores(result, complete=not result["missing"]):
        found[SCORES] = _json(scored)
    return found


def write(folder: Path, found: Mapping[str, str]) -> None:
    """Write the files below `folder`/endpoints, each whole or not at all. Raises OSError."""
    for name, text in found.items():
        path = folder / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
