"""What did a tool of somebody else's find of a member (`harness evaluate`)? Each of its figures
with a 95 % interval of its own standard error; those of one tool, version and options compare.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from accuracy.resampling import Estimate
from harness.evaluators.record import DONE, FILE, Evaluation, Row, read
from harness.evaluators.tool import Figure
from harness.kernel.types import is_address, short_name
from harness.study.family.told import Reading, Told

HIGHER, LOWER = "evaluated", "evaluated_lower"
_Z = 1.96  # of a 95 % interval


def is_evaluation(folder: Path) -> bool:
    """Is this the folder of an evaluation?"""
    return (folder / FILE).is_file()


def of_tools(folder: Path, model: str = "") -> list[Reading]:
    """Read an evaluation: a reading for each variant. Raises BadInput."""
    found = read(folder)
    return [_reading(found, row, folder, model) for row in found.rows]


def _reading(found: Evaluation, row: Row, folder: Path, model: str) -> Reading:
    name = model or short_name(found.model or row.label)
    variant = "served" if is_address(row.label) else row.label
    problem = "" if row.status == DONE else f"{row.label} is {row.status}: {row.reason}"
    told = [] if problem else list(_told(found, row, folder))
    return Reading(name, variant, str(folder), {}, told, problem=problem)


def _told(found: Evaluation, row: Row, folder: Path) -> Iterator[Told]:
    """Yield the figures of which it is known whether more is better."""
    terms = {"tool": f"{found.tool} {found.version}".strip(), "options": " ".join(found.options)}
    for one in row.figures:
        if one.higher_is_better is None:
            continue
        name = HIGHER if one.higher_is_better else LOWER
        of, n = f"{one.task} {one.metric} by {found.tool}", one.n
        asked = {**terms, "samples": str(n)} if n is not None else terms
        yield Told(name, of, asked, _value(one), str(folder), n)


def _value(one: Figure) -> Estimate:
    if one.stderr is None:
        return Estimate(one.value)
    return Estimate(one.value, one.value - _Z * one.stderr, one.value + _Z * one.stderr)
