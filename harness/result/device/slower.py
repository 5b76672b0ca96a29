"""Which variants have smaller weights than the FP32 of the same model and are slower all the same?
A precision that reads fewer bytes in a step has no reason to be: something else slows it down, and
the note that says so names what the facts of the run suggest.

Models so small that their weights lie in the processor's caches gain nothing from smaller ones, and
of a server nobody knows how it computes: neither is told of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.kernel.words.figure import number
from harness.result.device.self_check import why

FULL = "fp32"
_CLEARLY = 0.95  # of the tokens per second; less than that is no chance

Row = Mapping[str, Any]


def notes(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each variant that is slower than the first FP32 of its model."""
    found = []
    for row in rows:
        full = next((one for one in rows if _is_full(one) and one["model"] == row["model"]), None)
        if full is not None and _is_slower(row, full):
            found.append(_sentence(row, full))
    return found


def _is_full(row: Row) -> bool:
    return row["variant"] == FULL and bool(row["tokens_per_s"]) and bool(row["weights_bytes"])


def _is_slower(row: Row, full: Row) -> bool:
    """Tell whether it is, with a limit of the device in both that says how far that can be."""
    if not row["tokens_per_s"] or not row["weights_bytes"]:
        return False
    if any((one.get("self_check") or {}).get("share") is None for one in (row, full)):
        return False
    is_smaller = row["weights_bytes"] < full["weights_bytes"]
    return bool(is_smaller and row["tokens_per_s"] < _CLEARLY * full["tokens_per_s"])


def _sentence(row: Row, full: Row) -> str:
    speed = row["tokens_per_s"] / full["tokens_per_s"]
    weights = row["weights_bytes"] / full["weights_bytes"]
    share = 100 * row["self_check"]["share"]
    return (
        f"{row['label']} is slower than {full['label']} ({speed:.2f}x) although its weights are"
        f" smaller ({weights:.2f}x): its steps reach {number(float(f'{share:.2g}'))} % of what the"
        f" device's memory allows, {why(row['self_check'])}"
    )
