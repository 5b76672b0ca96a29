"""Does result.json say what the run's raw files give? It is made again from them and compared,
figure by figure: whoever edited it is told which figures, and what they are.

Left out is what may differ for other reasons: notes, files, what is missing, the percentiles that
were shown, whether the dataset is still there, and the seal, which has a check of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.engine.environment import own_version
from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed
from harness.kernel.types import Status, Verdict
from harness.result.result import Result

RULE = "RESULT as_measured"
_COMPARED = (
    "run_id", "started_at", "scenario", "mode", "profile", "model", "variant", "dataset", "sut",
    "status", "official", "loadgen_valid", "loadgen", "result", "latency", "throughput", "counts",
    "memory", "sut_facts", "accuracy", "energy", "gpus", "driver", "verdicts", "settings",
    "environment",
)  # fmt: skip
_DIGITS = 1e-9  # figures may differ by the rounding of sums
_SHOWN, _LONGEST = 3, 60


class Edit(NamedTuple):
    """A value of result.json (`where`: "throughput.tokens_per_s") beside the one of the run."""

    where: str
    there: Any
    measured: Any

    def __str__(self) -> str:
        return f"{self.where} is {_short(self.there)}, the run gives {_short(self.measured)}"


def edits(folder: Path, built: Result) -> list[Edit] | None:
    """Return what differs from `built`, the result of the raw files, in the order of the fields.

    None if there is no result.json to read, or one of another version.
    """
    try:
        there = parsed.read_json(folder / "result.json")
        made_by = there["environment"]["touchstone"]
    except (BadInput, OSError, ValueError, KeyError, TypeError):
        return None
    if made_by != own_version():
        return None
    measured = json.loads(json.dumps(built.to_json(), default=str))
    pairs = ((name, there.get(name), measured.get(name)) for name in _COMPARED)
    return [edit for pair in pairs for edit in _differing(*pair)]


def percentiles(folder: Path) -> list[float]:
    """Return the percentiles (in percent) that a result.json shows in place of the usual ones."""
    try:
        saved = parsed.read_json(folder / "result.json")
        return [float(percent) for percent in saved["percentiles"]]
    except (BadInput, OSError, ValueError, KeyError, TypeError):
        return []


def words(found: list[Edit]) -> str:
    """Name the first edits, and how many more there are."""
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(map(str, found[:_SHOWN])) + more


def verdict(folder: Path, built: Result) -> Verdict:
    """Judge the result.json of an audited run."""
    found = edits(folder, built)
    if found is None:
        return Verdict(RULE, "SKIPPED", detail="there is no result.json of this version")
    status: Status = "FAIL" if found else "PASS"
    detail = words(found) or "result.json is what the raw files give"
    todo = "harness report RUN makes it again from the raw files" if found else ""
    return Verdict(RULE, status, len(found), 0, "values differ", detail, remedy=todo)


def _differing(where: str, there: Any, measured: Any) -> Iterator[Edit]:
    if isinstance(there, dict) and isinstance(measured, dict):
        shown_otherwise = where.startswith("latency.")  # other percentiles may have been asked for
        names = there.keys() & measured.keys() if shown_otherwise else there | measured
        for name in names:
            yield from _differing(f"{where}.{name}", there.get(name), measured.get(name))
    elif isinstance(there, list) and isinstance(measured, list) and len(there) == len(measured):
        for number, (one, other) in enumerate(zip(there, measured, strict=True)):
            yield from _differing(f"{where}[{number}]", one, other)
    elif not _same(there, measured):
        yield Edit(where, there, measured)


def _same(there: Any, measured: Any) -> bool:
    if isinstance(there, float) or isinstance(measured, float):
        numbers = isinstance(there, int | float) and isinstance(measured, int | float)
        return numbers and math.isclose(there, measured, rel_tol=_DIGITS, abs_tol=_DIGITS)
    return bool(there == measured)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
