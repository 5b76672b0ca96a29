"""The page of a run: report.html, one file that opens from disk, needs no network and runs no
script.

Everything that a model, a server or a user could have written is hostile here. It passes through
one place: jinja2 calls `visible` on every string (control, bidi and other unseen characters become
readable marks) and then escapes it. Only the pictures of `reports.plots` are taken as they are;
they contain no foreign text. The page also carries a policy that forbids scripts and remote
content, should anything slip through.

A new part of the page is a function (result, log, telemetry) -> Section | None and one line in
SECTIONS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from harness.kernel.figure import number, size
from harness.kernel.stats import percentile_name
from harness.kernel.types import FINISHES, RunLog, Section
from reports import figures, plots
from reports.blocks import visible
from reports.scores import lengths, quality
from reports.tables import setting_text
from reports.terminal import (
    made_by,
    margin_text,
    missing_text,
    not_mlperf,
    step_text,
)

MAX_TEXT = 400  # characters of an answer
_SLOWEST = _FIRST = 10

Telemetry = Mapping[str, Sequence[Any]]
Lost = Callable[[str, Exception], None]
SectionFn = Callable[[Mapping[str, Any], RunLog, Telemetry], Section | None]


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
    """report.html in `folder`: whole or not at all. `lost` hears of each section that broke."""
    page, scratch = folder / "report.html", folder / "report.html.tmp"
    scratch.write_text(render(result, log, telemetry, lost), encoding="utf-8")
    os.replace(scratch, page)
    return page


def render(
    result: Mapping[str, Any],
    log: RunLog,
    telemetry: Telemetry,
    lost: Lost = lambda section, fault: None,
) -> str:
    """The page as text. `result` is result.json as a mapping."""
    slowest, first = shown_samples(log)
    return template("report.html").render(
        result=result,
        tiles=_tiles(result),
        not_mlperf=not_mlperf(result),
        failed=any(row["status"] == "FAIL" for row in result["verdicts"]),
        missing=[missing_text(row) for row in result.get("missing", [])],
        made_by=made_by(result["environment"]),
        sections=_sections(result, log, telemetry, lost),
        groups=[(title, rows) for title, rows in (("Slowest", slowest), ("First", first)) if rows],
        on_page={sample.id for sample in (*slowest, *first)},
        details={
            "Settings, as JSON": result["settings"],
            "Environment, as JSON": result["environment"],
            "Files, as JSON": result["files"],
        },
    )


def _sections(
    result: Mapping[str, Any], log: RunLog, telemetry: Telemetry, lost: Lost
) -> list[Section]:
    """One that breaks leaves its place, and does not take the page with it."""
    found = list[Section]()
    for function in SECTIONS:
        name = function.__name__.strip("_").replace("_", " ")
        try:
            section = function(result, log, telemetry)
        except Exception as fault:
            lost(name, fault)
            why = f"This part could not be made: {type(fault).__name__}: {fault}"
            section = Section(name.capitalize(), rows=((why,),))
        if section is not None:
            found.append(section)
    return found


def shown_samples(log: RunLog) -> tuple[list[Shown], list[Shown]]:
    """(the slowest ten, those that never came back first; the first ten of the others)."""
    patience = np.where(log.completed, log.latency_ns, np.iinfo(np.int64).max)
    slowest = np.argsort(-patience, kind="stable")[:_SLOWEST].tolist()
    first = [i for i in range(min(len(log), _SLOWEST + _FIRST)) if i not in slowest][:_FIRST]
    return [_shown(log, i) for i in slowest], [_shown(log, i) for i in first]


# ---- sections


def _latency(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    percentiles = figures.asked_percentiles(result) or _PERCENTILES
    columns = ("mean", *percentiles, "max", "n")
    names = figures.LATENCIES
    rows = [
        (names.get(key, key), *(number(row[c]) for c in columns))
        for key, row in result["latency"].items()
        if row["n"]
    ]
    if not rows:
        return None
    return Section("Latency", ("milliseconds", *columns), tuple(rows), _LATENCY_NOTE)


_PERCENTILES = ("p50", "p90", "p95", "p97", "p99", "p99.9")
_LATENCY_NOTE = (
    "TTFT and latency count from the moment a sample was due, not from when it was issued. TPOT is"
    " (latency − TTFT) / (tokens − 1), undefined for answers of one token. ITL are the gaps between"
    " the tokens of a sample, all samples pooled. Percentiles are values that occurred (no"
    " interpolation)."
)


def _throughput(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    counts = result["counts"]
    done = f"{counts['completed']:,} of {counts['samples']:,}"
    lost = ", ".join(f"{counts[key]:,} {key}" for key in ("failed", "unfinished") if counts[key])
    rows = [
        *_known("Throughput", result),
        ("completed", done + (f" ({lost})" if lost else "")),
        ("tokens", f"{counts['tokens']:,}"),
    ]
    return Section("Throughput", (), tuple(rows))


def _memory(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    held = [(figure, value) for figure, value in figures.known("Memory", result) if value]
    rows = [(figure.label, figure.text(value)) for figure, value in held]
    note = result["memory"].get("source") or ""
    return Section("Memory", (), tuple(rows), note) if rows else None


def _quality(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    scores: dict[str, tuple[float | None, str]]
    scores = {name: (value, "") for name, value in quality(result["accuracy"]).items()}
    rows = _rows(scores | lengths(result["accuracy"]))
    if not scores:
        return Section("Answers", (), tuple(rows)) if rows else None
    return Section("Quality", (), tuple(rows), "Scores without a unit are out of 100.")


def _evaluation(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    scores = result["accuracy"]
    if "eval_loss" not in scores:
        return None
    rows = {
        "loss": (scores["eval_loss"], "nats per token"),
        "perplexity": (scores["perplexity"], ""),
        "tokens right": (100 * scores["token_accuracy"], "%"),
        "speed": (scores.get("eval_samples_per_s"), "samples/s"),
        "answers": (scores["eval_samples"], ""),
        "answer tokens": (scores["eval_tokens"], ""),
    }
    note = (
        "Teacher-forced on the reference answers, after the run: how well the model predicts each"
        " next token."
    )
    return Section("Evaluation", (), tuple(_rows(rows)), note)


def _energy(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    rows = _known("Energy", result)
    note = result.get("energy", {}).get("source", "")
    return Section("Energy", (), tuple(rows), note) if rows else None


def _driver(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    lag = _rows({"p99 issue lag": (result["driver"]["issue_lag_p99_ms"], "ms")})
    rows = [*lag, *_known("Driver", result)]
    return Section("Driver", (), tuple(rows), "What the harness itself used.") if rows else None


def _others(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    """Figures that were declared from outside, in a group that has no section here."""
    rows = [
        (figure.label, figure.text(value))
        for figure in figures.declared()
        if figure.group not in _GROUPS and (value := figure.value(result)) is not None
    ]
    return Section("Other figures", (), tuple(rows)) if rows else None


_GROUPS = ("Throughput", "Memory", "Energy", "Driver")


def _search(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    rows = [
        (
            str(i),
            number(step["target_qps"]),
            number(step.get("delivered_qps")),
            step_text(step),
            step["folder"],
        )
        for i, step in enumerate(result["search"], 1)
    ]
    note = (
        "The highest rate that holds: doubled until one does not, then halved. A rate holds if the"
        " limits are kept and the system serves 95 % of it at least. The page shows the best"
        " run."
    )
    columns = ("step", "queries/s", "delivered", "held", "run")
    return Section("Search", columns, tuple(rows), note) if rows else None


def _division(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    if not (division := result.get("division")):
        return None
    rows = tuple(
        (
            row["name"],
            setting_text(row["value"], row["unit"]),
            setting_text(row["asked"], row["unit"]),
        )
        for row in division["differs"]
    )
    note = (
        "Closed: model, dataset, generation limits and rules are the profile's. Being stricter than"
        " the profile is allowed."
    )
    columns = ("setting", "this run", "the closed division needs") if rows else ()
    return Section(f"{division['name'].capitalize()} division", columns, rows, note, words=True)


def _settings(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    values = result["settings"].get("effective", [])
    rows = [(row["name"], setting_text(row["value"], row["unit"]), row["origin"]) for row in values]
    if not rows:
        return None
    return Section("Settings", ("setting", "value", "from"), tuple(rows), words=True, folded=True)


def _over_run(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    note = "When each sample was due, and how long it took from then."
    if len(log) > plots.MAX_POINTS:
        note += (
            f" Of {len(log):,} samples an even selection is drawn, with the slowest of each part."
        )
    return _picture(
        "Over the run",
        plots.at_both_widths(plots.samples_over_run, log, _limit_ns(result, "ttft")),
        note,
    )


def _cumulative(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    svg = plots.cumulative(log, _judged(result), _limit_ns(result, "ttft"))
    return _picture(
        "Cumulative distribution",
        svg,
        "The share of completed samples that were at least this fast.",
    )


def _tpot(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    svg = plots.tpot_histogram(log, _judged(result), _limit_ns(result, "tpot"))
    return _picture("Time per output token", svg, "TPOT of each sample with at least two tokens.")


def _load(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    return _picture("Load", plots.load_over_run(log), "Open: due but not yet finished.")


def _machine(result: Mapping[str, Any], log: RunLog, telemetry: Telemetry) -> Section | None:
    return _picture(
        "Machine",
        plots.machine_over_run(telemetry),
        "Sampled once a second by a separate process.",
    )


SECTIONS: tuple[SectionFn, ...] = (
    _search, _latency, _throughput, _memory, _quality, _evaluation, _energy, _driver, _others,
    _over_run, _cumulative, _tpot, _load, _machine, _division, _settings,
)  # fmt: skip


# ---- parts


def _known(group: str, result: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(figure.label, figure.text(value)) for figure, value in figures.known(group, result)]


def _rows(values: Mapping[str, tuple[float | None, str]]) -> list[tuple[str, str]]:
    return [
        (name, f"{number(value)} {unit}".strip())
        for name, (value, unit) in values.items()
        if value is not None
    ]


def _picture(title: str, svg: str, note: str) -> Section | None:
    return Section(title, note=note, svg=svg) if svg else None


def _tiles(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(name, figure, unit): the few numbers that most readers came for."""
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
    if peak := memory.get("gpu_peak_bytes") or memory.get("rss_peak_bytes"):
        figure, unit = size(peak).split(" ")
        shown.append(("peak memory, loading and serving", figure, unit))
    if peak := memory.get("evaluation_peak_bytes"):
        figure, unit = size(peak).split(" ")
        shown.append(("peak memory, evaluation", figure, unit))
    return shown


def _judged(result: Mapping[str, Any]) -> float | None:
    """The percentile of the settings if a condition or the headline reads it."""
    p: float = result["settings"]["run"]["percentile"]
    read = [result["result"]["name"], *(v["rule"].replace("_", " ") for v in result["verdicts"])]
    return p if any(percentile_name(p) in words.split() for words in read) else None


def _limit_ns(result: Mapping[str, Any], name: str) -> int | None:
    """The limit that was judged, if it was."""
    rule = f"{name}_{percentile_name(result['settings']['run']['percentile'])}"
    return next(
        (
            round(v["limit"] * 1e6)
            for v in result["verdicts"]
            if v["rule"] == rule and v["limit"] is not None
        ),
        None,
    )


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


# ---- hostile text


def _finalize(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "margin": margin_text, "pretty": _pretty}
    return environment


def template(name: str) -> Template:
    """A page of this folder, deaf to hostile text."""
    return _ENVIRONMENT.get_template(name)


_ENVIRONMENT = _environment()
