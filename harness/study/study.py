"""What has been measured of a study, and what is left? A folder that outlives the process.

A study is a list of cells; a cell is the whole settings of one run, made in a folder inside the
study's. Comparisons and gates are kinds of it; so are a search and a submission, whose cells are
parts of one run and stand in its folder.

    study.json    the kind, its arguments and its cells; written before the first cell begins
    rows.jsonl    a row for each cell, appended as soon as the cell has ended
    .study.lock   held by the process that works on the study

So Ctrl-C, a crash or SIGKILL costs the cell that was being measured, and `harness resume FOLDER`
goes on. A row counts while the samples.parquet of its run is the one that was measured.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from filelock import FileLock
from pydantic import ValidationError

from harness.engine import runlog
from harness.engine.pieces import reason
from harness.kernel import files
from harness.kernel.clock import utc_now
from harness.kernel.errors import BadInput, RunBroke
from harness.kernel.foreign import parsed
from harness.kernel.foreign.consent import remember
from harness.kernel.foreign.own_files import inside, open_own, read_bytes
from harness.kernel.places import expanded, not_a_study
from harness.kernel.process import stopping
from harness.kernel.process.holding import acquire
from harness.kernel.process.streams import tell
from harness.kernel.protocols import Say
from harness.options.saved import without_secrets
from harness.options.settings import RunConfig
from harness.result.read import ACCURACY_PART
from harness.study import executors
from harness.study.executors.made import Made

SCHEMA = "touchstone.study/1"
FILE, ROWS, LOCK = "study.json", "rows.jsonl", ".study.lock"
_RAW = "samples.parquet"
T = TypeVar("T")
Figures = Callable[[Mapping[str, Any], Path], dict[str, Any]]  # of a result and its folder


class Cell(NamedTuple):
    """A run to be made. Its name is unique in the study; `needs` names the cell whose outputs
    complete its settings.
    """

    name: str
    config: RunConfig
    needs: str = ""


class Ended(NamedTuple):
    """A cell that was measured, or that cannot be (status FAILED, no run)."""

    cell: str
    run: str  # folder inside the study's; empty if none
    files: dict[str, str]  # SHA-256 of its raw records, by path inside the run folder
    status: str
    reason: str
    failure: str  # name of the exception; empty if there is a run
    figures: dict[str, Any]  # what the kind keeps of it


class Study:
    """`with study:` holds its lock and knows what has ended. Raises BadInput if another process
    holds it.
    """

    def __init__(
        self, place: Path, kind: str, arguments: Mapping[str, Any], cells: Sequence[Cell]
    ) -> None:
        self.place, self.kind, self.arguments, self.cells = place, kind, arguments, cells
        self.ended: dict[str, Ended] = {}
        self._lock = FileLock(place / LOCK)
        self._crew: executors.Crew | None = None

    def __enter__(self) -> Study:
        acquire(self._lock, f"study {self.place}")
        try:
            self.ended = _sound_rows(self.place, self.cells)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._crew is not None:
            self._crew.close()
        self._crew = None
        self._lock.release()

    @property
    def crew(self) -> executors.Crew:
        """Who makes the runs, from the first one to the end of the study. Raises SetupFailed."""
        if self._crew is None:
            self._crew = executors.crew(self.arguments.get("executor", "here"))
        return self._crew

    @property
    def is_spread(self) -> bool:
        """Say whether the nodes of a cluster make its runs, several at a time."""
        return executors.named(self.arguments.get("executor", "here")).name == executors.RAY

    @property
    def left(self) -> list[Cell]:
        """The cells that have not ended, in order."""
        return [cell for cell in self.cells if cell.name not in self.ended]

    def read(self, what: Callable[[Mapping[str, Any]], T]) -> T:
        """Return what `what` makes of the arguments. Raises BadInput if they are damaged."""
        try:
            return what(self.arguments)
        except (KeyError, TypeError, ValueError):
            raise _damaged(self.place / FILE, "it is damaged") from None

    def begin(self, cell: Cell, say: Say) -> None:
        """Let the crew make the run of a cell."""
        config = cell.config.model_copy(update={"output_dir": self.place})
        self.crew.begin(cell.name, config, say)

    def run(self, cell: Cell, say: Say, figures: Figures) -> tuple[Ended, bool]:
        """Make the run of a cell; return its row and whether the user wants no more.

        A run that was interrupted has no row on the disk: it is measured again. Raises what the
        run raises.
        """
        self.begin(cell, say)
        made = self.crew.ended().made
        if isinstance(made, BaseException):
            raise made
        return self.took(cell, made, figures), made.is_last

    def took(self, cell: Cell, made: Made, figures: Figures) -> Ended:
        """Keep the row of a run that was made, and return it."""
        found, folder, _ = made
        self._refuse_elsewhere(cell, folder)
        ended = Ended(
            cell.name,
            str(folder.relative_to(self.place)),
            hashes(folder) | _measured(found),
            found["status"],
            found["status_reason"],
            "",
            figures(found, folder),
        )
        if ended.status != "INTERRUPTED":
            self.keep(ended)
        return ended

    def broke(self, cell: Cell, fault: Exception) -> Ended:
        """Keep the row of a cell that has no run, and return it. Raises KeyboardInterrupt if the
        user wants no more: it would be told as a failure, and never measured.
        """
        stopping.check()
        ended = Ended(cell.name, "", {}, "FAILED", reason(fault), type(fault).__name__, {})
        self.keep(ended)
        return ended

    def _refuse_elsewhere(self, cell: Cell, folder: Path) -> None:
        """Raise RunBroke if the run could not be kept in the study's folder."""
        if not folder.is_relative_to(self.place):
            found, fine = "its disk takes no more files", f"the run of {cell.name} is in {folder}"
            todo = f"Make room, then go on with: python -m harness resume {self.place}"
            raise RunBroke(f"writing to {self.place}", found, fine, todo)

    def keep(self, ended: Ended) -> None:
        """Append a row; it is on the disk when this returns. Raises RunBroke if it cannot be."""
        try:
            files.append(self.place / ROWS, _line(ended))
        except OSError as error:
            fine = f"the cell {ended.cell} is measured again"
            todo = f"Make room, then go on with: python -m harness resume {self.place}"
            doing = f"writing {self.place / ROWS}"
            raise RunBroke(doing, reason(error), fine, todo) from None
        self.ended[ended.cell] = ended

    def forget(self, fault: BaseException) -> None:
        """Say how a study goes on that ends early; leave none in which the first run could not
        even begin.
        """
        inside = [path for path in self.place.iterdir() if path.is_dir()]
        if inside or self.ended or isinstance(fault, KeyboardInterrupt):
            tell_how_to_go_on(self.place)
            return
        self._lock.release()
        shutil.rmtree(self.place, ignore_errors=True)


# ---- the folder


def begin(
    kind: str,
    arguments: Mapping[str, Any],
    cells: Sequence[Cell],
    output_dir: Path,
    what: str,
    label: str = "",
) -> Study:
    """Make the folder of a new study, named for its kind (or `label`) and `what`. Raises BadInput
    if it cannot be.
    """
    name = "_".join(filter(None, (f"{utc_now():%Y%m%dT%H%M%SZ}_{label or kind}", what)))
    return begin_in(runlog.create(output_dir, name), kind, arguments, cells)


def begin_in(place: Path, kind: str, arguments: Mapping[str, Any], cells: Sequence[Cell]) -> Study:
    """Make a folder that is there a study."""
    saved = {
        "schema": SCHEMA,
        "kind": kind,
        "started_at": utc_now().isoformat(timespec="seconds"),
        "arguments": dict(arguments),
        "cells": [
            {"name": cell.name, "needs": cell.needs, "settings": _saved(cell.config)}
            for cell in cells
        ],
    }
    files.write_json(place / FILE, saved)
    remember(place / FILE)
    return Study(place, kind, arguments, cells)


def load(place: Path, kinds: Sequence[str]) -> Study:
    """Read what a study is. Raises BadInput for a folder that is none, or of another version."""
    file = place / FILE
    try:
        saved = parsed.read_json(file)
        schema, kind = saved["schema"], saved["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        raise not_a_study(place, FILE) from None
    if schema != SCHEMA or kind not in kinds:
        found = f"its schema is {schema!r}" if schema != SCHEMA else f"its kind is {kind!r}"
        fine = f"this version resumes {SCHEMA} of the kinds {', '.join(kinds)}"
        raise BadInput(f"reading {file}", found, fine, "Use the version that began it.")
    try:
        cells = [
            Cell(cell["name"], RunConfig.model_validate(cell["settings"]), cell["needs"])
            for cell in saved["cells"]
        ]
        study = Study(place, kind, dict(saved["arguments"]), cells)
        study.read(lambda known: executors.known(known.get("executor", "here")))
        return study
    except ValidationError as error:
        what = "; ".join(".".join(map(str, e["loc"])) for e in error.errors())
        found = f"it has settings that this version does not take: {what}"
    except (KeyError, TypeError, ValueError):
        found = "it is damaged"
    raise _damaged(file, found)


def tell_how_to_go_on(place: Path) -> None:
    """Name the command that goes on with a study."""
    tell(f"go on with: python -m harness resume {place}")


def _damaged(file: Path, found: str) -> BadInput:
    fine = "expected it as the study wrote it"
    return BadInput(f"reading {file}", found, fine, "Restore the file, or begin again.")


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the raw records of a run; of a submission, of both its parts."""
    found = {}
    for name in (_RAW, f"{ACCURACY_PART}/{_RAW}"):
        with suppress(FileNotFoundError), open_own(folder / name) as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _measured(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash of the record of a run as it was in memory, whatever its folder holds now."""
    files = found.get("seal", {}).get("files", {})
    return {_RAW: files[_RAW]} if _RAW in files else {}


def _saved(config: RunConfig) -> dict[str, Any]:
    """The settings as they mean the same from any folder: a model that is a path is absolute."""
    from sut.model.find import TABLE

    saved = without_secrets(config)
    path = expanded(Path(config.model))
    if config.model not in TABLE and path.exists():
        saved["model"] = str(path.absolute())
    return saved


# ---- the rows


def _sound_rows(place: Path, cells: Sequence[Cell]) -> dict[str, Ended]:
    """The rows that count. The others are named, and dropped from the file, so that the next row
    begins a line of its own.
    """
    file = place / ROWS
    text = read_bytes(file).decode(errors="replace") if file.exists() else ""
    rows = {ended.cell: ended for ended in _readable(text, file) if _is_sound(place, ended)}
    names = [cell.name for cell in cells if cell.name in rows]
    rows = {name: rows[name] for name in dict.fromkeys((*names, *rows))}
    kept = "".join(map(_line, rows.values()))
    if kept != text:
        files.write_text(file, kept)
    return rows


def _readable(text: str, file: Path) -> Iterator[Ended]:
    for number, line in enumerate(StringIO(text, newline="\n"), 1):
        try:
            if not line.endswith("\n"):
                raise ValueError
            yield _ended(parsed.loads(line), file.parent)
        except (ValueError, TypeError):
            _note(f"line {number} of {file} is half-written or damaged; its cell is measured again")


def _ended(row: dict[str, Any], place: Path) -> Ended:
    """Return a row. Raises ValueError, TypeError if it is none, or names a run elsewhere."""
    ended = Ended(**row)
    kinds: tuple[object, ...] = ("", "", {}, "", "", "", {})
    if [type(value) for value in ended] != [type(kind) for kind in kinds]:
        raise TypeError
    if ended.run:
        inside(place, ended.run)
    return ended


def _is_sound(place: Path, ended: Ended) -> bool:
    if not ended.run:
        return True
    found = hashes(place / ended.run)
    found = {name: found[name] for name in ended.files if name in found}
    if found == ended.files:
        return True
    what = "was edited" if found.keys() == ended.files.keys() else "is gone"
    where = f"the record of its run ({place / ended.run}) {what}"
    _note(f"{ended.cell}: {where} since it was measured; it is measured again")
    return False


def _line(ended: Ended) -> str:
    return json.dumps(ended._asdict()) + "\n"


def _note(words: str) -> None:
    tell(f"note: {words}")
