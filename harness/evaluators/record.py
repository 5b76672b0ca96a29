"""What is kept of an evaluation? evaluate.json in its folder: the tool, what it was asked, and a
row for each variant with the figures that the tool has found; of a tool that scores answers, a row
for each run and task.

    FOLDER/evaluate.json    rewritten as soon as a row has ended
    FOLDER/int8/            tool.log, sut.log (the server's words), out/ (the tool's own files)
    FOLDER/int8/rouge/      of a tool that scores answers: tool.log, out/, answers.parquet
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock
from msgspec import Struct, field

from harness.evaluators.tool import Figure
from harness.kernel import files
from harness.kernel.errors import BadInput, HarnessError, first_line
from harness.kernel.foreign.consent import remember
from harness.kernel.foreign.own_files import check_folder, read_bytes
from harness.kernel.places import expanded, found_at
from harness.kernel.process.holding import acquire

SCHEMA = "touchstone.evaluate/1"
FILE, LOCK = "evaluate.json", ".study.lock"
OUT = "out"
DONE, FAILED, INTERRUPTED = "DONE", "FAILED", "INTERRUPTED"


class Row(Struct):
    """A variant, a server or a run that was evaluated. `failure` names the exception, if any."""

    label: str
    folder: str  # inside the evaluation's
    status: str = DONE
    reason: str = ""
    failure: str = ""
    model: str = ""  # as the tool calls it
    server: dict[str, Any] = field(default_factory=dict)  # what the server says of itself
    command: list[str] = field(default_factory=list)
    seconds: float = 0.0
    files: dict[str, str] = field(default_factory=dict)  # result files: their SHA-256
    figures: list[Figure] = field(default_factory=list)
    refused: int = 0  # requests that our server gave no answer to
    scored: dict[str, Any] = field(default_factory=dict)  # the answers of a run that were scored


class Line(Struct, frozen=True):
    """A figure of a variant beside the first variant that has it, of which it is the `difference`;
    None for that one itself. `low` and `high` are its 95 % interval, where both have answered the
    same questions and it is known.
    """

    label: str
    task: str
    metric: str
    value: float
    stderr: float | None
    n: int | None
    difference: float | None
    low: float | None = None
    high: float | None = None


class Evaluation(Struct):
    """evaluate.json. `started_at` is in UTC."""

    tool: str
    version: str  # empty where the tool has none
    tasks: list[str]
    options: list[str]  # the user's own, for the tool
    model: str
    started_at: str
    asked: dict[str, Any] = field(default_factory=dict)  # the other settings
    rows: list[Row] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)  # when all have ended
    not_run: list[str] = field(default_factory=list)
    status: str = DONE
    schema: str = SCHEMA


def write(found: Evaluation, place: Path) -> None:
    """Write evaluate.json, whose settings are the user's own from now on. Raises OSError."""
    files.write_json(place / FILE, msgspec.to_builtins(found))
    remember(place / FILE)


@contextmanager
def held(place: Path) -> Iterator[None]:
    """Hold the folder of an evaluation. Raises BadInput if another process does."""
    lock = FileLock(place / LOCK)
    acquire(lock, f"evaluation {place}")
    try:
        yield
    finally:
        lock.release()


def read(place: Path) -> Evaluation:
    """Return what a finished evaluation has found. Raises BadInput for any other folder."""
    place = expanded(place)
    doing = f"reading {place}"
    if not (place / FILE).is_file():
        found = f"it has no {FILE}" if place.is_dir() else found_at(place)
        todo = "Make one with: python -m harness evaluate --with lm-eval --task NAME."
        raise BadInput(doing, found, "expected the folder of an evaluation", todo)
    check_folder(place)
    try:
        evaluation = msgspec.json.decode(read_bytes(place / FILE), type=Evaluation)
    except (OSError, ValueError, HarnessError) as error:
        fine, todo = f"expected {FILE} as it was written", "Restore it, or evaluate again."
        raise BadInput(doing, first_line(error), fine, todo) from None
    if evaluation.schema != SCHEMA:
        found = f"its schema is {evaluation.schema!r}"
        todo = "Use the version that made it."
        raise BadInput(doing, found, f"this version reads {SCHEMA}", todo)
    return evaluation
