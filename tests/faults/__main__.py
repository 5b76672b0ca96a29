"""`make faults`: every phase of every command struck by every fault. Writes docs/faults.md.

`python -m tests.faults timed Ctrl-C` takes only the cells with all these words in their names, and
writes nothing. Exit code 1 if anything hangs, is lost or ends in the wrong way.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path

from tests import ROOT
from tests.faults.attempt import Outcome, attempt
from tests.faults.matrix import COMMANDS, FAULTS, Cell, Command, cells
from tests.faults.subjects import make

PAGE = ROOT / "docs" / "faults.md"
JOBS = 2  # programs at once


def main() -> int:
    words = sys.argv[1:]
    chosen = [cell for cell in cells() if all(word in cell.name for word in words)]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(JOBS) as pool:
        names = make(Path(scratch))
        places = [Path(scratch) / f"{number:03d}" for number in range(len(chosen))]
        outcomes = pool.map(partial(_attempt, names=names), chosen, places)
        found = dict(zip(chosen, outcomes, strict=True))
    if not words:
        PAGE.write_text(page(found), encoding="utf-8")
    return any(outcome.wrong for outcome in found.values())


def _attempt(cell: Cell, place: Path, names: dict[str, str]) -> Outcome:
    outcome = attempt(cell, place, names)
    lines = [f"{cell.name}: {_told(outcome)}"]
    if outcome.wrong:
        lines += [f"    {line}" for line in (*outcome.wrong, *outcome.words.splitlines()[-4:])]
    print("\n".join(lines), flush=True)
    shutil.rmtree(place, ignore_errors=True)
    return outcome


def page(found: dict[Cell, Outcome]) -> str:
    """Return docs/faults.md."""
    wrong = sum(bool(outcome.wrong) for outcome in found.values())
    tables = "\n".join(_table(command, found) for command in COMMANDS)
    return f"""# Faults

The commands below were started {len(found)} times in all, each time struck by one fault in the
middle of one phase, and watched: does it end, with the right exit code, with everything measured so
far on the disk, and with none of its processes left running? Of the {len(found)} attempts {wrong}
went wrong; {len(list(cells())) - len(found)} attempts of the matrix were not made.

A cell has the exit code: 130 is a run that was stopped, 3 a set-up that failed, 4 a run that broke,
-9 the program itself killed, 0 and 1 its verdict, - no attempt. After the code
stands how many samples (texts, in perplexity) could be read from the disk afterwards; phases in
bold come after the first sample was measured. "Disk full" allows no byte more to be written to any
file, "no descriptor left" no file or socket more to be opened, from that moment on.

Made by `make faults`, {date.today().isoformat()}.

{tables}"""


def _table(command: Command, found: dict[Cell, Outcome]) -> str:
    rows = [f"## {command.name}", ""]
    rows += ["| phase | " + " | ".join(fault.name for fault in FAULTS) + " |"]
    rows += ["|---" * (len(FAULTS) + 1) + "|"]
    for phase in command.phases:
        name = phase.name if phase.measured == "nothing" else f"**{phase.name}**"
        told = [_cell(found.get(Cell(command, phase, fault))) for fault in FAULTS]
        rows.append(f"| {name} | " + " | ".join(told) + " |")
    return "\n".join((*rows, ""))


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    kept = f", {outcome.kept}" if outcome.kept else ""
    return f"{outcome.code}{kept}" + (f" ({'; '.join(outcome.wrong)})" if outcome.wrong else "")


def _told(outcome: Outcome) -> str:
    words = "WRONG" if outcome.wrong else "right"
    return f"{words}, exit {outcome.code}, {outcome.kept} kept, {outcome.seconds:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
