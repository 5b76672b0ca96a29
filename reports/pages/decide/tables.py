"""Which tables does a decision have? The deployments with the figures that decide, and what each
costs. `harness cost` prints the second one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.kernel.words.figure import number
from harness.kernel.words.measure import MEASURES, Measure, amount, measure
from reports.blocks import Column, Table
from reports.pages.decide.sentences import percent

Found = Mapping[str, Any]
GROUPS: dict[str, tuple[str, ...]] = {
    "One server": (
        "tokens_per_s", "valid_qps", "served_tokens_per_s", "user_tokens_per_s", "users_at_once",
    ),
    "At the valid rate": ("usd_per_million_tokens_valid",),
    "For the needed rate": (
        "servers", "load_per_server", "system_tokens_per_s", "usd_per_hour", "usd_per_month",
        "usd_per_million_tokens_needed",
    ),
    "Full load, prompts free": ("usd_per_million_tokens",),
    "Full load, input and output": (
        "usd_per_million_input_tokens", "usd_per_million_output_tokens",
    ),
    "The job": ("job_hours", "job_usd"),
    "Energy": ("joules_per_token", "kwh_per_million_tokens", "energy_usd_per_million_tokens"),
}  # fmt: skip
_SUFFIX = {"s": "_s", "bytes": "_bytes"}
_TONES = {"FITS": "good", "MISSES": "bad", "FAILED": "bad"}
COST_NOTE = (
    "At full load: of batches that are always full. Prompts free: everything is charged to the"
    " output; otherwise an output token costs {weight:g} times an input token. Users at once: rate"
    " times mean latency (Little's law). Intervals are 95 %; a figure without one is made of one"
    " that has none."
)
NOTE = (
    "Intervals are 95 %: of the speed over twentieths of the run's tokens, of latencies over"
    " twentieths of the run, of the valid rate between the highest rate that held and the lowest"
    " that did not, of ROUGE kept by the gate (harness gate). Chosen: in how many of 4,000 draws of"
    " all figures it would be the answer."
)

BEST_NOTE = (
    "By each figure alone, whatever is required. Bold: first by this figure; several where the 95 %"
    " intervals, which are those of the tables above, cannot tell them apart. Figures without one"
    " are placed by the value alone. ROUGE kept is relative to the first deployment of each model."
)


def deployments(found: Found) -> Table:
    """Return a row for each deployment: whether it fits, and the figures that decide."""
    names = [one["figure"] for one in found["requirements"]]
    names = list(dict.fromkeys([found["objective"]["figure"], *names]))
    columns = [
        Column("label", "deployment", words=True),
        Column("status", "", toned=lambda status: _TONES.get(status, "open")),
        *(_column(measure(name)) for name in names),
        Column("chance", "chosen", write=percent, raw=False),
    ]
    rows = []
    for one in found["candidates"]:
        figures = [_parts(one["figures"].get(name) or _judged(one, name)) for name in names]
        rows.append([one["label"], one["status"].lower(), *figures, one["chance"]])
    for row in rows:
        row[1] = str(row[1]).upper()
    return Table("Deployments", columns, rows, NOTE)


def _judged(one: Found, name: str) -> Found | None:
    """Return the figure that a requirement was judged by, where it is no figure of its own."""
    return next((each for each in one["judged"] if each["figure"] == name), None)


def costs(candidates: Sequence[Found], title: str = "Rates and costs") -> Table:
    """Return the rates and costs that are known, a deployment a row; people see them turned."""
    columns, names = [Column("label", "")], list[str]()
    for group, members in GROUPS.items():
        known = [name for name in members if any(name in one["figures"] for one in candidates)]
        columns += [replace(_column(MEASURES[name]), group=group) for name in known]
        names += known
    rows = [
        [one["label"], *(_parts(one["figures"].get(name)) for name in names)] for one in candidates
    ]
    return Table(title, columns, rows, sideways=True)


def _column(of: Measure) -> Column:
    """Return the column of a figure with its interval; in a CSV file in base units."""
    name, head = of.name + _SUFFIX.get(of.kind, ""), of.head or of.label
    if of.kind == "USD":
        return Column(name, head, "USD", amount, interval=True)
    if of.kind in ("number", "of 100"):
        unit = of.unit.split(" per ")[0] if of.head else of.unit
        return Column(name, head, unit, number, interval=True)
    return Column(name, head, write=of.text, interval=True)


def _parts(figure: Found | None) -> tuple[Any, Any, Any] | None:
    """Return (value, low, high); no interval for what chance does not move."""
    if figure is None or figure["value"] is None:
        return None
    value, low, high = (figure[end] for end in ("value", "low", "high"))
    return (value, None, None) if low == high else (value, low, high)
