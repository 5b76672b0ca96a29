"""What does a reader see of the steady state: a table beside the whole run, and a word on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.kernel.stats import percentile_name
from harness.kernel.words.figure import number
from reports.blocks import Column, Table, word_column

_NAMES = {"ttft": "TTFT", "tpot": "TPOT", "latency": "latency"}
_HOW = (
    "The steady part begins where MSER-5 ends the warm-up; samples are in it that were due after"
    " that. The verdict rests on the whole run."
)

Result = Mapping[str, Any]


def table(result: Result) -> Table | None:
    """Return the figures of the whole run beside those of its steady part."""
    found = result.get("steady")
    if not found:
        return None
    judged = percentile_name(result["settings"]["run"]["percentile"])
    rows = list[list[Any]]()
    for name, label in _NAMES.items():
        whole, part = result["latency"][f"{name}_ms"], found["latency"][f"{name}_ms"]
        for row in dict.fromkeys(("p50", judged)):
            if whole.get(row) is not None:
                rows.append([f"{row} {label}, ms", whole[row], part.get(row)])
    for name, unit in (("samples_per_s", "samples/s"), ("tokens_per_s", "tokens/s")):
        if result["throughput"][name] is not None:
            rows.append([unit, result["throughput"][name], found["throughput"][name]])
    columns = (
        word_column("figure", ""),
        Column("whole", "whole run"),
        Column("steady", f"from {found['from_ns'] / 1e9:.3g} s on"),
    )
    said = sentence(found)
    return Table("Steady state", columns, rows, f"{said} {_HOW}" if said else _HOW)


def sentence(found: Mapping[str, Any]) -> str:
    """Say whether there was a warm-up, or a change after it; "" where nothing was seen."""
    name = _NAMES[found["figure"]]
    if not found["is_found"]:
        return (
            f"No steady state was found: {name} is still changing after half of the run. A longer"
            " run or a lower rate may reach one."
        )
    said = []
    if found["is_warm_up_clear"]:
        left_out = 100 - found["kept_percent"]
        said.append(
            f"The first {number(found['from_ns'] / 1e9)} s were a warm-up"
            f" ({left_out:.2g} % of the samples)."
        )
    if change := found["change"]:
        said.append(
            f"{name} changed after {number(change['at_ns'] / 1e9)} s: its median was"
            f" {number(change['before_ms'])} ms before, {number(change['after_ms'])} ms after."
        )
    return " ".join(said)


def marks(result: Result) -> tuple[float | None, float | None]:
    """Return when a clear warm-up ended and when the level changed, in seconds; None: not seen."""
    found = result.get("steady") or {}
    warm = found["from_ns"] / 1e9 if found.get("is_warm_up_clear") else None
    change = found.get("change")
    return warm, change["at_ns"] / 1e9 if change else None
