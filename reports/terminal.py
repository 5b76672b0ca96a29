"""The first screen after a run: the verdict on top, its reasons, then the figures with their
units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from harness.kernel.entries import ScenarioEntry
from harness.kernel.texts import shown
from harness.kernel.words.figure import number
from reports import blocks, conf_lines
from reports import tables as run_tables
from reports.blocks import as_text, joined
from reports.parts import attempts, capacity, doubts, errors, served, task
from reports.tables import setting_text

_ROOMY = 76  # columns that the conditions need with what was seen beside them
_SHOWN = 3  # differences from the closed division, doubts


def show_result(
    result: Mapping[str, Any], folder: Path, console: Console, tables: bool = True
) -> None:
    """Print result.json for people; without its figures where these go elsewhere as tables."""
    console.print(_verdict(result))
    for words in solved(result):
        console.print(as_text(words, "bold"))
    for part in _conditions(result["verdicts"], console.width):
        console.print(part)
    for line in _doubts(result):
        console.print(line)
    if result.get("search"):
        console.print(blocks.screen(run_tables.search(result["search"])))
    if tables:
        console.print(blocks.screen(run_tables.latency(result)))
        console.print(_figures(result))
        for words in filter(None, (capacity.sentence(result), capacity.peak_sentence(result))):
            console.print(as_text(words))
        if (over := attempts.table(result)) is not None:
            for part in blocks.screens(over, console.width):
                console.print(part)
        for table in (served.failures(result), served.answers(result), served.server(result)):
            if table is not None:
                console.print(blocks.screen(table))
    for row in result.get("missing", []):
        console.print(as_text(f"missing: {missing_text(row)}", style="yellow"))
    if any(row["later"] for row in result.get("missing", [])):
        console.print(as_text(f"make it later: harness report {folder}"), soft_wrap=True)
    for note in result["notes"]:
        console.print(as_text(f"note: {note}", style="dim"))
    if made := made_by(result["environment"]):
        console.print(as_text(f"made by:    {made}", style="dim"), soft_wrap=True)
    if sealed := seal_text(result.get("seal") or {}):
        console.print(as_text(f"seal:       {sealed}", style="dim"), soft_wrap=True)
    console.print(as_text(f"run folder: {folder}", style="dim"), soft_wrap=True)
    if (folder / "report.html").is_file():
        console.print(as_text(f"report:     {folder / 'report.html'}", style="dim"), soft_wrap=True)


def _doubts(result: Mapping[str, Any]) -> list[Text]:
    """Return the first doubts, each with what to do, and how many more there are."""
    told = doubts.lines(result)
    lines = [
        joined(("doubt: ", f"bold {blocks.STYLES[tone]}"), (words, ""), (f"\n  → {remedy}", "bold"))
        for tone, words, remedy in told[:_SHOWN]
    ]
    more = len(told) - _SHOWN
    return [*lines, as_text(f"and {more} more: see the report", "dim")] if more > 0 else lines


def missing_text(row: Mapping[str, Any]) -> str:
    """Say what could not be made of a run, and why."""
    what = row["name"] if row["kind"] in ("file", "page", "log") else f"{row['kind']} {row['name']}"
    return f"{what} ({row['reason']})"


def seal_text(seal: Mapping[str, Any]) -> str:
    """Return the seal of a run's raw files, or that there is none; nothing of older results."""
    if not seal:
        return ""
    if seal["status"] == "not sealed":
        return "not sealed: an edit of the raw files would go unnoticed"
    return str(seal["noted"])


def made_by(environment: Mapping[str, Any]) -> str:
    """Return the version and commit of the program that made a run, as far as they are known."""
    git = environment.get("git") or {}
    commit = f"commit {git['commit'][:12]}" if git.get("commit") else ""
    if commit and git.get("dirty"):
        commit += " (with changes)"
    own = f"Touchstone {environment['touchstone']}" if environment.get("touchstone") else ""
    return ", ".join(filter(None, (own, commit)))


def solved(result: Mapping[str, Any]) -> Iterator[str]:
    """Say what was solved of a task, and what went wrong: who asked for it looks for that first."""
    wrong = (result.get("task") or {}).get("errors") or {}
    said = (task.sentence(result), attempts.sentence(result), errors.sentence(wrong))
    yield from filter(None, said)


def _verdict(result: Mapping[str, Any]) -> Panel:
    status, counts = result["status"], result["counts"]
    colour = blocks.style(status)
    subject = " ".join(filter(None, (result["model"], result["variant"])))
    queries = f"{counts['queries']:,} {'query' if counts['queries'] == 1 else 'queries'}"
    if counts["samples"] != counts["queries"]:
        queries += f" ({counts['samples']:,} samples)"
    of = f"  {result['scenario']} · {subject} · {result['mode']}"
    head = joined((status, f"bold {colour}"), (of, ""))
    line = f"{queries} in {number(result['throughput']['duration_s'])} s: {result['status_reason']}"
    below = [
        as_text(words, style="dim")
        for words in (not_mlperf(result), division_text(result))
        if words
    ]
    return Panel(Group(head, as_text(line), *below), border_style=colour)


def _conditions(verdicts: Sequence[Mapping[str, Any]], width: int) -> list[RenderableType]:
    """Return the table of conditions, and below it in whole lines what was wrong and what to do."""
    roomy = width >= _ROOMY
    columns = ("", "condition", "measured", "limit", "margin", *(["seen"] if roomy else []))
    table = _table("Conditions", columns, left=(0, 1, 5))
    for v in verdicts:
        status = as_text(v["status"], style=blocks.style(v["status"]))
        limit, margin = number(v["limit"]), margin_text(v["margin"])
        seen = [_seen(v)] if roomy else []
        table.add_row(
            status, as_text(v["rule"]), _with_unit(v["measured"], v["unit"]), limit, margin, *seen
        )
    return [table, *(_told(v) for v in verdicts if _is_told(v))]


def _is_told(verdict: Mapping[str, Any]) -> bool:
    """Does a condition fail, or could it not be judged? If so, a column is too narrow."""
    doubtful = verdict["status"] != "PASS" and verdict["remedy"]
    return bool(verdict["status"] == "FAIL" or doubtful or verdict.get("error"))


def _seen(verdict: Mapping[str, Any]) -> str:
    return "see below" if _is_told(verdict) else shown(str(verdict["detail"]))


def _told(verdict: Mapping[str, Any]) -> Text:
    """Say what was seen, which samples are to blame and what to do, across the whole screen."""
    colour = blocks.style(verdict["status"])
    told = [(f"{verdict['rule']}: ", f"bold {colour}"), (verdict["detail"], "")]
    if verdict["evidence"]:
        told.append((f"\n  samples {', '.join(map(str, verdict['evidence']))}", "dim"))
    if verdict["remedy"]:
        told.append((f"\n  → {verdict['remedy']}", "bold"))
    return joined(*told)


def margin_text(margin: float | None) -> str:
    """Write the room to the limit in percent of it (negative: missed by), or in multiples of it;
    nothing where there is no limit.
    """
    if margin is None:
        return ""
    return f"{100 * margin:+.1f} %" if abs(margin) < 10 else f"{margin:+.0f}x"


def _figures(result: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    for label, line in run_tables.brief(result):
        table.add_row(label, as_text(line))
    return table


def not_mlperf(result: Mapping[str, Any]) -> str:
    """Say why the figures must not be called MLPerf's; nothing if they may be."""
    if result["official"]:
        return ""
    if result["status"] != "VALID":
        return f"Not an MLPerf result: the run is {result['status']}."
    lacks = result.get("official_lacks") or ["division"]
    reasons = [words for name in lacks if (words := _lack(name, result))]
    others = [name for name in lacks if not _lack(name, result)]
    if others:
        also = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        named = ", ".join(others[:_SHOWN]) + also
        reasons.append(f"not as the closed division asks: {named}")
    return f"Not an MLPerf result: {'; '.join(reasons)}."


def _lack(name: str, result: Mapping[str, Any]) -> str:
    """Say a reason in words; nothing for a setting whose name says enough."""
    run = result["settings"]["run"]
    if name == "division":
        return "its division is not known"
    if name == "sut":
        return f"the {result['sut']} SUT runs no model"
    if name == "profile":
        return f"profile {result['profile']} is not that of an MLPerf benchmark"
    if name == "loadgen_valid":
        return "by LoadGen's own conditions it is INVALID"
    if name == "clock":
        return "its clock is virtual"
    if name == "in_process":
        return "the system ran in the driver's own process"
    if name == "mode":
        is_search = result["mode"] == "find-peak"
        return "it is a search" if is_search else "it measures accuracy, not performance"
    if name == "min_duration":
        asked_s, needed_s = run["min_duration_ns"] / 1e9, run["official_min_duration_ns"] / 1e9
        own = f"the minimum duration is {asked_s:g} s" if asked_s else "no minimum duration is set"
        return f"{own} (MLPerf: {needed_s:g} s)"
    return ""


def division_text(result: Mapping[str, Any]) -> str:
    """Name the division, and what keeps the run out of the closed one; nothing for a run that
    was judged before there were divisions.
    """
    division = result.get("division")
    if not division:
        return ""
    differs = [difference(row) for row in division["differs"]]
    more = f"; and {len(differs) - _SHOWN} more" if len(differs) > _SHOWN else ""
    name = f"{division['name'].capitalize()} division"
    return f"{name}: " + "; ".join(differs[:_SHOWN]) + more if differs else name


def difference(row: Mapping[str, Any]) -> str:
    """Say what a setting is in the run, and what it would have to be for the closed division."""
    value, asked = (setting_text(row[key], row["unit"]) for key in ("value", "asked"))
    whose = "closed needs" if row.get("by") == "division" else "profile:"
    return f"{row['name']} is {value} ({whose} {asked})"


def show_plan(
    settings: Any,
    schedule: Any,
    pattern: ScenarioEntry,
    forecast: Mapping[str, str],
    values: Sequence[Any],
    console: Console,
    conf_files: Sequence[Any] = (),
    conflicts: Sequence[Any] = (),
    tables: bool = True,
) -> None:
    """Print what a run would do (RunSettings, Schedule, its scenario's entry, sentences on its
    length, every setting with its origin), what became of LoadGen's configuration files, and what
    contradicts itself.
    """
    queries, per_query = len(schedule), schedule.samples_per_query
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    closed = pattern.is_closed and settings.mode == "performance"
    table.add_row("scenario", f"{settings.scenario}, {settings.mode}")
    size = f"{per_query:,} samples each" if per_query > 1 else "1 sample each"
    table.add_row("queries", f"{'at most ' if closed else ''}{queries:,}, {size}")
    table.add_row("rate", f"{settings.target_qps:g}/s {'' if pattern.is_open else 'expected'}")
    for label, sentence in forecast.items():
        table.add_row(label, as_text(sentence))
    shown = schedule.indices[:8].tolist()
    table.add_row(
        "first samples",
        ", ".join(map(str, shown)) + (" ..." if schedule.indices.size > len(shown) else ""),
    )
    console.print(table)
    for conflict in conflicts:
        sure, style = ("cannot be VALID: ", "bold red") if conflict.certain else ("", "yellow")
        console.print(as_text(f"conflict: {sure}{conflict.detail}", style=style))
        console.print(as_text(f"  → {conflict.remedy}", style="bold"))
    if tables:
        console.print(blocks.screen(run_tables.settings(row._asdict() for row in values)))
    for sentence in conf_lines.sentences(conf_files):
        console.print(as_text(sentence))


def show_audit(found: Mapping[str, Any], console: Console) -> None:
    colour = blocks.style(found["status"])
    head = joined((found["status"], f"bold {colour}"), (f"  audit of {found['run_id']}", ""))
    notes = [as_text(note, style="bold") for note in found.get("notes", ())]
    console.print(Panel(Group(head, as_text(found["reason"]), *notes), border_style=colour))
    table, said = _table("Why", ("", "condition", "seen"), left=(0, 1, 2)), set()
    for v in found["verdicts"]:
        seen = as_text(v["detail"])
        if v["evidence"] and v["status"] == "FAIL":
            seen.append_text(as_text(f"\nsamples {', '.join(map(str, v['evidence']))}", "dim"))
        if v["remedy"] and v["status"] != "PASS" and v["remedy"] not in said:
            said.add(v["remedy"])
            seen.append_text(as_text(f"\n→ {v['remedy']}", "bold"))
        table.add_row(
            as_text(v["status"], style=blocks.style(v["status"])), as_text(v["rule"]), seen
        )
    console.print(table)


def show_package(
    place: Path, problems: Sequence[str], notes: Sequence[str], console: Console
) -> None:
    """Print where a submission tree was put, and what is still wrong with it."""
    count = f"{len(problems)} PROBLEM{'S' * (len(problems) > 1)}"
    colour, word = ("red", count) if problems else ("green", "COMPLETE")
    console.print(Panel(joined((word, f"bold {colour}"), (f"  {place}", "")), border_style=colour))
    for problem in problems:
        console.print(as_text(f"- {problem}"))
    for note in notes:
        console.print(as_text(f"note: {note}", style="dim"))


def show_doctor(findings: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    for title, rows in findings.items():
        table = _table(title.capitalize(), ("", ""), left=(0, 1), header=False)
        for key, value in rows.items():
            table.add_row(as_text(key, style="bold"), as_text(value))
        console.print(table)


def _with_unit(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{number(value)} {unit}"


def _table(title: str, columns: Sequence[str], left: Sequence[int], header: bool = True) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        show_header=header,
    )
    for i, column in enumerate(columns):
        table.add_column(
            column,
            justify="left" if i in left else "right",
            header_style="dim",
            no_wrap=column == "condition",
            overflow="fold",
        )
    return table
