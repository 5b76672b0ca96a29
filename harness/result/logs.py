"""Are the MLPerf logs in a run folder those that the run gave?

Touchstone's own logs are made from samples.parquet, so they are made again and compared, byte for
byte. The official LoadGen's cannot be made again: their hashes were taken when it had written them,
and the answers in its accuracy log are those that the recorder has.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed
from harness.kernel.foreign.own_files import MOST_BYTES, MOST_LOG_BYTES, read_bytes, sha256
from harness.kernel.log import RunLog
from harness.kernel.types import Int64s, Status, Verdict
from harness.official.wheel import LOGS
from harness.result.publish import log_texts
from harness.result.read import Raw
from harness.result.result import Result
from reports.mlperf.files import ACCURACY

_SHOWN = 120  # characters of a line
MISSING = "missing"


class Difference(NamedTuple):
    """The first log that is not the run's own: its name, what is wrong, and what to do."""

    file: str
    what: str
    todo: str


def hashes(folder: Path) -> dict[str, str]:
    """Return name -> SHA-256 of the logs that are there."""
    found = {name: folder / name for name in LOGS}
    return {name: sha256(path) for name, path in found.items() if path.is_file()}


def difference(folder: Path, raw: Raw, built: Result) -> Difference | None:
    """Return the first difference between the logs on disk and the run; None if there is none."""
    by_loadgen = raw.config.driver == "mlcommons"
    todo = f"harness report {folder} makes the logs again"
    if by_loadgen:
        todo = "Run it again: only LoadGen itself can write its logs"
    for name in LOGS:
        if not (folder / name).is_file():
            return Difference(name, MISSING, todo)
    found = _from_loadgens(folder, raw) if by_loadgen else _from_own(folder, raw, built)
    return None if found is None else Difference(*found, todo)


def verdict(folder: Path, raw: Raw, built: Result) -> Verdict:
    """Judge the logs of an audited run."""
    rule = "LOGS as_recorded"
    found = difference(folder, raw, built)
    if found is None:
        by_loadgen = raw.config.driver == "mlcommons"
        detail = "LoadGen's, as it wrote them" if by_loadgen else "made again, they are the same"
        return Verdict(rule, "PASS", detail=detail)
    detail = f"{found.file}: {found.what}"
    status: Status = "SKIPPED" if found.what == MISSING else "FAIL"
    return Verdict(rule, status, detail=detail, remedy=found.todo)


def logged_ids(folder: Path, raw: Raw, chosen: Int64s) -> Int64s:
    """Return the ids of the logged answers: `chosen` by our own draw, or those of LoadGen's log."""
    if raw.config.driver != "mlcommons":
        return chosen
    answers = _answers(folder)
    return np.array([int(str(answer["seq_id"])) for answer in answers], np.int64)


def _from_own(folder: Path, raw: Raw, built: Result) -> tuple[str, str] | None:
    for name, text in log_texts(raw, built).items():
        expected = text.encode()
        theirs = read_bytes(folder / name, at_most=2 * len(expected) + MOST_BYTES)
        if theirs != expected:
            return name, _first_line(theirs.decode(errors="replace"), text)
    return None


def _first_line(theirs: str, ours: str) -> str:
    """Say where two texts part."""
    rows, expected = theirs.splitlines(), ours.splitlines()
    pairs = enumerate(zip(rows, expected, strict=False), 1)
    number = next(
        (n for n, (row, other) in pairs if row != other), min(len(rows), len(expected)) + 1
    )
    there = rows[number - 1] if number <= len(rows) else "the end"
    wanted = expected[number - 1] if number <= len(expected) else "the end"
    at = next((k for k, (a, b) in enumerate(zip(there, wanted, strict=False)) if a != b), 0)
    start = max(0, at - _SHOWN // 2)
    shown = (repr(text[start : start + _SHOWN]) for text in (there, wanted))
    return f"line {number} is " + ", the run gives ".join(shown)


def _from_loadgens(folder: Path, raw: Raw) -> tuple[str, str] | None:
    now = hashes(folder)
    for name, known in raw.facts.log_hashes.items():
        if now.get(name) != known:
            return name, "it is not as LoadGen wrote it"
    log = raw.log
    for answer in _answers(folder):
        i = int(str(answer["seq_id"]))
        if i >= len(log) or answer["qsl_idx"] != log.index[i] or answer["data"] != _data(log, i):
            return ACCURACY, f"answer {i} is not the one that was recorded"
    return None


def _data(log: RunLog, i: int) -> str:
    """Return what LoadGen was told of sample `i`: one that failed was answered with nothing."""
    end = log.token_start[i + 1] if log.completed[i] else log.token_start[i]
    return str(log.token_ids[log.token_start[i] : end].astype("<i4").tobytes().hex().upper())


def _answers(folder: Path) -> list[dict[str, object]]:
    try:
        answers: list[dict[str, object]] = parsed.read_json(folder / ACCURACY, MOST_LOG_BYTES)
    except (OSError, ValueError) as error:
        fine = "the accuracy log of a finished run"
        raise BadInput(f"reading {folder / ACCURACY}", str(error), fine) from None
    return answers
