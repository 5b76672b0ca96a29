"""How is a variant evaluated by a tool of somebody else's? It is served on the loopback address,
the tool is started in its own environment and told where, and its own result file is read. A tool
that scores answers is given those of a finished run instead.

One row after the other. What fails is the row of its variant; the others go on. The folder
stays, however it ends.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from harness.engine import runlog
from harness.evaluators import record, running, served
from harness.evaluators.answers.columns import kept
from harness.evaluators.compared import lines
from harness.evaluators.job import NOBODY, Cell, Job, safe
from harness.evaluators.record import DONE, FAILED, INTERRUPTED, Evaluation, Row
from harness.evaluators.served import Server
from harness.evaluators.tool import Ask, Figure, Tool
from harness.evaluators.unfinished import Unfinished, saved
from harness.kernel import files
from harness.kernel.clock import monotonic_s, utc_now
from harness.kernel.errors import BY_NAME, HarnessError, RunBroke
from harness.kernel.foreign.own_files import open_own, sha256
from harness.kernel.process import stopping
from harness.kernel.protocols import Say
from harness.kernel.types import short_name

KIND = "evaluate"
_LONGEST = 80  # characters of a folder's name
Found = dict[str, Any]
Told = Callable[[Found], None]


def measure(job: Job, say: Say, told: Told) -> tuple[Found, Path]:
    """Evaluate all of it; return evaluate.json and its folder. `told` hears of each row."""
    found = Evaluation(
        tool=job.tool.name,
        version=job.version,
        tasks=list(job.tasks),
        options=list(job.asked.options),
        model=job.model,
        started_at=utc_now().isoformat(timespec="seconds"),
        asked=saved(job.asked),
        not_run=[cell.name for cell in job.cells],
    )
    task = Path(job.tasks[0]).stem if job.tool.scores_answers else job.tasks[0]
    name = "_".join(filter(None, (short_name(job.model), job.tool.name, task)))
    stamp = f"{utc_now():%Y%m%dT%H%M%SZ}"
    place = runlog.create(job.asked.output_dir, f"{stamp}_{KIND}_{safe(name)[:_LONGEST]}")
    return go_on(Unfinished(job, found, place), say, told)


def go_on(left: Unfinished, say: Say, told: Told) -> tuple[Found, Path]:
    """Evaluate what is left; return evaluate.json and its folder. Raises BadInput if another
    process does so.
    """
    job, found, place = left
    with record.held(place):
        found.status = INTERRUPTED
        record.write(found, place)
        for cell in [cell for cell in job.cells if cell.name in found.not_run]:
            row = _row(job, cell, place, say)
            with stopping.later():  # it took long, and is not made again
                found.rows.append(row)
                found.not_run.remove(cell.name)
                record.write(found, place)
            say("")
            if row.status == INTERRUPTED:
                break
            told({**msgspec.to_builtins(row), "name": cell.name})
        found.status = _status(found)
        found.lines = lines([found], [kept(place)])
        record.write(found, place)
    whole: Found = msgspec.to_builtins(found)
    return whole, place


def _status(found: Evaluation) -> str:
    states = {row.status for row in found.rows}
    return next((status for status in (INTERRUPTED, FAILED) if status in states), DONE)


def _row(job: Job, cell: Cell, place: Path, say: Say) -> Row:
    """Evaluate one variant, or score one run. Whatever breaks is its row. What an interrupted try
    has left goes.
    """
    shutil.rmtree(place / cell.folder, ignore_errors=True)
    folder = place
    for part in cell.folder.parts:
        folder = files.subfolder(folder, part)
    row, begun_s = Row(cell.label, cell.folder.as_posix()), monotonic_s()
    try:
        _fill(row, job, cell, folder, say)
        stopping.check()
    except KeyboardInterrupt:
        row.status, row.reason = INTERRUPTED, "it was stopped"
    except HarnessError as error:
        row.status, row.reason, row.failure = FAILED, str(error), type(error).__name__
    row.seconds = round(monotonic_s() - begun_s, 3)
    return row


def _fill(row: Row, job: Job, cell: Cell, folder: Path, say: Say) -> None:
    """Write into a row what comes of it, as it comes. Raises HarnessError, KeyboardInterrupt."""
    out, tool = files.subfolder(folder, record.OUT).absolute(), job.tool
    if cell.answers is not None:
        row.scored = cell.answers.facts()
    with _server(job, cell, folder, say) as server:
        ask = job.ask(cell, server, out)
        row.model, row.server = server.model, dict(server.facts)
        tool.prepare(ask)
        row.command = tool.command(ask)
        variables = tool.variables(ask)
        running.run(tool, row.command, variables, folder, job.timeout_s, server.check, say)
        row.refused = server.refused()
    results = sorted(path for path in out.glob(tool.results) if path.is_file())
    row.figures = _figures(tool, results, ask, folder, row.scored)
    row.files = {str(path.relative_to(out)): sha256(path) for path in results}


@contextmanager
def _server(job: Job, cell: Cell, folder: Path, say: Say) -> Iterator[Server]:
    label = cell.label
    if cell.answers is not None:
        yield replace(NOBODY, model=cell.answers.model)
        return
    if job.asked.base_url is not None:
        yield served.there(job.asked.base_url, job.model, job.tool.alias)
        return
    name = job.tool.alias or safe(f"{short_name(job.model)}-{label}")
    with served.serving(job.asked.flags, label, name, job.asked.max_len, folder, say) as server:
        yield server


def _figures(
    tool: Tool, results: list[Path], ask: Ask, folder: Path, known: dict[str, Any]
) -> list[Figure]:
    """Return what the result files say; `known` gets what there is to know of the figures. Raises
    RunBroke where they say nothing, or no number.
    """
    doing, todo = f"reading the result of {tool.name}", f"See {folder / running.LOG}."
    if not results:
        last = served.last_lines(folder / running.LOG, 1)
        fine = f"its last words: {last[0]}" if last else "and it has said nothing"
        raise RunBroke(doing, "it ended well but left no result file", fine, todo)
    try:
        for path in results:
            open_own(path).close()
        figures = tool.read(results)
        known |= tool.keep(ask, folder)
    except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        found = f"{results[-1].name} has another shape ({type(error).__name__}: {error})"
        raise RunBroke(doing, found, "this version cannot read it", todo) from None
    for one in figures:
        if not math.isfinite(one.value):
            raise RunBroke(doing, f"{one.metric} of {one.task} is {one.value}", "", todo)
    if not figures:
        raise RunBroke(doing, f"{results[-1].name} has no figures", "", todo)
    return figures


def exit_code(found: Found) -> int:
    """Return 0 if every variant has its figures, 130 after Ctrl-C, that of the first error, and 1
    where the server refused some requests, whose answers may have been counted as wrong.
    """
    if found["status"] == INTERRUPTED:
        return stopping.STOPPED
    failures = [row["failure"] for row in found["rows"] if row["failure"]]
    if failures:
        return BY_NAME[failures[0]].exit_code
    return int(any(row["refused"] for row in found["rows"]))
