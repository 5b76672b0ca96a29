"""What do finished runs tell of the deployments they were of? Folders of runs and of studies in,
the standing of each deployment out.

A run is the stage that it can stand for: an offline or stream run tells the speed, an accuracy run
the quality, a search or a server run the valid rate. Runs of one model and variant are of one
deployment; those of a comparison, a sweep or a decision are of the cell that they were made for. A
name before a folder (fast=runs/A) says which deployment it is of.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.kernel.errors import BadInput
from harness.kernel.words.measure import Measure
from harness.result.publish import whole
from harness.study.decide.known.facts import Kept, kept_of, stage_of
from harness.study.decide.known.standing import Standing, Told
from harness.study.decide.plan import label_of
from harness.study.decide.wishes.figures import Stage
from harness.study.finished import Run, named_runs


def standings(folders: Sequence[Path], measures: Sequence[Measure]) -> list[Standing]:
    """Read the runs and sort them by deployment. Raises BadInput."""
    runs = [(run, _read(run.folder)) for folder in folders for run in named_runs(folder)]
    has_models = len({kept["model"] for _, kept in runs}) > 1
    found, references = dict[str, Standing](), dict[str, str]()
    for run, kept in runs:
        label = _label(run, kept, has_models)
        reference = references.setdefault(kept["model"], label)
        one = found.setdefault(label, Standing(label, reference))
        stage = _stage(run.folder, kept)
        if stage in one.runs:
            raise _twice(label, stage, [one.runs[stage].folder, run.folder])
        one.add(stage, Told(kept, run.folder.resolve()), measures)
    return list(found.values())


def _read(folder: Path) -> Kept:
    """Return what is kept of a run, made from its raw files again. Raises BadInput."""
    raw, built = whole(folder)
    kept = kept_of(built.to_json(), folder)
    if raw.seal.status == "edited":
        kept |= {"status": "EDITED", "reason": "its raw files were edited"}
    return kept


def _stage(folder: Path, kept: Kept) -> Stage:
    stage = stage_of(kept)
    if stage is None:
        found, fine = f"it is a {kept['mode']} run", "expected an offline, accuracy or server run"
        raise BadInput(f"reading {folder}", found, fine, "Leave it out.")
    return stage


def _label(run: Run, kept: Kept, has_models: bool) -> str:
    try:
        return label_of(run.cell)[0]
    except ValueError:
        name = f"{kept['model']} {kept['variant']}" if has_models else str(kept["variant"])
        return run.cell or name


def _twice(label: str, stage: Stage, folders: Sequence[Path | None]) -> BadInput:
    found = f"{' and '.join(map(str, folders))} both tell the {stage} of {label}"
    todo = f"Leave one out, or name them: a={folders[0]} b={folders[1]}."
    return BadInput("decide", found, "expected one run of each kind", todo)
