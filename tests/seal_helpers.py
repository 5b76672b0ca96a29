"""Runs whose raw files a test edits, and says so: as if they had been measured that way."""

from __future__ import annotations

import json
from pathlib import Path

from harness.engine.runlog import read_log
from harness.result.integrity import seal


def forget(folder: Path) -> Path:
    """Take the seal off a run, and return its folder."""
    seal._file(read_log(folder)[1].run_id).unlink(missing_ok=True)
    file = folder / "result.json"
    if file.is_file():
        found = json.loads(file.read_text())
        file.write_text(json.dumps({k: v for k, v in found.items() if k != "seal"}))
    return folder
