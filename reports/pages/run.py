"""What does the page of a run show? report.html, part by part.

A new part of the page is a function (result, log, telemetry) -> Block | None and one line in
PARTS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.kernel.log import RunLog
from harness.kernel.stats import percentile_name
from harness.kernel.types import FINISHES
from harness.kernel.words.figure import number, size
from reports import figures, tables
from reports.beside import Beside
from reports.blocks import Block, Plot, Table, pairs
from reports.pages import html, of_task
from reports.parts import capacity, doubts, gpus, replicas, served, server, steady
from reports.plots import run as plots
from reports.plots.gpus import gpus_over_run
from reports.plots.server import server_over_run
from reports.plots.style import at_both_widths
from reports.terminal import made_by, missing_text, not_mlperf, solved

MAX_TEXT = 400  # characters of an answer
_SLOWEST = _FIRST = 10

Telemetry = Mapping[str, Sequence[Any]]
Lost = Callable[[str, Exception], None]
Result = Mapping[str, Any]
Part = Callable[[Result, RunLog, Telemetry], Block | list[Block] | None]


@dataclass(frozen=True, slots=True)
class Shown:
    """One sample as the page shows it."""

    id: int
    index: int
    due_s: float
    ttft_ms: float | None
    latency_ms: float | None
    tokens: int
    finish: str
    text: str
    more: int  # characters that were left out
    error: str


def write(
    folder: Path,
    result: Mapping[str, Any],
    log: RunLog,
    telemetry: Telemetry,
    lost: Lost = lambda section, fault: None,
) -> Path:
    """Write report.html in `folder`: whole or not at all. `lost` hears of each part that broke."""
    return html.write(folder / "report.html", render(result, log, telemetry, lost))


def render(
    result: Mapping[str, Any],
    log: RunLog,
    telemetry: Telemetry,
    lost: Lost = lambda section, fault: None,
) -> str:
    """Return the page as text. `result` is result.json as a mapping."""
    slowest, first = shown_samples(log)
    blocks = _blocks(result, log, telemetry, lost)
    tables = [block for block in blocks if isinstance(block, Table)]
    return html.page(
        "report.html",
        result=result,
        tiles=_tiles(result),
        not_mlperf=not_mlperf(result),
        solved=list(solved(result)),
        failed=any(row["status"] in ("FAIL", "UNDECIDED") for row in result["verdicts"]),
        doubts=doubts.table(result),
        missing=[missing_text(row) for row in result.get("missing", [])],
        made_by=made_by(result["environment"]),
        pictures=[block for block in blocks if isinstance(block, Plot)],
        tables=[table for table in tables if not table.is_pairs],
        pairs=[table for table in tables if table.is_pairs],
        beside=[block for block in blocks if isinstance(block, Beside)],
        groups=[(title, rows) for title, rows in (("Slowest", slowest), ("First", first)) if rows],
        on_page={sample.id for sample in (*slowest, *first)},
        details={
            "Settings, as JSON": result["settings"],
            "Environment, as JSON": result["environment"],
            "Files, as JSON": result["files"],
        },
    )


def _blocks(result: Result, log: RunLog, telemetry: Telemetry, lost: Lost) -> list[Block]:
    """Make each part; one that breaks leaves its place, and does not take the page with it."""
    found = list[Block]()
    for function in PARTS:
        name = function.__name__.strip("_").replace("_", " ")
        try:
            block = function(result, log, telemetry)
        except Exception as fault:
            lost(name, fault)
            why = f"This part could not be made: {type(fault).__name__}: {fault}"
            block = pairs(name.capitalize(), [(why, "")])
        found += block if isinstance(block, list) else [block] if block else []
    return found


def shown_samples(log: RunLog) -> tuple[list[Shown], list[Shown]]:
    """Return the slowest ten (those that never came back first) and the first ten of the others."""
    patience = np.where(log.completed, log.latency_ns, np.iinfo(np.int64).max)
    slowest = np.argsort(-patience, kind="stable")[:_SLOWEST].tolist()
    first = [i for i in range(min(len(log), _SLOWEST + _FIRST)) if i not in slowest][:_FIRST]
    return [_shown(log, i) for i in slowest], [_shown(log, i) for i in first]


# ---- tables


def _latency(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    table = tables.latency(result, _PERCENTILES)
    note = _LATENCY_NOTE + (_ERROR_NOTE if result.get("driver_error") else "")
    return replace(table, note=note) if table.rows else None


_PERCENTILES = ("p50", "p90", "p95", "p97", "p99", "p99.9")
_LATENCY_NOTE = (
    "TTFT and latency count from the moment a sample was due, not from when it was issued. TPOT is"
    " (latency − TTFT) / (tokens − 1), undefined for answers of one token. ITL are the gaps between"
    " the tokens of a sample, pooled over all samples. Percentiles are values that occurred (no"
    " interpolation)."
)
_ERROR_NOTE = (
    " ±: how far the driver's own delays (queries issued late, events heard late) raised the"
    " percentile."
)


def _throughput(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    counts = result["counts"]
    done = f"{counts['completed']:,} of {counts['samples']:,}"
    lost = ", ".join(f"{counts[key]:,} {key}" for key in ("failed", "unfinished") if counts[key])
    rows = [
        *_known("Throughput", result),
        ("completed", done + (f" ({lost})" if lost else "")),
        ("tokens", f"{counts['tokens']:,}"),
    ]
    return pairs("Throughput", rows)


def _goodput(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return capacity.goodput(result)


def _capacity(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return capacity.capacity(result)


def _decoding(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    rows = _known("Decoding", result)
    path = result.get("self_check", {}).get("path")
    return pairs("Decoding", [*rows, ("path", path)], _DECODING_NOTE) if rows and path else None


_DECODING_NOTE = (
    "The limit is what a step must read (the weights once, and the key-value cache in use) over the"
    " speed of a copy on the same device, measured at load."
)


def _memory(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return _group("Memory", result, result["memory"].get("source") or "")


def _quality(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return _group("Quality", result)


def _answers(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return _group("Answers", result)


def _evaluation(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    note = (
        "Teacher-forced on the reference answers, after the run: how well the model predicts each"
        " next token."
    )
    return _group("Evaluation", result, note)


def _energy(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return _group("Energy", result, result.get("energy", {}).get("source", ""))


def _driver(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return _group("Driver", result, "What the harness itself used.")


def _found_out(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return served.server(result)


def _answers_of_server(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return served.answers(result)


def _failures(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return served.failures(result)


def _others(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    """Show figures that were declared from outside, in a group that has no part here."""
    rows = []
    for figure in figures.declared():
        value = figure.value(result)
        if figure.group not in figures.GROUPS and value is not None:
            rows.append((figure.label, figure.text(value)))
    return pairs("Other figures", rows) if rows else None


def _group(group: str, result: Result, note: str = "") -> Block | None:
    rows = _known(group, result)
    return pairs(group, rows, note) if rows else None


def _known(group: str, result: Result) -> list[tuple[str, str]]:
    return [(figure.label, figure.text(value)) for figure, value in figures.known(group, result)]


def _search(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return tables.search(result["search"]) if result["search"] else None


def _division(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return tables.division(result["division"]) if result.get("division") else None


def _settings(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    values = result["settings"].get("effective", [])
    return tables.settings(values) if values else None


# ---- pictures


def _over_run(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    note = "When each sample was due, and how long it took from then."
    if len(log) > plots.MAX_POINTS:
        note += (
            f" Of the {len(log):,} samples, an even selection is drawn, and the slowest of each"
            " stretch."
        )
    svg = at_both_widths(
        plots.samples_over_run, log, _limit_ns(result, "ttft"), steady.marks(result)
    )
    return _picture("Over the run", svg, note)


def _cumulative(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    svg = plots.cumulative(log, _judged(result), _limit_ns(result, "ttft"))
    note = "The share of completed samples that were at least this fast."
    return _picture("Cumulative distribution", svg, note)


def _tpot(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    svg = plots.tpot_histogram(log, _judged(result), _limit_ns(result, "tpot"))
    return _picture("Time per output token", svg, "TPOT of each sample with at least two tokens.")


def _load(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return _picture("Load", plots.load_over_run(log), "Open: due but not yet finished.")


def _server(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    note = "What the server says of itself, by its /metrics, read once a second."
    return _picture("The server's own view", server_over_run(telemetry), note)


def _server_counts(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    rows = server.counts(telemetry)
    note = "By its /metrics, from the first reading to the one after the run."
    return pairs("The server's own counts", rows, note) if rows else None


def _machine(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    note = "Sampled once a second by a separate process."
    return _picture("Machine", plots.machine_over_run(telemetry), note)


def _gpus(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    if not (indices := [gpu["gpu"] for gpu in result.get("gpus") or ()]):
        return None
    svg = gpus_over_run(telemetry, indices, (result.get("energy") or {}).get("idle_watts"))
    said = gpus.below_the_curves(result)
    note = "Read by a separate process. Red: heat or a brake held the clocks down."
    return _picture("GPUs over the run", svg, f"{note} {said}".strip())


def _replicas(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return replicas.table(result)


def _task(result: Result, log: RunLog, telemetry: Telemetry) -> list[Block]:
    return of_task.blocks(result)


def _steady(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return steady.table(result)


def _of_gpus(result: Result, log: RunLog, telemetry: Telemetry) -> Block | None:
    return gpus.table(result)


def _picture(title: str, svg: str, note: str) -> Plot | None:
    return Plot(title, svg, note) if svg else None


PARTS: tuple[Part, ...] = (
    _search, _task, _latency, _failures, _throughput, _goodput, _capacity, _decoding, _memory,
    _quality, _answers, _evaluation, _energy, _replicas, _of_gpus,
    _driver, _found_out, _answers_of_server, _server_counts, _others, _over_run, _steady,
    _cumulative, _tpot, _load, _server, _machine, _gpus, _division, _settings,
)  # fmt: skip


# ---- parts


def _tiles(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (name, figure, unit) of the few numbers that most readers came for."""
    headline, latency, memory = result["result"], result["latency"], result["memory"]
    judged = percentile_name(result["settings"]["run"]["percentile"])
    tiles = [(headline["name"], headline["value"], headline["unit"])]
    tiles += [
        (f"{judged} {name}", latency[key].get(judged), "ms")
        for key, name in (("ttft_ms", "TTFT"), ("tpot_ms", "TPOT"))
    ]
    tiles += [("throughput", result["throughput"]["tokens_per_s"] or None, "tokens/s")]
    tiles += [("rougeL", result["accuracy"].get("rougeL"), "of 100")]
    shown = [(name, number(value), unit) for name, value, unit in tiles if value is not None]
    shown = of_task.tiles(result) + shown
    if peak := memory.get("gpu_peak_bytes") or memory.get("rss_peak_bytes"):
        figure, unit = size(peak).split(" ")
        shown.append(("peak memory, loading and serving", figure, unit))
    if peak := memory.get("evaluation_peak_bytes"):
        figure, unit = size(peak).split(" ")
        shown.append(("peak memory, evaluation", figure, unit))
    return shown


def _judged(result: Result) -> float | None:
    """Return the percentile of the settings if a condition or the headline reads it."""
    p: float = result["settings"]["run"]["percentile"]
    read = [result["result"]["name"], *(v["rule"].replace("_", " ") for v in result["verdicts"])]
    return p if any(percentile_name(p) in words.split() for words in read) else None


def _limit_ns(result: Mapping[str, Any], name: str) -> int | None:
    """Return the limit that was judged, if it was."""
    rule = f"{name}_{percentile_name(result['settings']['run']['percentile'])}"
    judged = (v["limit"] for v in result["verdicts"] if v["rule"] == rule)
    return next((round(limit * 1e6) for limit in judged if limit is not None), None)


def _shown(log: RunLog, i: int) -> Shown:
    text = log.texts.get(i, "")
    done = bool(log.completed[i])
    return Shown(
        id=i,
        index=int(log.index[i]),
        due_s=float(log.due_ns[i]) / 1e9,
        ttft_ms=float(log.ttft_ns[i]) / 1e6 if log.first_ns[i] >= 0 else None,
        latency_ms=float(log.latency_ns[i]) / 1e6 if done else None,
        tokens=int(log.tokens[i]),
        finish=FINISHES[log.finish[i]] if log.done_ns[i] >= 0 else "unfinished",
        text=text[:MAX_TEXT],
        more=max(len(text) - MAX_TEXT, 0),
        error=log.errors.get(i, "")[:MAX_TEXT],
    )
