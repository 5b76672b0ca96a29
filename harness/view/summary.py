"""What does the list say of a folder? A few fields of its result.json, of its study.json, or what a
run that goes on has done so far.

The files may be anybody's: they are read up to a size, and only fields of the right type count. A
file that is damaged makes a row that says so.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from harness.kernel.clock import utc_at
from harness.kernel.errors import HarnessError
from harness.kernel.foreign import parsed
from harness.kernel.foreign.own_files import open_own, read_bytes

MOST_BYTES = 1 << 24
_TAIL_BYTES = 4096
_STAMP = re.compile(r"(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z")
_FRESH_NS = 15_000_000_000  # a helper writes once a second
LINES = "telemetry.jsonl"  # of a run that goes on
UNFINISHED, RUNNING, DAMAGED = "UNFINISHED", "RUNNING", "DAMAGED"


class Summary(NamedTuple):
    """A row of the list. `status` is the verdict of a run or a study; `note` says more."""

    status: str
    note: str = ""
    scenario: str = ""  # of a run; the kind of a study
    model: str = ""
    variant: str = ""
    samples_per_s: float | None = None
    tokens_per_s: float | None = None
    ttft_p50_ms: float | None = None
    tpot_p50_ms: float | None = None
    peak_bytes: float | None = None


class _Throughput(Struct):
    samples_per_s: float | None = None
    tokens_per_s: float | None = None


class _Percentiles(Struct):
    p50: float | None = None


class _Latency(Struct):
    ttft_ms: _Percentiles = msgspec.field(default_factory=_Percentiles)
    tpot_ms: _Percentiles = msgspec.field(default_factory=_Percentiles)


class _Memory(Struct):
    gpu_peak_bytes: float | None = None
    rss_peak_bytes: float | None = None


class _Result(Struct):
    status: str
    scenario: str
    model: str
    sut: str = ""
    variant: str | None = None
    mode: str = ""
    status_reason: str = ""
    throughput: _Throughput = msgspec.field(default_factory=_Throughput)
    latency: _Latency = msgspec.field(default_factory=_Latency)
    memory: _Memory = msgspec.field(default_factory=_Memory)


class StudyCell(Struct):
    """A cell as study.json has it."""

    name: str
    needs: str = ""
    settings: dict[str, Any] = msgspec.field(default_factory=dict)


class Study(Struct):
    """What study.json says."""

    kind: str
    cells: list[StudyCell]
    started_at: str = ""


class StudyRow(Struct):
    """A row of rows.jsonl."""

    cell: str
    run: str
    status: str
    reason: str = ""
    figures: dict[str, Any] = msgspec.field(default_factory=dict)


class _Verdict(Struct):
    status: str = ""


_RESULT = msgspec.json.Decoder(_Result)
_STUDY = msgspec.json.Decoder(Study)
_ROW = msgspec.json.Decoder(StudyRow)
_VERDICT = msgspec.json.Decoder(_Verdict)


class _Line(Struct):
    issued: int
    done: int


_LINE = msgspec.json.Decoder(_Line)


def of_run(folder: Path, now_ns: int) -> Summary:
    """Return the row of a run. `now_ns` is the wall clock, as file systems have it."""
    try:
        found = _RESULT.decode(read_bytes(folder / "result.json", MOST_BYTES))
    except FileNotFoundError:
        return _unfinished(folder, now_ns)
    except (OSError, HarnessError, ValueError):
        return Summary(DAMAGED, "its result.json cannot be read")
    return Summary(
        status=found.status,
        note=found.status_reason,
        scenario=found.scenario if found.mode != "accuracy" else f"{found.scenario}, accuracy",
        model=found.model,
        variant=found.variant or found.sut,
        samples_per_s=found.throughput.samples_per_s,
        tokens_per_s=found.throughput.tokens_per_s,
        ttft_p50_ms=found.latency.ttft_ms.p50,
        tpot_p50_ms=found.latency.tpot_ms.p50,
        peak_bytes=found.memory.gpu_peak_bytes or found.memory.rss_peak_bytes,
    )


def _unfinished(folder: Path, now_ns: int) -> Summary:
    """Return the row of a run that goes on, or that ended without a verdict."""
    try:
        changed_ns = (folder / LINES).stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return Summary(UNFINISHED, "it has no result.json")
    if now_ns - changed_ns > _FRESH_NS:
        return Summary(UNFINISHED, "it ended before it was judged")
    return Summary(RUNNING, _progress(folder))


def _progress(folder: Path) -> str:
    """Say what a run has done so far, by the last whole line of its helper."""
    try:
        with open_own(folder / LINES) as file:
            file.seek(max(file.seek(0, 2) - _TAIL_BYTES, 0))
            lines = file.read().split(b"\n")[:-1]
        last = _LINE.decode(lines[-1])
    except (OSError, HarnessError, ValueError, IndexError):
        return ""
    return f"{last.done:,} samples answered, {last.issued - last.done:,} open"


def study_of(folder: Path) -> Study | None:
    """Return what a study.json says; None if it is damaged."""
    try:
        return _STUDY.decode(read_bytes(folder / "study.json", MOST_BYTES))
    except (OSError, HarnessError, ValueError):
        return None


def rows_of(folder: Path) -> dict[str, StudyRow]:
    """Return the rows of the cells that have ended, by the name of the cell."""
    try:
        lines = read_bytes(folder / "rows.jsonl", 4 * MOST_BYTES).split(b"\n")
    except (OSError, HarnessError):
        return {}
    found = {}
    for line in filter(None, lines):
        try:
            row = _ROW.decode(line)
        except ValueError:
            continue  # cut, or not ours
        found[row.cell] = row
    return found


def of_study(folder: Path) -> Summary:
    """Return the row of a study: how many cells have ended, and its verdict if it has one."""
    study = study_of(folder)
    if study is None:
        return Summary(DAMAGED, "its study.json cannot be read")
    rows = rows_of(folder)
    ended = [rows[cell.name] for cell in study.cells if cell.name in rows]
    counts = Counter(row.status for row in ended)
    told = [f"{count} {status}" for status, count in counts.most_common()]
    note = f"{len(ended)} of {len(study.cells)} cells"
    note = f"{note}: {', '.join(told)}" if told else note
    models = {str(row.figures["model"]) for row in ended if row.figures.get("model")}
    model = models.pop() if len(models) == 1 else f"{len(models)} models" if models else ""
    is_done = len(ended) == len(study.cells)
    status = verdict(folder, study.kind) or ("DONE" if is_done else UNFINISHED)
    return Summary(status, note, study.kind, model)


def of_whole(folder: Path, kind: str) -> Summary:
    """Return the row of a folder that has one object and no study, such as compare.json."""
    if not (folder / f"{kind}.json").is_file():
        return Summary(UNFINISHED, f"it has no {kind}.json", kind)
    return Summary(verdict(folder, kind) or "DONE", "", kind)


def verdict(folder: Path, kind: str) -> str:
    """Return the status that the object of a study has; "" if it has none."""
    try:
        return _VERDICT.decode(read_bytes(folder / f"{kind}.json", MOST_BYTES)).status
    except (OSError, HarnessError, ValueError):
        return ""


def started(name: str, mtime_ns: int) -> str:
    """Return when a folder was begun, in UTC: by its name, else by its last change."""
    if found := _STAMP.match(name):
        year, month, day, hour, minute, second = found.groups()
        return f"{year}-{month}-{day} {hour}:{minute}:{second}"
    return f"{utc_at(mtime_ns):%Y-%m-%d %H:%M:%S}"


def any_object(path: Path) -> dict[str, Any]:
    """Return a JSON object; an empty one if there is none."""
    try:
        found = parsed.read_json(path, MOST_BYTES)
    except (OSError, HarnessError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
