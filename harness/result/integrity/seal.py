"""Are the raw files of a run those that were measured? A SHA-256 over them, noted apart from the
run folder, says so: whoever edits the folder later, by hand or as a program, is found out.

    seal     SHA-256 of a list: one line "HASH  NAME" for each raw file, by name. In the run folder

                 sha256sum environment.json samples.parquet settings.json telemetry.parquet \
                     | sha256sum

             prints the same (a search has find_peak.json as well, after environment.json)
    noted    in the user's state folder, one file per run: TOUCHSTONE_STATE, else touchstone/ in
             XDG_STATE_HOME (~/.local/state). The screen shows the seal. result.json has it too,
             which tells of an edit where nothing was noted: on another machine, say

A run is judged by what was in memory when its files were written, so the seal is of that. A
program of the same user can write the state folder as well; what it cannot change is what was
printed, or what the user copied elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from harness.engine.pieces import reason
from harness.kernel import files
from harness.kernel.clock import utc_now
from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed
from harness.kernel.places import state_folder
from harness.kernel.types import Verdict

RULE = "seal"
UNSEALED = "not sealed: an edit of the raw files would go unnoticed"
_TODO = "restore the files as they were measured, or run again"
_LONGEST_BYTES = 1 << 20  # of a file of seals: a run that is resumed adds one

Hashes = Mapping[str, str]  # SHA-256 of files by name


class Seal(NamedTuple):
    """`status` is about the files as they are now: `edited` if they are not those of the seal that
    was noted. `sha256` is the seal of the files as they are.
    """

    status: Literal["sealed", "not sealed", "edited"]
    sha256: str
    edited: tuple[str, ...] = ()  # names of raw files that were changed, added or removed
    noted: str = ""  # the seal that was noted; empty if none was
    files: Hashes = MappingProxyType({})  # when it was sealed; as they are, if it was not

    def to_json(self) -> dict[str, Any]:
        return self._asdict() | {"edited": list(self.edited), "files": dict(self.files)}


def hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file, by name."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}


def digest(known: Hashes) -> str:
    """Return the seal of raw files, by their hashes."""
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(known.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def note(run_id: str, known: Hashes) -> str:
    """Note the seal of a run that was just measured. Return why that failed; empty if it did not.

    A part that is measured again gets one more: the last one counts.
    """
    row = {"sha256": digest(known), "sealed_at": utc_now().isoformat(timespec="seconds")}
    try:
        file = _file(run_id)
        file.parent.mkdir(parents=True, exist_ok=True)
        seals = [*_noted(run_id), row | {"files": dict(sorted(known.items()))}]
        files.write_json(file, {"run_id": run_id, "seals": seals})
    except (OSError, RuntimeError) as fault:  # RuntimeError: the user has no home
        return reason(fault)
    return ""


def fresh(known: Hashes) -> Seal:
    """Return the seal of a run whose files were just written."""
    now = digest(known)
    return Seal("sealed", now, (), now, known)


def examine(run_id: str, known: Hashes, folder: Path, damaged: Sequence[str] = ()) -> Seal:
    """Hold the raw files of a run against the seal that was noted for it; where there is none,
    against the one in its result.json, which can only tell that it was edited.

    `damaged` files cannot be read, so no figure comes from them: the others are judged.
    """
    now, noted = digest(known), _noted(run_id)
    files = noted[-1]["files"] if noted else _claimed(folder)
    names = (known.keys() | files.keys()) - set(damaged)
    edited = tuple(sorted(name for name in names if known.get(name) != files.get(name)))
    if files and edited:
        return Seal("edited", now, edited, digest(files), files)
    if not noted:
        return Seal("not sealed", now, files=known)
    return Seal("sealed", now, (), digest(files), files)


def verdict(found: Seal) -> Verdict:
    """Judge the raw files of a run that somebody reads."""
    if found.status == "edited":
        return Verdict(RULE, "FAIL", detail=words(found), remedy=_TODO)
    if found.status == "not sealed":
        return Verdict(RULE, "SKIPPED", detail=UNSEALED)
    return Verdict(RULE, "PASS", detail=f"raw files as they were measured ({found.sha256[:12]})")


def words(found: Seal) -> str:
    """Say what was edited."""
    names = ", ".join(found.edited)
    return f"{names} {'was' if len(found.edited) == 1 else 'were'} edited since the run was sealed"


def _file(run_id: str) -> Path:
    """Return where the seals of a run are. A run folder says its id itself, so that it is no name
    of a file.
    """
    name = hashlib.sha256(run_id.encode(errors="replace")).hexdigest()[:32]
    return state_folder("seals") / f"{name}.json"


def _noted(run_id: str) -> list[dict[str, Any]]:
    """Return the seals of a run, the last one last; none if they cannot be read."""
    try:
        saved = parsed.read_json(_file(run_id), _LONGEST_BYTES)
        return [row for row in saved["seals"] if _is_seal(row)] if saved["run_id"] == run_id else []
    except (BadInput, OSError, RuntimeError, ValueError, KeyError, TypeError):
        return []


def _claimed(folder: Path) -> Hashes:
    """Return the hashes of raw files that the result.json of a folder names; {} if it has none."""
    try:
        saved = parsed.read_json(folder / "result.json")["seal"]
        return saved["files"] if digest(saved["files"]) == saved["noted"] else {}
    except (BadInput, OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_seal(row: Mapping[str, Any]) -> bool:
    return isinstance(row["files"], dict) and digest(row["files"]) == row["sha256"]
