"""Which finished runs are in the folders that a user names? A run is itself; of a comparison, a
gate, a sweep or a decision the runs that it made, but for the control of a gate, which is the
reference again in other batches.

A name before a folder (fast=runs/A) is what the runs in it are called.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel.foreign import parsed
from harness.kernel.foreign.own_files import check_folder, inside, read_bytes
from harness.kernel.places import not_a_run
from harness.study.study import FILE, ROWS

_CONTROL = "control"


class Run(NamedTuple):
    """A finished run, and the cell of a study that it was made for ("" for none)."""

    folder: Path
    cell: str


def named_runs(folder: Path) -> Iterator[Run]:
    """Yield the runs of a folder before which a name may stand. Raises BadInput."""
    name, path = name_and_place(folder)
    for run in runs_of(path):
        yield run._replace(cell=name) if name else run


def name_and_place(folder: Path) -> tuple[str, Path]:
    """Return the name before a folder ("" without one), and the folder."""
    name, equals, path = str(folder).partition("=")
    return ("", folder) if not equals or folder.exists() else (name, Path(path))


def runs_of(folder: Path) -> Iterator[Run]:
    """Yield the runs of a folder: itself, or those of a study. Raises BadInput."""
    check_folder(folder)
    if (folder / "samples.parquet").is_file() or (folder / "result.json").is_file():
        yield Run(folder, "")
        return
    try:
        kind = str(parsed.read_json(folder / FILE)["kind"])
        rows = [parsed.loads(line) for line in _lines(folder)]
        made = [(str(row["cell"]), str(row["run"])) for row in rows if row["run"]]
        ended = {cell: inside(folder, run) for cell, run in made}
    except (OSError, ValueError, KeyError, TypeError):
        raise not_a_run(folder, "result.json") from None
    for cell, run in ended.items():
        if kind != "gate":
            yield Run(run, cell)
        elif cell.rpartition(": ")[2] != _CONTROL:
            yield Run(run, "")


def _lines(folder: Path) -> list[Any]:
    text = read_bytes(folder / ROWS).decode()
    return [line for line in text.split("\n") if line.strip()]
