"""How are finished runs shown under other limits?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from reports import blocks
from reports.blocks import Column, Table, as_text, tone, word_column

Found = Mapping[str, Any]
_NAMES = {"ttft": "TTFT", "tpot": "TPOT", "latency": "latency"}


def tables(found: Found) -> list[Table]:
    """Return the verdicts, and what each limit would be kept by."""
    return [verdicts(found), limits(found)]


def verdicts(found: Found) -> Table:
    """Return a row per run: its verdict as it was measured and under the other limits."""
    columns = (
        word_column("run", "run"), word_column("scenario", "scenario"),
        Column("target_qps", "queries/s"),
        Column("measured", "as measured", words=True, toned=tone),
        Column("status", "with these limits", words=True, toned=tone),
        Column("goodput_per_s", "goodput", "requests/s", interval=True),
        Column("goodput_share", "share", "%", interval=True),
    )  # fmt: skip
    rows = []
    for run in found["runs"]:
        good = run["goodput"]
        rate = _triple(good.get("requests_per_s"), 1) if good else None
        share = _triple(good.get("share"), 100) if good else None
        about = (run[key] for key in ("scenario", "target_qps", "status_measured"))
        rows.append((_name(run), *about, run["status"], rate, share))
    note = "Goodput: requests within all limits. Intervals: 95 %."
    if any(not run["judged"] for run in found["runs"]):
        note += " Only the server scenario is judged by limits; the verdict of others stays."
    return Table("What if", columns, rows, note)


def limits(found: Found) -> Table:
    """Return a row per run and limit: the highest percentile at which it would be kept, and what
    the percentiles are.
    """
    names = dict.fromkeys(
        n for run in found["runs"] for row in run["kept"] for n in row["measured_ms"]
    )
    columns = [
        word_column("run", "run"), word_column("metric", ""), Column("limit_ms", "limit", "ms"),
        Column("kept_at", "kept up to percentile", interval=True),
        *(Column(f"{name}_ms", name, "ms", interval=True, optional=True) for name in names),
    ]  # fmt: skip
    rows = []
    for run in found["runs"]:
        for row in run["kept"]:
            measured = [_triple(row["measured_ms"].get(name), 1) for name in names]
            head = (_name(run), _NAMES[row["metric"]], row["limit_ms"])
            rows.append((*head, _triple(row["share"], 100), *measured))
    return Table(
        "Limits", columns, rows, "A limit is kept at every percentile up to the one shown."
    )


def show(found: Found, console: Console, with_tables: bool = True) -> None:
    """Print both tables, and why a run would not be VALID."""
    if with_tables:
        for part in tables(found):
            for screen in blocks.screens(part, console.width):
                console.print(screen)
    for words in sentences(found):
        console.print(as_text(words), soft_wrap=True)


def sentences(found: Found) -> list[str]:
    """Say why a run would not be VALID; of a search, up to which rate it would be."""
    said = []
    for run in found["runs"]:
        if not run["search"] and run["status"] != "VALID":
            said.append(f"{_name(run)}: {run['status']} ({run['status_reason']})")
    for search in dict.fromkeys(run["search"] for run in found["runs"] if run["search"]):
        steps = [run for run in found["runs"] if run["search"] == search]
        rates = [run["target_qps"] for run in steps if run["status"] == "VALID"]
        best = f"{max(rates):.4g} queries/s" if rates else "none"
        said.append(
            f"{search}: of the {len(steps)} rates that were tried, the highest that would be VALID"
            f" is {best}; a new search may find a higher one"
        )
    return said


def _name(run: Mapping[str, Any]) -> str:
    """Return the name of a run; of a step, without that of its search."""
    return str(run["run_id"]).rsplit("/", 1)[-1]


def _triple(found: Mapping[str, Any] | None, scale: float) -> tuple[Any, Any, Any] | None:
    if not found or found.get("value") is None:
        return None
    ends = (found.get(name) for name in ("low", "high"))
    low, high = (None if end is None else scale * end for end in ends)
    return scale * found["value"], low, high
