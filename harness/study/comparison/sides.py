"""Which runs are repeats of one another? Those of --baseline are one side and the others the other
one; in the folder of a study, cells with the same settings are repeats.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed
from harness.kernel.foreign.own_files import check_folder, inside

_NOT_MEANT = ("seeds", "output_dir", "origins")  # settings in which repeats may differ
_NUMBER = re.compile(r" (\(\d+/\d+\)|#\d+)$")
_KINDS = ("compare", "sweep")


class Group(NamedTuple):
    """The runs of one side; the label is empty for that of its row."""

    label: str
    runs: tuple[Path, ...]


def given(baseline: str | None, runs: Sequence[Path]) -> tuple[tuple[Group, ...], list[Path]]:
    """Return the sides that the user means, and all folders of runs in order. Without repeats there
    are no sides: each run is one. Raises BadInput.
    """
    others = [group for folder in runs for group in _expanded(folder)]
    if baseline is None:
        groups = others if any(len(group.runs) > 1 for group in others) else []
        return tuple(groups), [run for group in others for run in group.runs]
    first = [run for folder in _folders(baseline) for g in _expanded(folder) for run in g.runs]
    second = [run for group in others for run in group.runs]
    if not second:
        found, fine = "there is no run beside the baseline's", "expected RUN... too"
        todo = "For example: compare --baseline runs/A1,runs/A2 runs/B1 runs/B2."
        raise BadInput("--baseline", found, fine, todo)
    resolved = [run.resolve() for run in (*first, *second)]
    if twice := [run for run in resolved if resolved.count(run) > 1]:
        found = f"{twice[0]} is given twice"
        raise BadInput("--baseline", found, "expected each run once", "Leave one out.")
    return (Group("baseline", tuple(first)), Group("candidate", tuple(second))), [*first, *second]


def _folders(baseline: str) -> list[Path]:
    """Split the folders of --baseline; one whose own name has a comma is meant as it is."""
    names = [name.strip() for name in baseline.split(",")]
    if Path(baseline).exists():
        names = [baseline]
    if "" in names:
        fine = "expected folders of runs, separated by commas"
        raise BadInput("--baseline", f"{baseline!r} has an empty name", fine)
    return [Path(name) for name in names]


def _expanded(folder: Path) -> list[Group]:
    """Return the runs of a study as sides; a folder that is no study is a run. Raises BadInput."""
    file = folder / "study.json"
    if not file.is_file() or (folder / "result.json").is_file():
        return [Group("", (folder,))]
    check_folder(folder)
    try:
        saved = parsed.read_json(file)
        if saved["kind"] not in _KINDS:
            found, fine = f"it is a {saved['kind']}", "expected runs, a comparison or a sweep"
            raise BadInput(f"comparing {folder}", found, fine)
        settings = {cell["name"]: _meant(cell["settings"]) for cell in saved["cells"]}
        runs = _runs(folder)
    except (OSError, ValueError, KeyError, TypeError):
        fine = "expected it as the study wrote it"
        raise BadInput(f"reading {file}", "it is damaged", fine, "Restore the file.") from None
    groups: dict[str, list[str]] = {}
    for name in settings:
        if name in runs:
            groups.setdefault(settings[name], []).append(name)
    if not groups:
        fine = f"its runs are made by: python -m harness resume {folder}"
        raise BadInput(f"comparing {folder}", "none of its runs has ended", fine)
    return [
        Group(_NUMBER.sub("", names[0]), tuple(runs[name] for name in names))
        for names in groups.values()
    ]


def _meant(settings: dict[str, Any]) -> str:
    kept = {name: value for name, value in settings.items() if name not in _NOT_MEANT}
    return json.dumps(kept, sort_keys=True)


def _runs(folder: Path) -> dict[str, Path]:
    """Return the folders of the runs that ended, by cell. Raises ValueError, KeyError, OSError."""
    found = {}
    for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines():
        row = parsed.loads(line)
        if row["run"]:
            found[str(row["cell"])] = inside(folder, row["run"])
    return found
