"""What do judges who are models say of runs? Who is better by whose word on top; then how far that
word can be trusted, what it cost, and the prompts in full.

The screen and judge.html are made from the object that `harness judge --json` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from reports import blocks
from reports.blocks import Column, Table, as_text, joined, style, tenths, tone, word_column
from reports.pages import html

Found = Mapping[str, Any]
_KINDS = {"pair": "pairs", "score": "scores"}


def subject(found: Found) -> str:
    """Return what was judged, on which data and by whom."""
    runs = found["runs"]
    who = ", ".join(judge["name"] for judge in found["judges"])
    questions = f"{found['questions']} questions"
    return " · ".join(
        [found["dataset"], questions, f"reference {runs[0]['label']}", f"judged by {who}"]
    )


def verdicts(found: Found) -> list[tuple[str, str, str]]:
    """Return (what of whom, status, why) of each judge and run."""
    lines = []
    for judge in found["judges"]:
        by = f" by {judge['name']}" if len(found["judges"]) > 1 else ""
        lines += [(f"{row['run']}{by}", row["status"], row["reason"]) for row in judge["pairs"]]
        for row in judge["scores"]:
            words = row["reason"] or _in_words(row["points"])
            lines.append((f"{row['run']}{by}, points", row["status"], words))
    return lines


def _points(value: float) -> str:
    return f"{value:.2f}"


def _in_words(points: Found) -> str:
    value, low, high = _ends(points)
    between = "" if low is None or high is None else f" ({_points(low)} to {_points(high)})"
    return f"{_points(value)} of 10 points{between}"


def _ends(estimate: Found) -> tuple[Any, Any, Any]:
    return estimate["value"], estimate["low"], estimate["high"]


# ---- tables


def tables(found: Found) -> list[Table]:
    """Return the tables that have rows, the main one first."""
    made = [pairs(found), scores(found), agreement(found), costs(found)]
    return [one for one in made if one.rows]


def table(found: Found) -> Table:
    """Return the main table."""
    return tables(found)[0]


def pairs(found: Found) -> Table:
    """Return what each judge prefers, and whether it knows."""
    columns = [
        word_column("run", "run"), word_column("judge", "judge"),
        Column("status", "verdict", words=True, toned=tone),
        Column("win_rate", "win rate", "%", tenths, interval=True),
        Column("wins", "wins"), Column("losses", "losses"), Column("ties", "ties"),
        Column("turned", "contradicted", "of them"), Column("judged", "judged"),
        Column("asked", "questions"), Column("sign_p", "sign test p", "", lambda p: f"{p:.2g}"),
        Column("consistent", "same in both orders", "%", tenths, interval=True),
        Column("first", "prefers the first", "%", tenths, interval=True),
    ]  # fmt: skip
    rows = [
        [row["run"], judge["name"], row["status"], _ends(row["win_rate"]), row["wins"],
         row["losses"], row["ties"], row["turned"], row["judged"], row["asked"], row["sign_p"],
         _ends(row["consistent"]), _ends(row["first"])]
        for judge in found["judges"] for row in judge["pairs"]
    ]  # fmt: skip
    note = (
        "Each question was asked in both orders. Where the verdict changes with the order it is a "
        "tie, and counted as contradicted. Win rate: wins and half the ties, of all that were "
        "judged; 50 is no difference. A judge without a preference for a place prefers the first "
        "in 50 %."
    )
    return Table("Pairs: candidate against reference", columns, rows, note, sideways=True)


def scores(found: Found) -> Table:
    """Return the points that each judge gives each run."""
    columns = [
        word_column("run", "run"), word_column("judge", "judge"),
        Column("status", "verdict", words=True, toned=tone),
        Column("points", "points", "1-10", _points, interval=True),
        Column("difference", "more than the reference", "", _points, interval=True, optional=True),
        Column("judged", "judged"), Column("asked", "answers"),
    ]  # fmt: skip
    rows = [
        [row["run"], judge["name"], row["status"], _ends(row["points"]), _ends(row["difference"]),
         row["judged"], row["asked"]]
        for judge in found["judges"] for row in judge["scores"]
    ]  # fmt: skip
    return Table("Points beside the dataset's answer", columns, rows)


def agreement(found: Found) -> Table:
    """Return how far judges agree with the task's own scorer, and with each other."""
    columns = [
        word_column("between", "between"), word_column("kind", "of"), Column("n", "judged by both"),
        Column("same", "the same", "%", tenths), Column("kappa", "kappa", "", _points),
    ]  # fmt: skip
    rows: list[list[Any]] = []
    scorer = {run["label"]: run["scorer"] for run in found["runs"]}
    for judge in found["judges"]:
        for kind in ("pairs", "scores"):
            for row in judge[kind]:
                if row["scorer"]:
                    who = f"{judge['name']} and the scorer {scorer[row['run']]}, {row['run']}"
                    own = row["scorer"]
                    rows.append([who, kind, own["n"], own["same"], own["kappa"]])
    for one in found["between"]:
        who = " and ".join(one["judges"])
        rows.append([who, _KINDS[one["kind"]], one["n"], one["same"], one["kappa"]])
    note = (
        "Cohen's kappa: 1 is full agreement, 0 what chance alone would give. Points of two judges: "
        "weighted by the square of their difference. Beside a scorer, 7 points and more are right, "
        "and a pair is won where only that answer is right."
    )
    return Table("Agreement", columns, rows, note)


def costs(found: Found) -> Table:
    """Return what each judge was asked and what that cost."""
    columns = [
        word_column("judge", "judge"), Column("calls", "questions to it"),
        Column("tries", "requests"), word_column("problems", "without a verdict"),
        Column("tokens_in", "tokens in"), Column("tokens_out", "tokens out"),
        Column("usd", "cost", "USD", lambda usd: f"{usd:.4f}", optional=True),
    ]  # fmt: skip
    rows = []
    for judge in found["judges"]:
        problems = ", ".join(f"{n} {name}" for name, n in judge["problems"].items())
        cells = [judge[name] for name in ("calls", "tries")]
        rest = [judge[name] for name in ("tokens_in", "tokens_out", "usd")]
        rows.append([judge["name"], *cells, problems or "none", *rest])
    return Table("Questions and cost", columns, rows)


# ---- the screen and the page


def show(found: Found, place: Path, console: Console, tables: bool = True) -> None:
    """Print the verdicts, and the tables unless they go elsewhere."""
    console.print(_head(found))
    for table in _tables(found) if tables else ():
        for part in blocks.screens(table, console.width):
            console.print(part)
    for note in found["notes"]:
        console.print(as_text(f"note: {note}", style="dim"))
    console.print(as_text(f"judge: {place / 'judge.html'}", style="dim"), soft_wrap=True)


_tables = tables  # `show` has an argument of that name, as every page's has


def _head(found: Found) -> Panel:
    lines = [
        joined((f"{what} ", "bold"), (status, style(status)), (f"  {why}", ""))
        for what, status, why in verdicts(found)
    ]
    status = found["status"]
    head = [as_text(subject(found), style="bold")]
    if status == "INTERRUPTED":
        head.append(Text("interrupted: what was judged until then", style="bold red"))
    return Panel(Group(*head, *lines), border_style=style(status).split()[-1])


def write(place: Path, found: Found) -> Path:
    """Write judge.html in `place`: whole or not at all."""
    return html.write(place / "judge.html", render(found))


def render(found: Found) -> str:
    """Return the page as text."""
    return html.page(
        "judge.html",
        found=found,
        subject=subject(found),
        verdicts=verdicts(found),
        tables=tables(found),
        examples=[judge for judge in found["judges"] if judge["examples"]],
        details={"judge.json": found},
    )
