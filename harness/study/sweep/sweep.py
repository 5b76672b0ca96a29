"""What came of a grid of settings? Every combination a row, whatever became of it.

Cells are measured one after the other, without a page each (`harness report FOLDER` makes it
later). A model that does not load, fit or convert is a row with its reason. Repeats are folded into
a mean with its interval (`folded`), points into curves over the load (`curves`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import registry
from harness.engine.pieces import noted, reason
from harness.kernel import files
from harness.kernel.errors import HarnessError
from harness.kernel.protocols import Say
from harness.kernel.types import short_name
from harness.live.watch import watching
from harness.running.start import fetch
from harness.study import loop
from harness.study.comparison.rows import failed_row
from harness.study.comparison.verdict import ENDED
from harness.study.study import Cell, Ended, Study, begin, tell_how_to_go_on
from harness.study.sweep.plan import Plan
from harness.study.sweep.points import planned, read_places
from harness.study.sweep.rows import kept
from harness.study.sweep.summary import summary

KIND, FILE = "sweep", "sweep.json"
Found = dict[str, Any]


def run(plan: Plan, executor: str, say: Say, told: Callable[[Found], None]) -> tuple[Found, Path]:
    """Return what came of it and its folder, with sweep.json and sweep.html. `told` hears of each
    new run at once.

    Ctrl-C ends the sweep and keeps its rows; without any it is raised. Raises BadInput before the
    first run begins.
    """
    ready = planned(plan)
    arguments = {
        "executor": executor,
        "repeats": plan.repeats,
        "order_seed": plan.order_seed,
        **ready.saved(),
    }
    output_dir = ready.cells[0].config.output_dir
    study = begin(KIND, arguments, ready.cells, output_dir, _what(ready.cells))
    return go_on(study, say, told)


def go_on(study: Study, say: Say, told: Callable[[Found], None]) -> tuple[Found, Path]:
    """Measure the cells of a sweep that have not ended, and sum all up: see `run`."""
    names = [cell.name for cell in study.cells]
    saved = study.read(lambda arguments: read_places(arguments, names))
    with study:
        _fetch(study, say)
        cells = [_without_page(cell) for cell in study.cells]
        with watching(study, say, lambda cell, row: told(_run(cell, row))) as watcher:
            measured = loop.measure(study, cells, say, kept, watcher)
        if not measured.rows:
            tell_how_to_go_on(study.place)
            raise KeyboardInterrupt
        say("summing up")
        runs = {cell.name: _run(cell, ended) for cell, ended in measured.rows}
        found = summary(saved, names, runs)
        found |= {"interrupted": measured.interrupted, "folder": str(study.place)}
        _keep(found, study.place)
        return found, study.place


def exit_code(found: Mapping[str, Any]) -> int:
    """0 if every combination was measured and one at least is valid: a load that breaks the limits
    is what a sweep looks for, a combination without figures is not.
    """
    if found["interrupted"]:
        return 130
    statuses = {point["status"] for point in found["points"]}
    return 0 if statuses <= set(ENDED) and "VALID" in statuses else 1


def _without_page(cell: Cell) -> Cell:
    return cell._replace(config=cell.config.model_copy(update={"no_page": True}))


def _fetch(study: Study, say: Say) -> None:
    """Make the models of the cells loadable. One that cannot be is a row for each of its cells."""
    by_model: dict[str, list[Cell]] = {}
    for cell in study.left:
        if registry.sut_entry(cell.config.sut).runs_model:
            by_model.setdefault(cell.config.model, []).append(cell)
    for cells in by_model.values():
        try:
            fetch([cells[0].config], say)
        except HarnessError as fault:
            for cell in cells:
                why, name = reason(fault), type(fault).__name__
                study.keep(Ended(cell.name, "", {}, "FAILED", why, name, {}))


def _run(cell: Cell, ended: Ended) -> Found:
    """Return the run of a cell as sweep.json has it; its folder from the sweep's."""
    row = ended.figures or failed_row(cell.config, ended.reason)
    return {
        "cell": cell.name,
        "status": row["status"],
        "reason": row["reason"],
        "run": ended.run,
        "model": row["model"],
        "variant": row["variant"],
        "tokenizer": row.get("tokenizer"),
        "device": row.get("device", ""),
        "devices": row.get("devices", 1),
        "is_at_once": cell.config.pattern.is_at_once,
        "figures": row.get("measured", {}),
    }


def _what(cells: Sequence[Cell]) -> str:
    """Say in the folder's name what is swept."""
    models = list(dict.fromkeys(cell.config.model for cell in cells))
    sut = cells[0].config.sut
    if not registry.sut_entry(sut).runs_model:
        return sut.replace(":", ".")
    return short_name(models[0]) if len(models) == 1 else f"{len(models)}_models"


def _keep(found: Found, place: Path) -> None:
    """Write sweep.json and sweep.html."""
    from reports.pages.sweep import page

    files.write_json(place / FILE, found)
    with noted("sweep.html"):
        page.write(place, found)
