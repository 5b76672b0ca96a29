"""Which runs might a decision need? Deployments and what is wanted in, a cell for each stage of
each deployment out. Not all of them will be measured.

    int8: speed     int8: quality     int8: rate
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness import registry
from harness.kernel.errors import BadInput
from harness.kernel.types import short_name
from harness.options.settings import RunConfig
from harness.study.cells import cells_of, varied
from harness.study.decide.figures import STAGES, Stage
from harness.study.decide.wanted import Asked, Wanted
from harness.study.study import Cell

_CHOSEN = ("scenario", "mode", "evaluate")  # the stages choose these
_OF_QUALITY = {"scenario": "offline", "mode": "accuracy", "warmup": 0}
Flags = Mapping[str, Any]


class Job(NamedTuple):
    """What to decide, checked: cells to be measured. The folder is named for `what`."""

    asked: Asked
    cells: list[Cell]
    output_dir: Path
    what: str
    varied: Sequence[str] = ()
    executor: str = "here"


def job(asked: Asked, wanted: Wanted, flags: Flags, variants: str | None) -> Job:
    """Check everything before the first run begins. Raises BadInput."""
    given = {name: value for name, value in flags.items() if value is not None}
    _check_flags(given, variants)
    made = {stage: _cells(stage, wanted, given, variants) for stage in wanted.stages}
    first = next(iter(made.values()))
    labels = [cell.name for cell in first]
    models = [short_name(cell.config.model) for cell in first]
    variant_names = [cell.config.variant for cell in first]
    wanted.terms.check_names(dict.fromkeys([*labels, *variant_names, *models]))
    cells = [
        Cell(cell_name(cell.name, stage), cell.config)
        for stage, of_stage in made.items()
        for cell in of_stage
    ]
    config = first[0].config
    is_model = registry.sut_entry(config.sut).runs_model
    what = models[0] if is_model else config.sut.replace(":", ".")
    return Job(asked, cells, config.output_dir, what, varied(given))


def finished_only(doing: str, flags: Flags, variants: str | None) -> Path:
    """Return where to write what finished runs tell, with which no settings can be given. Raises
    BadInput.
    """
    given = [name for name, value in flags.items() if value is not None and name != "output_dir"]
    others = [f"--{name.replace('_', '-')}" for name in given]
    others += ["--variants"] * (variants is not None)
    if others:
        found = f"finished runs are given together with {', '.join(others)}"
        raise BadInput(doing, found, "expected one or the other", "Leave the flags or runs out.")
    return Path(flags.get("output_dir") or "runs")


def _check_flags(given: Flags, variants: str | None) -> None:
    """Refuse what the stages choose themselves, and a list of rates. Raises BadInput."""
    if chosen := [f"--{name}" for name in _CHOSEN if name in given]:
        fine = "decide chooses these for each of its runs"
        raise BadInput("decide", f"{' and '.join(chosen)} is given", fine, "Leave it out.")
    if variants is None and "variant" not in given and not varied(given):
        fine = "expected run folders, --variants, or a setting with several values"
        todo = "For example: --variants fp32,bf16,int8."
        raise BadInput("decide", "nothing to choose from is named", fine, todo)
    if "," in str(given.get("target_qps", "")):
        fine = "expected one: the highest valid rate of each deployment is searched for"
        raise BadInput("decide", "several rates are given", fine, "See python -m harness sweep.")


def _cells(stage: Stage, wanted: Wanted, given: Flags, variants: str | None) -> list[Cell]:
    others = {name: value for name, value in given.items() if not _is_of_rate(stage, name)}
    cells = cells_of(others | _flags(stage, wanted, given), variants)
    if stage != "quality":
        return cells
    for cell in cells:
        if not registry.sut_entry(cell.config.sut).uses_dataset:
            found = f"the {cell.config.sut} SUT writes no answers"
            fine = "quality is judged by the answers of a model"
            raise BadInput("--require", found, fine, "Leave the requirement on quality out.")
    references = {reference_of(cell.config): cell.name for cell in reversed(cells)}
    return [
        cell._replace(config=cell.config.model_copy(update={"tf32": False}))
        if cell.name in references.values()
        else cell
        for cell in cells
    ]


def _is_of_rate(stage: Stage, name: str) -> bool:
    """Is it a setting that means something else in a run without arrivals?"""
    return name == "target_qps" and stage != "rate"


def _flags(stage: Stage, wanted: Wanted, given: Flags) -> dict[str, Any]:
    """Return the settings that make a run the stage."""
    if stage == "quality":
        return _OF_QUALITY | {"evaluate": False}
    if stage == "speed":
        return {"scenario": "offline", "evaluate": wanted.evaluates}
    limits = {name: value for name, value in wanted.limits().items() if name not in given}
    mode = {"mode": "find-peak"} if wanted.needs_search or "target_qps" not in given else {}
    return {"scenario": "server", "evaluate": False} | mode | limits


def reference_of(config: RunConfig) -> str:
    """Return whose answers a deployment is held against: those of the first one of its model."""
    return str(config.tokenizer or config.model)


def cell_name(label: str, stage: Stage) -> str:
    """Name the run of a stage."""
    return f"{label}: {stage}"


def label_of(name: str) -> tuple[str, Stage]:
    """Return the deployment and the stage that a cell is of. Raises ValueError."""
    label, _, stage = name.rpartition(": ")
    for known in STAGES:
        if stage == known:
            return label, known
    raise ValueError(name)
