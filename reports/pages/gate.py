"""May a variant go live? Each candidate's verdict on top, then how sure it is and where it went
wrong.

The screen and gate.html are made from the object that `harness gate --json` prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from reports import blocks
from reports.beside import Beside
from reports.blocks import Column, Table, as_text, joined, percent, style, tenths
from reports.pages import html
from reports.parts import errors, solving
from reports.plots.gate import PHONE, ROOMY, bars, forest, of_tasks
from reports.tables import OUTPUTS, READINGS, ROUGE, of_gate, of_speed, reading_title

_BY_FIGURE = "The lower verdict is by the figure alone, without its interval, as MLPerf judges."
_ALONE = "The lower verdict is by the figure alone, without its interval."
_KEPT = (
    "The candidate's right answers over the reference's, in %, with the interval; dashed: the"
    " targets. The band is the noise: how far the reference itself moves in batches of another"
    " size, or drawn again with other seeds."
)
_KINDS = (
    "What is kept of the reference's score, in %, with the interval. There is none for fewer"
    " than five questions; among many kinds some look bad by chance."
)
Found = Mapping[str, Any]
Row = Mapping[str, Any]


def told(row: Row) -> Text:
    """Return a line on a run that has just been judged."""
    status, task = row["status"], row.get("task", "")
    head = f"{task}: {row['label']} " if task else f"{row['label']} "
    return joined((head, "bold"), (status, style(status)), (f"  {row['reason']}", ""))


# ---- words


def subject(found: Found) -> str:
    """Return what was judged, on which data and against whom."""
    reference = found["reference"]
    samples = f"{reference['n']} samples"
    if tasks := found.get("tasks"):
        samples = f"{sum(task['answers'] for task in tasks)} questions"
    return " · ".join(
        [reference["model"], found["dataset"], samples, f"reference {reference['label']}"]
    )


def asked(found: Found) -> str:
    """Say what had to be kept, of what, and who says so."""
    target = found["target"]
    share = f"{target['name']} %"
    if found["against"] == "task":
        how = f"{found['confidence']:g} % intervals of paired answers; over several tasks the worst"
        what = "what the reference solves"
        if found["why"] != solving.RIGHT_OR_WRONG:
            what = "the reference's score"
        return f"target {share} of {what} ({found['metric']}); {how} counts"
    if target["published"]:
        share = f"{target['key']} % of {target['name']}'s figures"
    scored = "scored"
    if found.get("metric") == "multilingual_rouge":
        scored = "scored with multilingual ROUGE"
    return (
        f"target {share}, {scored} against the {_against(found)} ({found['why']}); "
        f"{found['confidence']:g} % intervals from {found['resamples']:,} paired bootstrap"
        " resamples"
    )


def _against(found: Found) -> str:
    return "reference" if found["against"] == "reference" else "dataset"


def noise(found: Found) -> str:
    """Say what the control run shows: no finer target can be told from rounding."""
    control, reference = found["control"], found["reference"]
    if found.get("tasks"):
        key = found["target"]["key"]
        told = [(task["name"], solving.noise(task, key)) for task in found["tasks"]]
        return "; ".join(f"{name}: {words}" for name, words in told if words)
    if control is None:
        return ""
    if not control["readings"]:
        return f"the control run was not scored: {control['reason']}"
    words = (
        f"noise floor: {reference['label']} in batches of {control['rows_in_batch']} instead of"
        f" {reference['rows_in_batch']}: {tenths(control['identical'])} % of its outputs are"
        " identical"
    )
    doubt = "; even the reference does not keep the target with certainty"
    return words if control["status"] == "PASS" else words + doubt


def readings(found: Found) -> dict[str, list[Row]]:
    """Return the rows that have each reading, the one that decides first."""
    names = sorted(READINGS, key=lambda name: name != found["against"])
    rows = {name: [row for row in shown(found) if name in row["readings"]] for name in names}
    return {name: members for name, members in rows.items() if members}


def shown(found: Found) -> list[Row]:
    """Return the control, then the candidates."""
    return [*filter(None, [found["control"]]), *found["rows"]]


def reading_tables(found: Found) -> dict[str, Table]:
    """Return the table of each reading by its name, the one that decides first; last the outputs,
    by ""."""
    parts = blocks.by_group(of_gate(found))
    made = {}
    for name in readings(found):
        decides = " (decides)" if name == found["against"] else ""
        part = parts[reading_title(found, name)]
        rows = [row for row in part.rows if any(cell is not None for cell in row[4:])]
        made[name] = replace(part, title=part.title + decides, rows=rows, note=_BY_FIGURE)
    empty = found["reference"]["empty"]
    note = f"{empty} outputs of {found['reference']['label']} are empty." if empty else ""
    return {**made, "": replace(parts[OUTPUTS], note=note)}


# ---- the screen


def show(found: Found, place: Path, console: Console, tables: bool = True) -> None:
    """Print the verdicts, and the ratios and outputs unless they go elsewhere as a table."""
    console.print(_head(found))
    for table in _blocks(found) if tables else ():
        for part in blocks.screens(table, console.width):
            console.print(part)
    for note in found["notes"]:
        console.print(as_text(f"note: {note}", style="dim"))
    console.print(as_text(f"gate: {place / 'gate.html'}", style="dim"), soft_wrap=True)


def _blocks(found: Found) -> list[Table]:
    if tasks := found.get("tasks"):
        made = [replace(solving.of_task(task), note="") for task in tasks]
        made[-1] = replace(made[-1], note=_ALONE)
        return [*made, of_speed(found)] if len(tasks) > 1 else made
    return [of_speed(found), *reading_tables(found).values()] if shown(found) else []


def _head(found: Found) -> Panel:
    lines = []
    for row in found["rows"]:
        lines.append(told(row))
        if words := solving.verdicts(row):
            lines.append(as_text(words, style="dim"))
    nothing = "no candidate was judged on all tasks" if found.get("tasks") else "nothing was judged"
    lines = lines or [Text(nothing)]
    lost = [as_text(words, style="bold red") for words in missing(found)]
    below = [as_text(words, style="dim") for words in (asked(found), noise(found)) if words]
    status = found["status"] if found["rows"] and not lost else "UNDECIDED"
    head = as_text(subject(found), style="bold")
    return Panel(Group(head, *lines, *lost, *below), border_style=style(status).split()[-1])


def missing(found: Found) -> list[str]:
    """Say which candidates were not run."""
    not_run = found["not_run"]
    return [f"interrupted, not run: {', '.join(not_run)}"] if not_run else []


# ---- the page


def write(place: Path, found: Found) -> Path:
    """Write gate.html in `place`: whole or not at all."""
    return html.write(place / "gate.html", render(found))


def render(found: Found) -> str:
    """Return the page as text."""
    rows = shown(found)
    forests = {}
    for name, members in readings(found).items():
        forests[name] = [forest(found, name, members, frame) for frame in (ROOMY, PHONE)]
    tasks = found.get("tasks", [])
    return html.page(
        "gate.html",
        found=found,
        tasks=[_section(task, found["target"]["key"]) for task in tasks],
        kept=[of_tasks(found, frame) for frame in (ROOMY, PHONE)] if tasks else [],
        kept_note=_KEPT,
        verdicts={row["label"]: solving.verdicts(row) for row in found["rows"]},
        subject=subject(found),
        asked=asked(found),
        noise=noise(found),
        missing=missing(found),
        speeds=of_speed(found),
        readings={} if tasks else {k: v for k, v in reading_tables(found).items() if k},
        notes={name: _note(found, name) for name in forests},
        forests=forests,
        bars={row["label"]: bars(row) for row in rows if row["divergence"]},
        kinds=kinds(found["rows"]),
        rows=rows,
        links={row["label"]: html.link(row["run"]) for row in (found["reference"], *rows)},
        tenths=tenths,
        details={
            "Conditions, the same for all": found["conditions"],
            "Reference": found["reference"],
        },
    )


def _section(task: Found, key: str) -> dict[str, Any]:
    """Return what the page shows of a task."""
    rows = shown(task)
    return {
        "tables": solving.on_page(task),
        "noise": solving.noise(task, key),
        "kinds": replace(kinds(task["rows"]), note=_KINDS),
        "bars": {row["label"]: bars(row) for row in rows if row["divergence"]},
        "rows": rows,
        "errors": [_errors(row) for row in task["rows"] if row.get("errors")],
        "reference": task["reference"],
        "links": {row["label"]: html.link(row["run"]) for row in (task["reference"], *rows)},
    }


def _errors(row: Row) -> dict[str, Any]:
    """Return what the page shows of the questions that flipped."""
    made = errors.blocks(row["errors"])
    return {
        "label": row["label"],
        "sentence": errors.sentence(row["errors"]),
        "tables": [one for one in made if isinstance(one, Table)],
        "beside": [one for one in made if isinstance(one, Beside)],
    }


def _note(found: Found, reading: str) -> str:
    """Say what the figures of a reading are and how its verdicts are read."""
    reference = found["reference"]
    what = (
        f"Each text is scored against the one that {reference['label']} wrote for the same prompt;"
        " an identical text scores exactly 100. Tokens per sample are shown, not judged."
    )
    if reading != "reference":
        own = ", ".join(f"{ROUGE[k]} {percent(v)}" for k, v in reference["rouge"].items())
        n = readings(found)[reading][0]["readings"][reading]["n"]
        what = (
            f"F-measures are means over {n} samples; {reference['label']} itself has {own}. Mean"
            " tokens per sample must lie within 90 to 110 %."
        )
    return (
        f"{what} Below each figure is its {found['confidence']:g} % interval. PASS: the interval is"
        " above the target; FAIL: below it; UNDECIDED: the target lies in it."
    )


def kinds(rows: Sequence[Row]) -> Table:
    """Return how much of each kind of question, by the dataset's labels, every candidate keeps."""
    columns = [Column("kind", "", words=True), Column("n", "samples")]
    columns += [Column(row["label"], row["label"], "", tenths, interval=True) for row in rows]
    known = [{(of["key"], of["label"]): of["ratio"] for of in row["labels"]} for row in rows]
    names = list(dict.fromkeys(name for of in known for name in of))
    order = list(dict.fromkeys(key for key, _ in names))
    cells, groups = [], []
    for key, label in sorted(names, key=lambda name: order.index(name[0])):
        ratios = [of.get((key, label)) for of in known]
        n = next(ratio["n"] for ratio in ratios if ratio)
        values = [ratio and (ratio["value"], ratio["low"], ratio["high"]) for ratio in ratios]
        groups.append(key)
        cells.append([label, n, *values])
    note = (
        "Mean of ROUGE-1, -2 and -L as a share of the reference's, in %, with its interval; scored"
        " as the verdict is. There is no interval for fewer than five samples; for few samples it"
        " is narrower than stated, and among many kinds some look bad by chance."
    )
    return Table("By kind of question", columns, cells, note, row_groups=groups)
