"""Runs side by side: the verdict on top, then one column per variant, on the screen and as
compare.html.

Variants are columns and figures rows, so that five variants fit into 80 characters. Both forms are
made from the object that `harness compare --json` prints; what strangers wrote is escaped as on the
page of a run (`reports.html`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from reports import plots
from reports.html import template, visible
from reports.terminal import number, size

_COLOUR = {"VALID": "green", "INVALID": "yellow"}
_NAME_WIDTH, _COLUMN_WIDTH = 20, 12
Comparison = Mapping[str, Any]


class Figure(NamedTuple):
    """A row of the table: its name, how a value is shown; `optional` if it is left out where no run
    has it.
    """

    key: str
    name: str
    text: Callable[[Any], str] = number
    optional: bool = False


def _millions(count: float) -> str:
    return f"{count / 1e6:,.1f}"


def _mib(num_bytes: float) -> str:
    return (
        f"{num_bytes / 2**20:,.1f}" if num_bytes < 2**20 * 10_000 else f"{num_bytes / 2**20:,.0f}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _hundredths(value: float) -> str:
    return f"{value:.2f}"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x"


def _loss(nats: float) -> str:
    return f"{nats:.4f}"


GROUPS: dict[str, tuple[Figure, ...]] = {
    "Speed": (
        Figure("tokens_per_s", "tokens/s"),
        Figure("speed_ratio", "  of reference", _times),
        Figure("ttft_p50_ms", "TTFT p50, ms"),
        Figure("tpot_p50_ms", "TPOT p50, ms"),
        Figure("joules_per_token", "J/token", optional=True),
    ),
    "Quality": (
        Figure("eval_loss", "evaluation loss", _loss),
        Figure("perplexity", "perplexity"),
        Figure("token_accuracy", "tokens right, %", _percent),
        Figure("eval_samples_per_s", "evaluation samples/s"),
        Figure("rougeL", "ROUGE-L", _hundredths, optional=True),
        Figure("rouge_ratio", "ROUGE kept, %", _percent, optional=True),
    ),
    "Weight": (
        Figure("parameters", "parameters, M", _millions),
        Figure("trainable_parameters", "trainable parameters"),
        Figure("disk_bytes", "on disk, MiB", _mib),
        Figure("weights_bytes", "weights, MiB", _mib),
        Figure("weights_ratio", "  of reference", _times),
        Figure("kv_cache_bytes", "KV cache, MiB", _mib),
        Figure("peak_bytes", "peak memory, MiB", _mib),
    ),
}
NOTE = (
    "Evaluation: teacher-forced on the reference answers, loss in nats per answer token. ROUGE"
    " kept: the least of ROUGE-1, -2, -L as a share of the reference's, on generated texts. Peak"
    " memory: of the GPU, else of the model's process, libraries included. On disk: the files that"
    " were read, before any quantisation."
)


def sentences(found: Comparison) -> list[str]:
    """The verdict in words, one line each."""
    verdict, rows = found["verdict"], {row["label"]: row for row in found["rows"]}
    reference = verdict["reference"]

    def told(
        label: str | None, what: str, value: Callable[[Mapping[str, Any]], str], ratio: str = ""
    ) -> str:
        if label is None:
            return ""
        beside = (
            f", {rows[label][ratio]:.2f}x of {reference}"
            if ratio and label != reference and rows[label][ratio]
            else ""
        )
        return f"{what}: {label}, {value(rows[label])}{beside}"

    best = (
        (lambda row: f"loss {row['eval_loss']:.4f}")
        if verdict["best_by"] == "eval_loss"
        else _rouge_text
    )
    extremes = [
        told(
            verdict["fastest"],
            "fastest",
            lambda row: f"{number(row['tokens_per_s'])} tokens/s",
            "speed_ratio",
        ),
        told(
            verdict["smallest"], "smallest", lambda row: size(row["weights_bytes"]), "weights_ratio"
        ),
        told(verdict["best"], "best", best),
    ]
    return list(filter(None, [*extremes, _rouge_sentence(verdict)]))


def missing(found: Comparison) -> list[str]:
    """Which variants have no figures, and whose fault that is."""
    parts = {"not measured": found["verdict"]["failed"], "interrupted, not run": found["not_run"]}
    return [f"{what}: {', '.join(labels)}" for what, labels in parts.items() if labels]


def comparable_text(found: Comparison) -> str:
    if sum(bool(row["conditions"]) for row in found["rows"]) < 2:
        return "nothing to compare with"
    if found["comparable"]:
        return "comparable: yes, the same load on the same data and machine"
    return "comparable: NO, these differ: " + "; ".join(
        f"[{i}] {what}" for i, what in enumerate(found["differences"], 1)
    )


def figures(found: Comparison) -> dict[str, list[tuple[Figure, list[str]]]]:
    """The table by groups: each figure with one text per variant, a dash where it is not known."""

    def shown(figure: Figure) -> bool:
        return not figure.optional or any(row[figure.key] is not None for row in found["rows"])

    def text(figure: Figure, value: Any) -> str:
        return "-" if value is None else figure.text(value)

    return {
        group: [(f, [text(f, row[f.key]) for row in found["rows"]]) for f in members if shown(f)]
        for group, members in GROUPS.items()
    }


# ---- the screen


def told(row: Mapping[str, Any]) -> Text:
    """One line on a variant that has just been measured."""
    speed = f"{number(row['tokens_per_s'])} tokens/s" if row["tokens_per_s"] else row["reason"]
    return Text.assemble((f"{row['variant']} {row['status']}", "bold"), f"  {speed}")


def show(found: Comparison, place: Path, console: Console) -> None:
    rows = found["rows"]
    console.print(_head(found))
    widest = max(_COLUMN_WIDTH, *(len(row["label"]) + 1 for row in rows))
    fitting = max(1, (console.width - _NAME_WIDTH) // widest)
    for first in range(0, len(rows), fitting):
        console.print(_table(found, slice(first, first + fitting)))
    for row in rows:
        if row["status"] not in _COLOUR or row["status"] == "INVALID":
            console.print(
                Text.assemble((f"{row['label']}: {row['status']}", "bold"), f"  {row['reason']}")
            )
    console.print(Text(f"comparison: {place / 'compare.html'}", style="dim"), soft_wrap=True)


def _head(found: Comparison) -> Panel:
    words = sentences(found) or ["nothing was measured"]
    comparable = Text(comparable_text(found), style="dim" if found["comparable"] else "bold red")
    lost = [Text(sentence, style="bold red") for sentence in missing(found)]
    colour = "red" if lost or not found["comparable"] else "green"
    head = Text(_subject(found), style="bold")
    return Panel(Group(head, *map(Text, words), *lost, comparable), border_style=colour)


def _table(found: Comparison, part: slice) -> Table:
    rows = found["rows"][part]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", min_width=_NAME_WIDTH - 1)
    for row in rows:
        table.add_column(
            Text(row["label"]), justify="right", header_style="bold", min_width=8, overflow="fold"
        )
    table.add_row(
        "status",
        *(Text(row["status"], style=_COLOUR.get(row["status"], "bold red")) for row in rows),
    )
    if len({row["model"] for row in found["rows"]}) > 1:
        table.add_row("model", *(Text(row["model"]) for row in rows))
    for group in figures(found).values():
        for figure, texts in group:
            table.add_row(figure.name, *texts[part])
    return table


# ---- the page


def write(place: Path, found: Comparison) -> Path:
    """compare.html in `place`: whole or not at all."""
    page, scratch = place / "compare.html", place / "compare.html.tmp"
    scratch.write_text(render(found), encoding="utf-8")
    os.replace(scratch, page)
    return page


def render(found: Comparison) -> str:
    rows = found["rows"]
    points = [
        (visible(row["label"]), row["weights_bytes"] / 2**20, row["tokens_per_s"])
        for row in rows
        if row["weights_bytes"] and row["tokens_per_s"]
    ]
    return template("compare.html").render(
        found=found,
        subject=_subject(found),
        sentences=sentences(found),
        missing=missing(found),
        comparable=comparable_text(found),
        groups=figures(found),
        links=[_link(row["run"]) for row in rows],
        failed=[row for row in rows if row["status"] != "VALID"],
        svg=plots.at_both_widths(
            plots.speed_against_weights, points, visible(found["verdict"]["reference"])
        ),
        note=NOTE,
    )


def _link(run: str) -> str:
    """Where the page of a run inside the comparison's folder is, as an address; empty for the
    others.
    """
    return (
        f"{quote(run)}/report.html"
        if run and not Path(run).is_absolute() and ".." not in Path(run).parts
        else ""
    )


def _subject(found: Comparison) -> str:
    rows = found["rows"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    conditions: Mapping[str, str] = next(
        (row["conditions"] for row in rows if row["conditions"]), {}
    )
    load = [conditions[key] for key in ("scenario", "dataset") if conditions.get(key)]
    return " · ".join([", ".join(models), *load, f"{len(rows)} variant{'s' * (len(rows) != 1)}"])


def _rouge_text(row: Mapping[str, Any]) -> str:
    return f"ROUGE-L {row['rougeL']:.2f}"


def _rouge_sentence(verdict: Mapping[str, Any]) -> str:
    kept, lost = verdict["rouge_kept"], verdict["rouge_lost"]
    narrow: Sequence[str] = [label for label in kept["99"] if label not in kept["99.9"]]
    parts = {"99.9 % by": kept["99.9"], "99 % by": narrow, "less by": lost}
    words = "; ".join(f"{share} {', '.join(labels)}" for share, labels in parts.items() if labels)
    return f"ROUGE of {verdict['reference']} kept: {words}" if words else ""
