"""The first screen after a run: the verdict on top, its reasons, then the figures with their
units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from reports import conf_lines

_COLOUR = {"VALID": "green", "PASS": "green", "INVALID": "red", "FAIL": "red", "ERROR": "red"}
_LATENCY_ROWS = {
    "ttft_ms": "TTFT",
    "tpot_ms": "TPOT",
    "itl_ms": "ITL",
    "latency_ms": "latency",
    "issue_lag_ms": "issue lag",
}
_COLUMNS = ("mean", "p50", "p90", "p95", "p99", "p99.9", "max", "n")


def show_result(result: Mapping[str, Any], folder: Path, console: Console) -> None:
    """`result` is result.json as a mapping."""
    console.print(_verdict(result))
    console.print(_conditions(result["verdicts"]))
    if result.get("search"):
        console.print(_search(result["search"]))
    console.print(_latency(result["latency"]))
    console.print(_figures(result))
    for row in result.get("missing", []):
        console.print(Text(f"missing: {missing_text(row)}", style="yellow"))
    if any(row["later"] for row in result.get("missing", [])):
        console.print(Text(f"make it later: harness report {folder}"), soft_wrap=True)
    for note in result["notes"]:
        console.print(Text(f"note: {note}", style="dim"))
    console.print(Text(f"run folder: {folder}", style="dim"), soft_wrap=True)
    if (folder / "report.html").is_file():
        console.print(Text(f"report:     {folder / 'report.html'}", style="dim"), soft_wrap=True)


def missing_text(row: Mapping[str, Any]) -> str:
    """What could not be made of a run, and why."""
    what = row["name"] if row["kind"] in ("file", "page", "log") else f"{row['kind']} {row['name']}"
    return f"{what} ({row['reason']})"


def _verdict(result: Mapping[str, Any]) -> Panel:
    status, counts = result["status"], result["counts"]
    colour = _COLOUR.get(status, "yellow")
    subject = " ".join(filter(None, (result["model"], result["variant"])))
    queries = f"{counts['queries']} queries" + (
        f" ({counts['samples']} samples)" if counts["samples"] != counts["queries"] else ""
    )
    head = Text.assemble(
        (status, f"bold {colour}"), f"  {result['scenario']} · {subject} · {result['mode']}"
    )
    line = f"{queries} in {number(result['throughput']['duration_s'])} s: {result['status_reason']}"
    below = [
        Text(words, style="dim") for words in (not_mlperf(result), division_text(result)) if words
    ]
    return Panel(Group(head, Text(line), *below), border_style=colour)


def _conditions(verdicts: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Why", ("", "condition", "measured", "limit", "margin", "seen"), left=(0, 1, 5))
    for v in verdicts:
        status = Text(v["status"], style=_COLOUR.get(v["status"], "yellow"))
        seen = Text(v["detail"])
        if v["evidence"] and v["status"] == "FAIL":
            seen.append(f"\nsamples {', '.join(map(str, v['evidence']))}", style="dim")
        if v["remedy"] and (v["status"] == "FAIL" or v.get("error")):
            seen.append(f"\n→ {v['remedy']}", style="bold")
        table.add_row(
            status,
            v["rule"],
            _with_unit(v["measured"], v["unit"]),
            number(v["limit"]),
            margin_text(v["margin"]),
            seen,
        )
    return table


def _search(steps: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Search", ("step", "queries/s", "delivered", "held", "run"), left=(3, 4))
    for i, step in enumerate(steps, 1):
        held = step_text(step)
        words = Text(held, style="green" if held == "yes" else "red")
        delivered = number(step.get("delivered_qps"))
        table.add_row(str(i), number(step["target_qps"]), delivered, words, step["folder"])
    return table


def step_text(step: Mapping[str, Any]) -> str:
    """Whether a rate held, or what did not."""
    why = step.get("why", () if step["limits_kept"] else ("limits",))
    return "no: " + ", ".join(name.replace("_", " ") for name in why) if why else "yes"


def margin_text(margin: float | None) -> str:
    """Room to the limit in per cent of it (negative: missed by), or in multiples of it; nothing
    where there is no limit.
    """
    return (
        ""
        if margin is None
        else f"{100 * margin:+.1f} %"
        if abs(margin) < 10
        else f"{margin:+.0f}x"
    )


def _latency(latency: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("Milliseconds", ("from due time", *_COLUMNS), left=(0,))
    for key, label in _LATENCY_ROWS.items():
        row = latency[key]
        if row["n"]:
            table.add_row(label, *(number(row[column]) for column in _COLUMNS))
    return table


def _figures(result: Mapping[str, Any]) -> Table:
    through, memory, driver, counts = (
        result["throughput"],
        result["memory"],
        result["driver"],
        result["counts"],
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    headline = result["result"]
    if headline["value"] is not None:
        table.add_row(
            "result", f"{number(headline['value'])} {headline['unit']}  ({headline['name']})"
        )
    table.add_row("throughput", _join([
        (through["tokens_per_s"] if counts["tokens"] else None, "tokens/s"),
        (through["samples_per_s"], "samples/s"),
        (through["scheduled_samples_per_s"], "samples/s scheduled"),
    ]))  # fmt: skip
    if held := memory_text(memory):
        table.add_row("memory", held)
    if scores := quality(result["accuracy"]):
        shown = (
            f"{name} {number(value)}"
            for name, value in scores.items()
            if not name.startswith("bleu_")
        )  # its parts
        table.add_row("quality", ", ".join(shown))
    if evaluated := evaluation_text(result["accuracy"]):
        table.add_row("evaluation", evaluated)
    if energy := result.get("energy"):
        table.add_row("energy", _join([
            (energy["joules"], "J"), (energy["joules_per_token"], "J/token"),
            (energy["watts_mean"], "W mean"),
        ]))  # fmt: skip
    table.add_row("driver", _join([
        (driver["issue_lag_p99_ms"], "ms p99 issue lag"),
        (driver["client_cpu_percent"], "% CPU"),
        (driver["channel_roundtrip_us"], "us channel round trip"),
    ]))  # fmt: skip
    return table


_PHASES = {"loading": "loading", "serving": "serving", "evaluation": "evaluating"}


def memory_text(memory: Mapping[str, Any]) -> str:
    """What it weighs, and the peak of each phase that is known; empty if nothing is."""
    names = {"weights_bytes": "weights", "kv_cache_bytes": "KV cache"}
    parts = [f"{name} {size(memory[key])}" for key, name in names.items() if memory.get(key)]
    whose = "GPU" if memory.get("gpu_peak_bytes") else "process"
    peaks = [
        f"{size(memory[f'{phase}_peak_bytes'])} {doing}"
        for phase, doing in _PHASES.items()
        if memory.get(f"{phase}_peak_bytes")
    ]
    most = memory.get("gpu_peak_bytes") or memory.get("rss_peak_bytes")
    if peaks or most:
        parts.append(f"{whose} peak {', '.join(peaks) or size(most or 0)}")
    return ", ".join(parts)


_EVALUATED = (
    "eval_loss",
    "perplexity",
    "token_accuracy",
    "eval_samples",
    "eval_tokens",
    "eval_samples_per_s",
)


def quality(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores of the answers that the run gave, without those of the evaluation."""
    return {name: value for name, value in scores.items() if name not in _EVALUATED}


def evaluation_text(scores: Mapping[str, float]) -> str:
    """The teacher-forced figures in one line; empty without an evaluation."""
    if "eval_loss" not in scores:
        return ""
    return (
        f"loss {scores['eval_loss']:.4f} nats/token, perplexity {number(scores['perplexity'])},"
        f" {100 * scores['token_accuracy']:.2f} % of tokens right,"
        f" {number(scores.get('eval_samples_per_s'))} samples/s ({number(scores['eval_samples'])}"
        f" answers, {number(scores['eval_tokens'])} tokens)"
    )


def not_mlperf(result: Mapping[str, Any]) -> str:
    """Why the figures must not be called MLPerf's; empty if they may be compared with them."""
    if result["official"]:
        return ""
    run = result["settings"]["run"]
    asked_s, needed_s = run["min_duration_ns"] / 1e9, run["official_min_duration_ns"] / 1e9
    if asked_s >= needed_s:
        return "Not an MLPerf result: it is not valid, or its size or limits are not MLPerf's."
    asked = f"at least {asked_s:g} s" if asked_s else "no minimum duration"
    return f"Not an MLPerf result: {asked} was asked for, MLPerf's is {needed_s:g} s."


def division_text(result: Mapping[str, Any]) -> str:
    """Closed, or open and why, in one line; nothing for a run that was judged before there were
    divisions.
    """
    division = result.get("division")
    if not division:
        return ""
    differs = [f"{row['name']} {difference(row)}" for row in division["differs"]]
    more = f"; and {len(differs) - 3} more" if len(differs) > 3 else ""
    return f"Division: {division['name']}" + (
        ": " + "; ".join(differs[:3]) + more if differs else ""
    )


def difference(row: Mapping[str, Any]) -> str:
    return (
        f"{setting_text(row['value'], row['unit'])} (asked:"
        f" {setting_text(row['asked'], row['unit'])})"
    )


def show_plan(
    settings: Any,
    schedule: Any,
    forecast: Mapping[str, str],
    values: Sequence[Any],
    console: Console,
    conf_files: Sequence[Any] = (),
    conflicts: Sequence[Any] = (),
) -> None:
    """What a run would do (RunSettings, Schedule, sentences on its length, every setting with its
    origin), what became of LoadGen's configuration files, and what contradicts itself.
    """
    queries, per_query = len(schedule), schedule.samples_per_query
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    closed = (
        settings.scenario in ("single-stream", "multi-stream") and settings.mode == "performance"
    )
    table.add_row("scenario", f"{settings.scenario}, {settings.mode}")
    table.add_row(
        "queries",
        f"{'at most ' if closed else ''}{queries} of {per_query} sample{'s' * (per_query > 1)}",
    )
    table.add_row(
        "rate", f"{settings.target_qps:g}/s {'' if settings.scenario == 'server' else 'expected'}"
    )
    for label, sentence in forecast.items():
        table.add_row(label, sentence)
    shown = schedule.indices[:8].tolist()
    table.add_row(
        "first samples",
        ", ".join(map(str, shown)) + (" ..." if schedule.indices.size > len(shown) else ""),
    )
    console.print(table)
    for conflict in conflicts:
        sure, style = ("cannot be VALID: ", "bold red") if conflict.certain else ("", "yellow")
        console.print(Text(f"conflict: {sure}{conflict.detail}", style=style))
        console.print(Text(f"  → {conflict.remedy}", style="bold"))
    settings_table = _table("Settings", ("", "value", "from"), left=(0, 1, 2))
    for row in values:
        settings_table.add_row(
            row.name, setting_text(row.value, row.unit), Text(row.origin, style="dim")
        )
    console.print(settings_table)
    for sentence in conf_lines.sentences(conf_files):
        console.print(sentence, markup=False, highlight=False)


def setting_text(value: Any, unit: str) -> str:
    return (
        f"{value:,.10g} {unit}".strip() if isinstance(value, float) else f"{value} {unit}".strip()
    )


def show_audit(found: Mapping[str, Any], console: Console) -> None:
    colour = _COLOUR.get(found["status"], "yellow")
    head = Text.assemble((found["status"], f"bold {colour}"), f"  audit of {found['run_id']}")
    console.print(Panel(Group(head, Text(found["reason"])), border_style=colour))
    table, said = _table("Why", ("", "condition", "seen"), left=(0, 1, 2)), set()
    for v in found["verdicts"]:
        seen = Text(v["detail"])
        if v["evidence"] and v["status"] == "FAIL":
            seen.append(f"\nsamples {', '.join(map(str, v['evidence']))}", style="dim")
        if v["remedy"] and v["status"] != "PASS" and v["remedy"] not in said:
            said.add(v["remedy"])
            seen.append(f"\n→ {v['remedy']}", style="bold")
        table.add_row(Text(v["status"], style=_COLOUR.get(v["status"], "yellow")), v["rule"], seen)
    console.print(table)


def show_package(
    place: Path, problems: Sequence[str], notes: Sequence[str], console: Console
) -> None:
    """Where a submission tree was put, and what is still wrong with it."""
    colour, word = ("red", f"{len(problems)} PROBLEMS") if problems else ("green", "COMPLETE")
    console.print(Panel(Text.assemble((word, f"bold {colour}"), f"  {place}"), border_style=colour))
    for problem in problems:
        console.print(Text(f"- {problem}"))
    for note in notes:
        console.print(Text(f"note: {note}", style="dim"))


def show_list(name: str, rows: Mapping[str, str], console: Console) -> None:
    table = _table(name.capitalize(), ("name", "what it is"), left=(0, 1))
    for key, summary in rows.items():
        table.add_row(Text(key, style="bold"), summary)
    console.print(table)


def show_doctor(findings: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    for title, rows in findings.items():
        table = _table(title.capitalize(), ("", ""), left=(0, 1), header=False)
        for key, value in rows.items():
            table.add_row(Text(key, style="bold"), str(value))
        console.print(table)


def number(value: float | int | None) -> str:
    """Four significant digits without exponents; a dash for "unknown"."""
    if value is None:
        return "-"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1e-3 else f"{value:.1g}"


def size(num_bytes: float) -> str:
    """Binary units, and says so."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(num_bytes) < 1024 or unit == "GiB":
            return f"{num_bytes:.4g} {unit}"
        num_bytes /= 1024
    return ""


def _with_unit(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{number(value)} {unit}"


def _join(pairs: Sequence[tuple[float | None, str]]) -> str:
    return ", ".join(f"{number(value)} {unit}" for value, unit in pairs if value is not None)


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
        )
    return table
