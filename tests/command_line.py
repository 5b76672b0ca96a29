"""A run by the command line, in this process: what a user gets, with the traceback of a fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from harness.cli import app


def run(words: str, folder: Path, code: int | None = 0) -> tuple[dict[str, Any], str]:
    """Make a run in `folder`; return its result.json ({} if there is none) and what stood on the
    screen. `code` None: whatever the machine made of it.
    """
    asked = f"run --output-dir {folder} {words}"
    done = CliRunner().invoke(app, asked.split(), env={"COLUMNS": "120"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert code is None or done.exit_code == code, done.output
    files = list(folder.glob("*/result.json"))
    return json.loads(files[0].read_text(encoding="utf-8")) if files else {}, done.output
