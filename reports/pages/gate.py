"""The accuracy gate as a reader sees it: each candidate's verdict on top, then how sure it is and
where it went wrong.

The screen and gate.html are made from the object that `harness gate --json` prints; what strangers
wrote is escaped as on the page of a run (`reports.pages.run`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from reports.pages.run import template

_COLOUR = {"PASS": "green", "FAIL": "bold red", "UNDECIDED": "yellow"}
_TONE = {"PASS": "good", "FAIL": "bad", "UNDECIDED": "open"}
_NAMES = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum"}
READINGS = {
    "published": "ROUGE against the dataset's answers, % of MLPerf's published figures",
    "dataset": "ROUGE against the dataset's answers, % of the reference's",
    "reference": "ROUGE against the reference's own texts, % (the reference itself: 100)",
}
_ROOMY = 76  # columns that figures and verdicts need side by side
Found = Mapping[str, Any]
Row = Mapping[str, Any]


def told(row: Row) -> Text:
    """One line on a run that has just been judged."""
    return Text.assemble(
        (f"{row['label']} ", "bold"), (row["status"], _COLOUR[row["status"]]), f"  {row['reason']}"
    )


# ---- words


def percent(share: float | None, digits: int = 2) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f}"


def between(ratio: Mapping[str, Any], digits: int = 1) -> str:
    """The interval of a ratio: 98.9-100.3; empty where it is not known."""
    if ratio["low"] is None:
        return ""
    if ratio["low"] == ratio["high"]:
        return "exactly"
    return f"{100 * ratio['low']:.{digits}f}-{100 * ratio['high']:.{digits}f}"


def subject(found: Found) -> str:
    reference = found["reference"]
    return " · ".join(
        [
            reference["model"],
            found["dataset"],
            f"{reference['n']} samples",
            f"reference {reference['label']}",
        ]
    )


def asked(found: Found) -> str:
    """What had to be kept, of what, and who says so."""
    target = found["target"]
    share = (
        f"{target['key']} % of {target['name']}'s figures"
        if target["published"]
        else f"{target['name']} %"
    )
    return (
        f"target {share}, scored against the {_against(found)} ({found['why']}); "
        f"{found['confidence']:g} % intervals of {found['resamples']:,} paired bootstrap resamples"
    )


def _against(found: Found) -> str:
    return "reference" if found["against"] == "reference" else "dataset"


def noise(found: Found) -> str:
    """What the control run says: no target finer than this can be told from rounding."""
    control = found["control"]
    if control is None or not control["readings"]:
        return "" if control is None else f"the control run was not scored: {control['reason']}"
    same = f"{percent(control['identical'], 1)} % of its outputs are identical"
    figures = found["reference"]["rows_in_batch"], control["rows_in_batch"]
    words = (
        f"noise floor: {found['reference']['label']} in batches of {figures[1]} instead of"
        f" {figures[0]}: {same}"
    )
    return (
        words
        if control["status"] == "PASS"
        else f"{words}; the reference itself does not keep the target with certainty"
    )


def readings(found: Found) -> dict[str, list[Row]]:
    """Rows that have each reading, the one that decides first."""
    names = sorted(READINGS, key=lambda name: name != found["against"])
    rows = {name: [row for row in shown(found) if name in row["readings"]] for name in names}
    return {name: members for name, members in rows.items() if members}


def shown(found: Found) -> list[Row]:
    """The control first, then the candidates."""
    return [*filter(None, [found["control"]]), *found["rows"]]


def names(rows: Sequence[Row], reading: str) -> list[str]:
    return [ratio["name"] for ratio in rows[0]["readings"][reading]["ratios"]]


# ---- the screen


def show(found: Found, place: Path, console: Console, tables: bool = True) -> None:
    """Print the verdicts, the ratios (unless they go elsewhere as a table) and the outputs."""
    console.print(_head(found))
    for reading, rows in readings(found).items() if tables else ():
        for table in _tables(found, reading, rows, console.width):
            console.print(table)
    console.print(_parting(found))
    for note in found["notes"]:
        console.print(Text(f"note: {note}", style="dim"))
    console.print(Text(f"gate: {place / 'gate.html'}", style="dim"), soft_wrap=True)


def _head(found: Found) -> Panel:
    lines = [told(row) for row in found["rows"]] or [Text("nothing was judged")]
    lost = (
        [Text(f"interrupted, not run: {', '.join(found['not_run'])}", style="bold red")]
        if found["not_run"]
        else []
    )
    below = [Text(words, style="dim") for words in (asked(found), noise(found)) if words]
    status = found["status"] if found["rows"] and not lost else "UNDECIDED"
    head = Text(subject(found), style="bold")
    colour = _COLOUR[status].split()[-1]
    return Panel(Group(head, *lines, *lost, *below), border_style=colour)


def _tables(found: Found, reading: str, rows: Sequence[Row], width: int) -> list[Table]:
    """Figures and verdicts side by side, or one below the other where the screen is narrow."""
    decides = " (decides)" if reading == found["against"] else ""
    figures = {_NAMES.get(name, name): i for i, name in enumerate(names(rows, reading))}
    verdicts = list(rows[0]["readings"][reading]["verdicts"])
    parts = [(figures, verdicts)] if width >= _ROOMY else [(figures, []), ({}, verdicts)]
    tables = [_table(rows, reading, *part) for part in parts]
    tables[0].title = READINGS[reading] + decides
    tables[-1].caption = "in brackets: by the figure alone, without its interval, as MLPerf judges"
    return tables


def _table(
    rows: Sequence[Row], reading: str, figures: Mapping[str, int], verdicts: Sequence[str]
) -> Table:
    table = Table(
        title_justify="left", title_style="bold", caption_justify="left", caption_style="dim",
        box=None, pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("", min_width=8, overflow="fold")
    for name in figures:
        table.add_column(name, justify="right", overflow="fold")
    for key in verdicts:
        table.add_column(f"{key} %", min_width=9)
    for row in rows:
        part = row["readings"][reading]
        ratios = [part["ratios"][i] for i in figures.values()]
        cells = [Text.assemble(percent(r["value"]), (f"\n{between(r)}", "dim")) for r in ratios]
        judged = [_verdict(part["verdicts"][key]) for key in verdicts]
        table.add_row(Text(row["label"]), *cells, *judged)
    return table


def _verdict(call: Mapping[str, Any]) -> Text:
    return Text.assemble(
        (call["status"], _COLOUR[call["status"]]), (f"\n({call['official']})", "dim")
    )


def _parting(found: Found) -> Table:
    table = Table(
        title="Outputs",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("", "identical, %", "first difference, token (median)", "empty", "samples"):
        table.add_column(name, justify="right" if name else "left")
    reference = found["reference"]
    table.add_row(Text(reference["label"]), "", "", str(reference["empty"]), str(reference["n"]))
    for row in shown(found):
        median = row["divergence_median"]
        cells = (
            percent(row["identical"], 1),
            "-" if median is None else f"{median:g}",
            _count(row["empty"]),
            str(row["n"]),
        )
        table.add_row(Text(row["label"]), *cells)
    return table


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)


# ---- the page


def write(place: Path, found: Found) -> Path:
    """gate.html in `place`: whole or not at all."""
    page, scratch = place / "gate.html", place / "gate.html.tmp"
    scratch.write_text(render(found), encoding="utf-8")
    os.replace(scratch, page)
    return page


def render(found: Found) -> str:
    rows = shown(found)
    return template("gate.html").render(
        found=found,
        subject=subject(found),
        asked=asked(found),
        noise=noise(found),
        titles=READINGS,
        names=_NAMES,
        tones=_TONE,
        readings=readings(found),
        forests={
            name: [forest(found, name, members, frame) for frame in (ROOMY, PHONE)]
            for name, members in readings(found).items()
        },
        bars={row["label"]: bars(row) for row in rows if row["divergence"]},
        kinds=kinds(found["rows"]),
        rows=rows,
        columns=names,
        links={row["label"]: _link(row["run"]) for row in (found["reference"], *rows)},
        percent=percent,
        between=between,
    )


def _link(run: str) -> str:
    """Where the page of a run inside the gate's folder is, as an address; empty for the others."""
    return (
        f"{quote(run)}/report.html"
        if run and not Path(run).is_absolute() and ".." not in Path(run).parts
        else ""
    )


def kinds(rows: Sequence[Row]) -> dict[str, list[tuple[str, int, list[Mapping[str, Any] | None]]]]:
    """By key of the dataset's labels: (label, samples, a ratio per row)."""
    found: dict[str, list[tuple[str, int, list[Mapping[str, Any] | None]]]] = {}
    ratios = [
        {(label["key"], label["label"]): label["ratio"] for label in row["labels"]} for row in rows
    ]
    for key, label in dict.fromkeys(name for of in ratios for name in of):
        cells = [of.get((key, label)) for of in ratios]
        found.setdefault(key, []).append((label, next(cell["n"] for cell in cells if cell), cells))
    return found


# ---- pictures: numbers for the template, which draws them


class Mark(NamedTuple):
    """One ratio in the forest: where its point and the ends of its interval lie, from left to
    right.
    """

    name: str
    x: float
    low: float
    high: float
    y: float
    text: str
    tone: str


class Frame(NamedTuple):
    """Where things stand in a forest, in pixels: the axis from `left` to `right`, the names of the
    figures up to `names`, their values from `values` on. Without these each head has its own line.
    """

    left: int
    right: int
    width: int
    names: int
    values: int | None


ROOMY, PHONE = Frame(210, 830, 1080, 196, 846), Frame(92, 326, 338, 82, None)


class Forest(NamedTuple):
    """All coordinates are in pixels of a picture `frame.width` by `height`; lines are (x, text, how
    the text hangs on it).
    """

    frame: Frame
    height: float
    heads: list[tuple[float, str]]
    marks: list[Mark]
    lines: list[tuple[float, str, str]]
    ticks: list[tuple[float, str]]


_TOP, _LINE, _GAP = 26, 20, 12


def forest(found: Found, reading: str, rows: Sequence[Row], frame: Frame = ROOMY) -> Forest:
    """Ratios of ROUGE with their intervals, beside the targets."""
    target = found["target"]
    shares = sorted({0.99, 0.999, target["share"]} if reading != "published" else {target["share"]})
    ratios = [
        [
            r
            for r in row["readings"][reading]["ratios"]
            if r["name"] in _NAMES and r["value"] is not None
        ]
        for row in rows
    ]
    ends = [
        v for of in ratios for r in of for v in (r["value"], r["low"], r["high"]) if v is not None
    ]
    low, high = min([*ends, *shares, 1.0]), max([*ends, *shares, 1.0])
    room = 0.06 * (high - low)
    low, high = low - room, high + room

    def x(value: float) -> float:
        return round(frame.left + (frame.right - frame.left) * (value - low) / (high - low), 1)

    heads, marks, y = [], [], float(_TOP)
    for row, of in zip(rows, ratios, strict=True):
        if frame.values is None:
            y += _LINE
        heads.append((y + _LINE * (len(of) + 1) / 2 - 1 if frame.values else y, row["label"]))
        for r in of:
            y += _LINE
            tone = (
                _TONE[r["calls"][target["key"]]["status"]]
                if target["key"] in r["calls"]
                else "open"
            )
            ends_at = (x(r["low"]), x(r["high"])) if r["low"] is not None else (x(r["value"]),) * 2
            text = f"{percent(r['value'])}  {between(r, 2)}"
            marks.append(Mark(_NAMES[r["name"]], x(r["value"]), *ends_at, y, text, tone))
        y += _GAP
    hung = [
        (
            x(share),
            f"{100 * share:g} %",
            "end" if share == shares[0] and len(shares) > 1 else "start",
        )
        for share in shares
    ]
    ticks = [(x(t), f"{100 * t:g}") for t in _ticks(low, high)]
    return Forest(frame, y + 34, heads, marks, hung, ticks)


def _ticks(low: float, high: float) -> list[float]:
    """Three to seven round values."""
    step = 10 ** math.floor(math.log10((high - low) / 2))
    step = next(step * k for k in (1, 2, 5, 10) if (high - low) / (step * k) <= 6)
    return [round(k * step, 10) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


class Bar(NamedTuple):
    text: str
    outputs: int
    height: float


def bars(row: Row) -> list[Bar]:
    """The histogram of first divergence: heights from 0 to 1."""
    most = max((part["outputs"] for part in row["divergence"]), default=0) or 1
    return [
        Bar(
            (
                f"{part['first']}"
                if part["first"] == part["last"]
                else f"{part['first']}-{part['last']}"
            ),
            part["outputs"],
            part["outputs"] / most,
        )
        for part in row["divergence"]
    ]
