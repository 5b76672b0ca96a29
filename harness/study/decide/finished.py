"""What do finished runs tell of the deployments they were of? Folders of runs and of studies in,
the standing of each deployment out.

A run is the stage that it can stand for: an offline or stream run tells the speed, an accuracy run
the quality, a search or a server run the valid rate. Runs of one model and variant are of one
deployment; those of a comparison, a sweep or a decision are of the cell that they were made for. A
name before a folder (fast=runs/A) says which deployment it is of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed
from harness.kernel.foreign.own_files import check_folder, inside, read_bytes
from harness.kernel.places import not_a_run
from harness.kernel.words.measure import Measure
from harness.result.publish import whole
from harness.study.decide.facts import Kept, kept_of, stage_of
from harness.study.decide.figures import Stage
from harness.study.decide.plan import label_of
from harness.study.decide.standing import Standing, Told
from harness.study.study import FILE, ROWS


class Run(NamedTuple):
    """A finished run, and the cell of a study that it was made for ("" for none)."""

    folder: Path
    cell: str


def standings(folders: Sequence[Path], measures: Sequence[Measure]) -> list[Standing]:
    """Read the runs and sort them by deployment. Raises BadInput."""
    runs = [(run, _read(run.folder)) for folder in folders for run in _named_runs(folder)]
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


def _named_runs(folder: Path) -> Iterator[Run]:
    """Yield the runs of a folder before which a deployment may be named. Raises BadInput."""
    name, equals, path = str(folder).partition("=")
    if not equals or folder.exists():
        yield from _runs(folder)
        return
    for run in _runs(Path(path)):
        yield run._replace(cell=name)


def _runs(folder: Path) -> Iterator[Run]:
    """Yield the runs of a folder: itself, or those of a study. Raises BadInput."""
    check_folder(folder)
    if (folder / "samples.parquet").is_file() or (folder / "result.json").is_file():
        yield Run(folder, "")
        return
    try:
        kind = str(parsed.read_json(folder / FILE)["kind"])
        rows = [parsed.loads(line) for line in _lines(folder)]
        ended = [(str(row["cell"]), str(row["run"])) for row in rows if row["run"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise not_a_run(folder, "result.json") from None
    for cell, run in dict(ended).items():
        if kind != "gate":
            yield Run(inside(folder, run), cell)
        elif cell != "control":
            yield Run(inside(folder, run), "")


def _lines(folder: Path) -> list[Any]:
    text = read_bytes(folder / ROWS).decode()
    return [line for line in text.split("\n") if line.strip()]
