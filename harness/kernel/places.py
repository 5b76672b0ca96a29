"""What stands at the path that a user named? Words for an error, so that the next try is right.

A path that is wrong is said to be missing, a dangling link, a folder, a file or unreadable, and
the nearest name beside it is offered. Of a folder that is not a run it is said what it is instead:
a comparison, a gate, a measurement of perplexity, a folder of runs, a run that never began.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from harness.kernel.errors import BadInput

_SHOWN = 3  # names that an error lists
_ALIKE = 0.75  # of difflib's ratio: one letter in four is wrong
_RUN = "result.json"
_KINDS = {
    "compare.json": "a comparison of runs",
    "gate.json": "a gate",
    "sweep.json": "a sweep",
    "family.json": "a family of models side by side",
    "perplexity.json": "a measurement of perplexity",
    "texts.parquet": "a measurement of perplexity",
    "evaluate.json": "an evaluation by a tool of somebody else's",
    "study.json": "an interrupted study",
}


def expanded(path: Path) -> Path:
    """Return a path with the home folder in place of ~; as it is where ~x is no user's."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def found_at(path: Path) -> str:
    """Say what is there: a clause such as "there is no such file or folder"."""
    try:
        if path.is_symlink() and not path.exists():
            return f"it is a link to {os.readlink(path)}, which does not exist"
        if not path.exists():
            return "there is no such file or folder"
        if not os.access(path, os.R_OK) or (path.is_dir() and not os.access(path, os.X_OK)):
            return "it cannot be read (permission denied)"
        if path.is_dir():
            return "it is a folder" if any(path.iterdir()) else "it is an empty folder"
    except PermissionError:
        return "it cannot be read (permission denied)"
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, a zero byte
        return f"it cannot be a path ({getattr(error, 'strerror', None) or error})"
    return "it is an empty file" if path.stat().st_size == 0 else "it is a file"


def state_folder(name: str) -> Path:
    """Return where this user keeps what outlives a run: TOUCHSTONE_STATE, else touchstone/ in
    XDG_STATE_HOME (~/.local/state). Raises RuntimeError if there is no home.
    """
    if own := os.environ.get("TOUCHSTONE_STATE"):
        return Path(own) / name
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "touchstone" / name


def guess(path: Path) -> str:
    """Offer the name beside a missing one that is most like it: "Did you mean 'data/qa.jsonl'?"."""
    try:
        others = [] if os.path.lexists(path) else os.listdir(path.parent)
    except (OSError, ValueError):
        return ""
    near = get_close_matches(path.name, others, n=1, cutoff=_ALIKE)
    return f"Did you mean {str(path.parent / near[0])!r}?" if near else ""


def wrong_path(doing: str, path: Path, fine: str, todo: str = "Check the path.") -> BadInput:
    """Make the error for a path that leads to nothing that could be used."""
    return BadInput(doing, found_at(path), fine, guess(path) or todo)


def not_a_run(folder: Path, lacking: str, doing: str = "") -> BadInput:
    """Make the error for a folder whose file `lacking` is not there or cannot be read.

    It says what the folder is instead of a finished run, and which run may have been meant.
    """
    doing, fine = doing or f"reading {folder}", "expected the folder of a finished run"
    names = _list(folder)
    if not names:
        return wrong_path(doing, folder, fine)
    if lacking in names:
        return BadInput(doing, f"its {lacking} is damaged", "expected it as the run wrote it",
                        "Restore the file, or run again.")  # fmt: skip
    runs = [folder / name for name in names if (folder / name / _RUN).is_file()]
    todo = f"Name one of its runs: {_some(runs)}." if runs else "Check the path."
    for marker, kind in _KINDS.items():
        if marker in names:
            return BadInput(doing, f"it is the folder of {kind}", fine, todo)
    if "samples.parquet" in names:
        return BadInput(doing, f"its {lacking} is missing", fine, "Restore the file.")
    if "journal.bin" in names:
        found, todo = "its driver was killed", f"harness report {folder} makes it of its journal."
        return BadInput(doing, found, fine, todo)
    if "settings.json" in names:
        log = folder / "sut.log"
        todo = f"See {log}." if log.is_file() else "Run it again."
        return BadInput(doing, "its run ended before anything was measured", fine, todo)
    found = f"it holds {_some(names)}" if not runs else "it is no run itself, but holds some"
    return BadInput(doing, found, fine, todo)


def not_a_study(folder: Path, lacking: str) -> BadInput:
    """Make the error for a folder whose study cannot be resumed, since `lacking` is not there or
    cannot be read. It says what the folder is instead, and which study may have been meant.
    """
    doing = f"resuming {folder}"
    fine = "expected a comparison, gate, search, submission, audit or measurement of perplexity"
    names = _list(folder)
    if not names:
        return wrong_path(doing, folder, fine)
    if lacking in names:
        return BadInput(doing, f"its {lacking} is damaged", "expected it as the study wrote it",
                        "Restore the file, or begin again.")  # fmt: skip
    for marker in ("compare.json", "gate.json", "family.json"):
        if marker in names:
            found = f"it is {_KINDS[marker]} without a {lacking}: all its runs were finished before"
            return BadInput(doing, found, "there is nothing to resume")
    if _RUN in names or "settings.json" in names:
        found, todo = "it is the folder of a single run", "A run cannot be resumed; run it again."
        return BadInput(doing, found, fine, todo)
    studies = [folder / name for name in names if (folder / name / lacking).is_file()]
    todo = f"Name one of its studies: {_some(studies)}." if studies else "Check the path."
    return BadInput(doing, f"it holds {_some(names)}", fine, todo)


def _list(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _some(names: Iterable[object]) -> str:
    """Name the first few, and say that there are more."""
    shown = [str(name) for name in names]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more
