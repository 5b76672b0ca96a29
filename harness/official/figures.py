"""What did the official LoadGen make of a run? Its detail log, read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import MOST_LOG_BYTES, read_bytes

DETAIL = "mlperf_log_detail.txt"
_LINE = re.compile(
    r':::MLLOG \{"key": "(?P<key>[^"]*)", "value": (?P<value>.*), "time_ms": (?P<meta>.*)$'
)
_FIGURES = (
    "loadgen_version", "sut_name", "effective_", "generated_", "early_stopping_", "result_",
    "num_errors",
)  # fmt: skip
_OURS = "touchstone_run_id"


def is_official(folder: Path) -> bool:
    """Tell whether the folder holds logs that the official LoadGen wrote to their end."""
    try:
        official_results(folder)
    except BadInput:
        return False
    return True


def official_results(folder: Path) -> dict[str, Any]:
    """Return the figures of LoadGen's detail log under their own keys, with `errors` and `warnings`
    as lists of texts.

    Kept: loadgen_version, sut_name, effective_*, generated_*, early_stopping_*, result_*,
    num_errors. An undefined number is None; of a key that comes once per accuracy set, the first.
    Raises BadInput if LoadGen wrote no log there.
    """
    path = folder / DETAIL
    try:
        lines = read_bytes(path, MOST_LOG_BYTES).decode(errors="replace").splitlines()
    except OSError:
        lines = []
    events = [_event(line) for line in lines]
    found: dict[str, Any] = {}
    for key, value, _ in events:
        if key.startswith(_FIGURES):
            found.setdefault(key, value)
    if "loadgen_version" not in found or any(key == _OURS for key, *_ in events):
        raise BadInput(
            f"reading {folder}",
            f"no {DETAIL} of the official LoadGen",
            "the folder of a --driver mlcommons run",
        )
    errors = [str(value) for key, value, kind in events if kind == "error"]
    warnings = [str(value) for key, value, kind in events if kind == "warning"]
    return found | {"errors": errors, "warnings": warnings}


def _event(line: str) -> tuple[str, Any, str]:
    """Return (key, value, "error" | "warning" | "") of a line. Not every line is JSON: LoadGen
    writes -nan, and quotes as they are.
    """
    found = _LINE.match(line)
    if found is None:
        return "", None, ""
    kind = (
        "error"
        if '"is_error": true' in found["meta"]
        else "warning"
        if '"is_warning": true' in found["meta"]
        else ""
    )
    try:
        return found["key"], json.loads(found["value"], parse_constant=lambda _: None), kind
    except (ValueError, RecursionError):
        text = found["value"]
        return found["key"], text[1:-1] if text.startswith('"') else None, kind
