"""Is the rate that a search found a peak? The steps of a find-peak run, and what follows from them.

find_peak.json holds one row per rate tried (`scenarios.peak.verdict.Step`, with `held`, and the
`status` and `folder` of its run) and `ended`, why no further rate was tried: `closed` (the bounds
met), `open` (nothing failed), `size` (the next run would be too large), or the status of a run that
broke.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import read_bytes
from harness.kernel.foreign.parsed import loads
from harness.kernel.log import RunLog
from harness.kernel.types import RunSettings, Verdict
from harness.result.capacity.evidence import evidence
from scenarios.peak import verdict as peak_verdict
from scenarios.peak.verdict import Step

FILE = "find_peak.json"
BROKE = ("INTERRUPTED", "ERROR")


def row(result: Any, log: RunLog, settings: RunSettings, folder: str) -> dict[str, Any]:
    """Return what find_peak.json says of one rate; `result` is the Result of its run."""
    limits = [v for v in _limits(result) if v["status"] != "SKIPPED"]
    kept = bool(limits) and all(v["status"] != "FAIL" for v in limits)
    failed = {v["rule"] for v in result.verdicts if v["status"] == "FAIL"}
    is_doubtful = any(v["status"] == "UNDECIDED" for v in limits)
    late = is_doubtful or bool(failed & {"driver_lag", "driver_error"})
    step = peak_verdict.make_step(log, settings, limits_kept=kept, driver_late=late)
    return asdict(step) | {"held": step.held, "status": result.status, "folder": folder}


def of_sequence(
    row: dict[str, Any],
    result: Any,
    log: RunLog,
    settings: RunSettings,
    step: Any,
    ended: bool,
) -> dict[str, Any]:
    """Return the row of a step of our own search, with what it tells of the peak. A whole run holds
    if early stopping is sure of it too.
    """
    certain = [v for v in result.verdicts if v["rule"].endswith("_early_stopping")]
    why = list(row["why"])
    if ended:
        why.append("hopeless")
    elif step.is_whole and not why and any(v["status"] == "FAIL" for v in certain):
        why.append("not_certain")
    told = evidence(log, settings, why, step.planned, ended)
    return row | {"why": why, "held": not why, "purpose": step.purpose} | told


def best(steps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the step of the highest rate that held; the last one if none did."""
    held = [step for step in steps if step["held"] and step["status"] not in BROKE]
    return max(held, key=lambda step: step["target_qps"], default=steps[-1])


def _limits(result: Any) -> list[dict[str, Any]]:
    """Return the verdicts on the latency limits."""
    return [v for v in result.verdicts if v["loadgen"] and v["unit"] == "ms"]


def _of_unknown_figures(verdict: Verdict, result: Any) -> Verdict:
    """Say what to do where no rate could hold, as the system does not report a limit's figure."""
    unknown = [v for v in _limits(result) if v["status"] == "FAIL" and v["measured"] is None]
    if verdict.status != "FAIL" or not unknown:
        return verdict
    detail = f"{verdict.detail}: {unknown[0]['rule']}, {unknown[0]['detail']}"
    return replace(verdict, detail=detail, remedy=unknown[0]["remedy"])


def read(folder: Path) -> dict[str, Any]:
    """Return {steps, ended}; nothing if the folder holds no search. Raises BadInput."""
    file = folder / FILE
    return parsed(folder, read_bytes(file) if file.is_file() else None)


def parsed(folder: Path, data: bytes | None) -> dict[str, Any]:
    """Return what the file of a search says; nothing if there is none. Raises BadInput."""
    if data is None:
        return {}
    try:
        found: dict[str, Any] = loads(data.decode())
        return found if found["steps"] else {}
    except (OSError, ValueError, KeyError, TypeError):
        fine = "the steps of a search"
        raise BadInput(
            f"reading {folder}", f"no readable {FILE}", fine, "Check the path."
        ) from None


def conclude(result: Any, found: Mapping[str, Any], settings: RunSettings) -> None:
    """Make the rate the figure of a search; that it is a peak is a condition like any other. A
    search that was cut short says so, whatever its best run was.
    """
    rows = found["steps"]
    steps = [_step(row) for row in rows if row["status"] not in BROKE]
    held = _found(steps, found)
    ended = found.get("ended", "")
    verdicts = peak_verdict.judge(steps, settings, ended, held) if steps else []
    verdicts = [_of_unknown_figures(verdict, result) for verdict in verdicts]
    failed = [v for v in verdicts if v.status == "FAIL"]
    broke = rows[-1]["status"] if rows[-1]["status"] in BROKE else ""
    is_peak = bool(steps) and not failed and not broke
    result.verdicts = [*map(asdict, verdicts), *result.verdicts]
    result.result = _headline(result.result, steps, held, is_peak)
    if "found" in found and result.capacity:
        result.capacity = result.capacity | {"peak": found["found"]}
    if broke:
        result.status, result.status_reason = broke, f"the search ended in step {len(rows)}"
    elif failed:
        reason = "" if result.status == "VALID" else f"{result.status_reason}; "
        result.status = "INVALID"
        result.status_reason = f"{reason}no peak: {failed[0].detail}"
    result.official = result.official and is_peak


def _found(steps: Sequence[Step], found: Mapping[str, Any]) -> Step | None:
    """Return the step of the peak: LoadGen's rule, or what our own search has kept."""
    if "found" not in found:
        return peak_verdict.best(steps)
    held = [one for one in steps if one.held and one.target_qps == found["found"]["held_qps"]]
    return held[-1] if held else None


def _headline(
    of_the_run: dict[str, Any], steps: Sequence[Step], held: Step | None, is_peak: bool
) -> dict[str, Any]:
    """Return the peak; where none was found, what the best run completed."""
    figure = peak_verdict.headline(steps, held).figure()
    if is_peak or figure["value"] is None:
        return figure
    return of_the_run | {"name": f"{of_the_run['name']}; no peak was found"}


def _step(row: Mapping[str, Any]) -> Step:
    """Read a step of an older folder, which knows LoadGen's condition only."""
    why: Sequence[str] = row.get("why", () if row["limits_kept"] else ("limits",))
    return Step(
        row["target_qps"],
        row["limits_kept"],
        tuple(why),
        row.get("delivered_qps"),
        row.get("duration_s"),
    )
