"""What did a sweep find? Sentences and pictures on top, then a row for each combination, on the
screen and as sweep.html.

Both are made from sweep.json. A figure of several repeats is their mean, with its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel as Frame
from rich.text import Text

from harness.kernel.texts import shown
from harness.kernel.words.figure import number, size
from harness.kernel.words.judged import TABLE
from reports import blocks
from reports.blocks import Column, Plot, Table, as_text, joined, percent, tone
from reports.pages import html
from reports.pages.comparison import best
from reports.pages.sweep.pictures import pictures
from reports.pages.sweep.words import knee_range, load_label, missing, sentences

_MOST_ROWS = 60  # on a screen
_SCREEN = (
    "tokens_per_s", "peak_qps", "goodput_per_s", "users", "ttft_p99_ms", "tpot_p99_ms",
    "latency_mean_ms", "eval_loss", "rougeL", "peak_bytes",
)  # fmt: skip
Found = Mapping[str, Any]
Point = Mapping[str, Any]


def _figure(name: str, label: str, unit: str = "", **how: Any) -> Column:
    return Column(name, label, unit, optional=True, interval=True, **how)


FIGURES = (
    _figure("tokens_per_s", "tokens/s"),
    _figure("samples_per_s", "requests/s"),
    _figure("peak_qps", "peak rate", "queries/s"),
    _figure("goodput_per_s", "goodput", "requests/s"),
    _figure("goodput_share", "within SLO", "%", write=percent),
    _figure("users", "users at once"),
    _figure("tokens_per_s_per_user", "tokens/s per user"),
    _figure("tokens_per_s_per_device", "tokens/s per device"),
    _figure("ttft_p50_ms", "TTFT p50", "ms"),
    _figure("ttft_p99_ms", "TTFT p99", "ms"),
    _figure("tpot_p50_ms", "TPOT p50", "ms"),
    _figure("tpot_p99_ms", "TPOT p99", "ms"),
    _figure("latency_mean_ms", "latency mean", "ms"),
    _figure("latency_p99_ms", "latency p99", "ms"),
    _figure("joules_per_token", "J/token"),
    _figure("eval_loss", "loss", write=lambda nats: f"{nats:.4f}"),
    _figure("perplexity", "perplexity"),
    _figure("token_accuracy", "token accuracy", "%", write=percent),
    _figure("rougeL", "ROUGE-L"),
    _figure("weights_bytes", "weights", write=size),
    _figure("peak_bytes", "peak memory", write=size),
)
NOTE = (
    "Users at once: requests completed per second times their mean latency (Little's law). Tokens/s"
    " per user: 1 / median TPOT. Devices are the GPUs that the model used; without any, the machine"
    " or the server counts as one. Small: 95 % interval of the mean of the repeats (Student's t);"
    " a single run has none. With less than ten times as many samples as the percentile leaves"
    " out, it is little more than the maximum."
)

BEST_NOTE = (
    "Each model, variant or system at the valid combination where its {by} is highest; so latencies"
    " are each at a load of its own. Bold: first by this figure; several where the 95 % intervals"
    " over the repeats cannot tell them apart. Figures without an interval are placed by the value"
    " alone, and so is quality: repeats ask the same questions."
)


# ---- tables


def table(found: Found) -> Table:
    """Return a row for each combination; the values of what was swept are columns of a CSV file."""
    swept = [Column(name, name, raw=True) for name in found["swept"]]
    columns = [
        Column("name", load_label(found) if found["curves"] else "", people=True),
        Column("label", "label", raw=True),
        Column("status", "status", toned=tone),
        Column("runs", "runs", raw=found["repeats"] == 1),
        *(Column(name, name, raw=True) for name in ("reason", "model", "variant", "device")),
        Column("devices", "devices", raw=True),
        *swept,
        *FIGURES,
    ]
    points = found["points"]
    if not found["curves"]:
        return Table("Combinations", columns, [_row(p, found, p["label"]) for p in points], NOTE)
    ordered = _by_series(points)
    rows = [_row(point, found, _load(point, found)) for point in ordered]
    groups = [point["series"] for point in ordered]
    return Table("Combinations", columns, rows, NOTE, row_groups=groups)


def _by_series(points: Sequence[Point]) -> list[Point]:
    """Return the points of one curve after the other, each in the order of the lists."""
    names = list(dict.fromkeys(point["series"] for point in points))
    return sorted(points, key=lambda point: names.index(point["series"]))


def _load(point: Point, found: Found) -> str:
    return str(point["values"].get(found["load"]))


def _row(point: Point, found: Found, name: str) -> list[Any]:
    head = [name, point["label"], point["status"], len(point["runs"])]
    head += [point[name] for name in ("reason", "model", "variant", "device", "devices")]
    values = [_plain(point["values"].get(name)) for name in found["swept"]]
    return [*head, *values, *(_with_ends(point["figures"].get(one.name)) for one in FIGURES)]


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | None) else str(value)


def _with_ends(figure: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    return None if figure is None else (figure["value"], figure["low"], figure["high"])


def knees(found: Found) -> Table:
    """Return the knee of each curve, and the highest load that was valid."""
    columns = (
        Column("series", ""),
        Column("knee", f"knee, {load_label(found)}"),
        Column("range", "95 % interval"),
        Column("rate", "requests/s there"),
        Column("latency", "mean latency there", "ms"),
        Column("highest", "highest valid"),
    )
    rows = [_knee_row(curve, found) for curve in found["curves"]]
    note = (
        "The knee is the load with the highest power: completed requests per second over their"
        " mean latency (Kleinrock). Beyond it latency grows faster than throughput."
    )
    return Table("Knees", columns, rows if any(c["knee"] for c in found["curves"]) else (), note)


def _knee_row(curve: Mapping[str, Any], found: Found) -> list[Any]:
    points = [found["points"][place] for place in curve["points"]]
    loads = dict(zip(curve["loads"], points, strict=True))
    valid = [load for load, point in loads.items() if point["status"] == "VALID"]
    highest = max(valid, default=None)
    knee = curve["knee"]
    if knee is None:
        return [curve["label"], None, None, None, None, highest]
    figures = loads[knee["load"]]["figures"]
    there = [figures.get(name, {}).get("value") for name in ("samples_per_s", "latency_mean_ms")]
    where = [knee_range(knee), "" if knee["is_bracketed"] else "at the edge"]
    told = ", ".join(filter(None, where)) or None
    return [curve["label"], knee["load"], told, *there, highest]


def reasons(found: Found) -> Table:
    """Return why combinations are not valid."""
    columns = (
        Column("label", "", words=True),
        Column("status", "status", words=True, toned=tone),
        Column("reason", "reason", words=True),
    )
    bad = [point for point in found["points"] if point["status"] != "VALID"]
    rows = [[point[column.name] for column in columns] for point in bad]
    return Table("Not valid", columns, rows)


# ---- the screen


def told(run: Mapping[str, Any]) -> Text:
    """Return a line on a run that has just ended."""
    speed = run["figures"].get("tokens_per_s")
    words = f"{number(speed)} tokens/s" if speed else run["reason"]
    return joined((f"{run['cell']} {run['status']}", "bold"), (f"  {words}", ""))


def show(found: Found, place: Path, console: Console, tables: bool = True) -> None:
    """Print what was found, the table in as many parts as the width needs, and the reasons."""
    lost = [as_text(sentence, style="bold red") for sentence in missing(found)]
    words = _sentences(found) or ["nothing was measured"]
    head = as_text(subject(found), style="bold")
    console.print(
        Frame(Group(head, *map(as_text, words), *lost), border_style="red" if lost else "green")
    )
    for part in blocks.screens(_on_screen(found), console.width) if tables else ():
        console.print(part)
    hidden = len(found["points"]) - _MOST_ROWS
    if tables and hidden > 0:
        console.print(as_text(f"and {hidden:,} more: --format csv prints all", style="dim"))
    console.print(as_text(f"sweep: {place / 'sweep.html'}", style="dim"), soft_wrap=True)


def _on_screen(found: Found) -> Table:
    """Return the table without what a screen has no room for."""
    whole = _for_people(table(found))
    kept = [i for i, one in enumerate(whole.columns) if not one.interval or one.name in _SCREEN]
    rows = [[row[i] for i in kept] for row in whole.rows[:_MOST_ROWS]]
    groups = whole.row_groups[:_MOST_ROWS]
    return Table("", [whole.columns[i] for i in kept], rows, row_groups=groups)


def _for_people(whole: Table) -> Table:
    """Return the table without intervals of nothing: repeats in virtual time are all the same."""
    rows = [[_bare(cell) for cell in row] for row in whole.rows]
    return replace(whole, rows=rows)


def _bare(cell: Any) -> Any:
    is_point = isinstance(cell, tuple) and cell[1] is not None and cell[1] == cell[2]
    return (cell[0], None, None) if is_point else cell


def subject(found: Found) -> str:
    """Say what was swept, how often."""
    models = list(dict.fromkeys(point["model"] for point in found["points"] if point["model"]))
    what = ", ".join(models[:3]) + (f" and {len(models) - 3} more" if len(models) > 3 else "")
    count, repeats = len(found["points"]), found["repeats"]
    often = f"{count:,} combination{'s' * (count != 1)}"
    often += f", {repeats} runs each" if repeats > 1 else ""
    return " · ".join(filter(None, (what, " x ".join(found["swept"]), often)))


# ---- the page


def write(place: Path, found: Found) -> Path:
    """Write sweep.html in `place`: whole or not at all."""
    return html.write(place / "sweep.html", render(found))


def render(found: Found) -> str:
    """Return the page as text."""
    part = best.of_part(found)
    drawn: Sequence[Plot] = [*pictures(found), *best.pictures(part)]
    return html.page(
        "sweep.html",
        subject=shown(subject(found)),
        sentences=_sentences(found),
        missing=missing(found),
        pictures=drawn,
        tables=[
            knees(found), _for_people(table(found)), *best.tables(part, _best_note(found)),
            reasons(found),
        ],
        details={},
    )  # fmt: skip


def _sentences(found: Found) -> list[str]:
    part = best.of_part(found)
    return [*sentences(found), *best.firsts(part), *best.sentences(part)]


def _best_note(found: Found) -> str:
    """Say which point of each model or variant is a row, and what intervals mean."""
    part = found.get("best") or {}
    return BEST_NOTE.format(by=TABLE[part["by"]].label) if part else ""
