"""How do runs stand to one another? The verdict on top, then one column per variant, on the screen
and as compare.html.

Variants are columns and figures rows, so that five variants fit into 80 characters. Both forms are
made from the object that `harness compare --json` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from harness.kernel.texts import shown
from harness.kernel.words.figure import number, size
from reports import blocks, figures
from reports.blocks import Column, Plot, Table, as_text, joined, percent, tone
from reports.figures import LATENCIES
from reports.pages import effects, html
from reports.plots.compare import speed_against_weights
from reports.plots.labels import Point
from reports.plots.style import at_both_widths

_ONLY_CSV = ("run", "reason", "samples_per_s", "rouge1", "rouge2")
_WIDTH = 11  # the least of a column
Comparison = Mapping[str, Any]
Row = Mapping[str, Any]


def _millions(count: float) -> str:
    return f"{count / 1e6:,.1f}"


def _count(count: float) -> str:
    return f"{count / 1e6:,.1f}M" if count >= 1e7 else f"{count:,.0f}"


def _mib(num_bytes: float) -> str:
    mib = num_bytes / 2**20
    return f"{mib:,.1f}" if mib < 10_000 else f"{mib:,.0f}"


def _hundredths(value: float) -> str:
    return f"{value:.2f}"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x"


def _loss(nats: float) -> str:
    return f"{nats:.4f}"


GROUPS: dict[str, tuple[Column, ...]] = {
    "Speed": (
        Column("tokens_per_s", "tokens/s"),
        Column("speed_ratio", "  of reference", write=_times),
        Column("ttft_p50_ms", "TTFT p50", "ms"),
        Column("tpot_p50_ms", "TPOT p50", "ms"),
        Column("decode_share", "of the memory's limit", "%", percent, optional=True),
        Column("joules_per_token", "J/token", optional=True),
    ),
    "Quality": (
        Column("eval_loss", "evaluation loss", write=_loss),
        Column("perplexity", "perplexity"),
        Column("token_accuracy", "token accuracy", "%", percent),
        Column("eval_samples_per_s", "evaluation samples/s"),
        Column("rougeL", "ROUGE-L", write=_hundredths, optional=True),
        Column("rouge_ratio", "ROUGE kept", "%", percent, optional=True),
        Column("tokens_ratio", "length kept", "%", percent, optional=True),
        Column("keeps_99", "keeps 99 %", toned=tone, optional=True),
        Column("keeps_99.9", "keeps 99.9 %", toned=tone, optional=True),
    ),
    "Weight": (
        Column("parameters", "parameters", "M", _millions),
        Column("trainable_parameters", "trainable parameters", write=_count),
        Column("disk_bytes", "on disk", "MiB", _mib),
        Column("weights_bytes", "weights", "MiB", _mib),
        Column("weights_ratio", "  of reference", write=_times),
        Column("kv_cache_bytes", "KV cache", "MiB", _mib),
        Column("peak_bytes", "peak memory", "MiB", _mib),
        Column("loading_peak_bytes", "  while loading", write=_mib, optional=True),
        Column("serving_peak_bytes", "  while serving", write=_mib, optional=True),
        Column("evaluation_peak_bytes", "peak, evaluating", write=_mib, optional=True),
    ),
}
NOTE = (
    "A tie means that the data cannot tell the two apart: the 95 % interval of their difference"
    " includes zero (loss and ROUGE-L: paired bootstrap over the answers; speed: over twentieths of"
    " the run's tokens). The interval of the speed covers how it varies within one run, not from"
    " run to run. Keeps: the gate's verdict (harness gate), PASS if ROUGE-1, -2 and -L on generated"
    " texts all keep this share of the reference's and the answers are 90 to 110 % as long,"
    " intervals included. ROUGE kept: the least of the three. Evaluation: teacher-forced on the"
    " reference answers, loss in nats per answer token. Peak memory: of the GPU, or else of the"
    " model's process with its libraries, while loading and serving; evaluating (scoring the"
    " reference answers) has a peak of its own. On disk: the files that were read, before any"
    " quantisation. Parameters: tied matrices count once, even where a file stores the output head"
    " as a copy of the embedding; those of an adapter are included. Trainable: all parameters of a"
    " model, whatever they are stored in, but only the adapter's of a LoRA."
)


def sentences(found: Comparison) -> list[str]:
    """Return the verdict in words, one line each."""
    verdict, rows = found["verdict"], {row["label"]: row for row in found["rows"]}
    told = [
        _lead_sentence(verdict, rows, "fastest", _speed_text, "speed_ratio"),
        _lead_sentence(verdict, rows, "smallest", _size_text, "weights_ratio"),
        _lead_sentence(verdict, rows, "best", _TEXTS[verdict["best_by"]]),
        _unranked_sentence(verdict),
        *_keeping_sentences(found),
    ]
    return list(filter(None, told))


Told = Callable[[Mapping[str, Any]], str]


def _lead_sentence(
    verdict: Mapping[str, Any],
    rows: Mapping[str, Mapping[str, Any]],
    what: str,
    text: Told,
    ratio: str = "",
) -> str:
    lead = verdict["leads"].get(what)
    if lead is None:
        return ""
    if lead["tied"]:
        return f"{what}: a tie of {_tie(lead, rows, text, bool(ratio))}"
    best, reference = lead["label"], verdict["reference"]
    words = f"{what}: {best}, {text(rows[best])}"
    if best != reference and reference in rows and ratio and rows[best][ratio]:
        words += f", {rows[best][ratio]:.2f}x of {reference}"
    if not lead["judged"]:
        return f"{words}, by the figure alone"
    return words + _ahead(lead, ratio)


def _tie(
    lead: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], text: Told, is_ratio: bool
) -> str:
    """Name everybody in it with figures, and how far apart they may be."""
    parts = [f"{lead['label']}, {text(rows[lead['label']])}"]
    for label in lead["tied"]:
        low, high = lead["others"][label]["low"], lead["others"][label]["high"]
        between = f" ({_interval(low, high, is_ratio)})" if low != high else ""
        parts.append(f"{label}, {text(rows[label])}{between}")
    return f"{'; '.join(parts[:-1])}; and {parts[-1]}" if len(parts) > 2 else " and ".join(parts)


def _ahead(lead: Mapping[str, Any], ratio: str) -> str:
    """Say how far ahead of the next one it certainly is."""
    known = {
        label: other
        for label, other in lead["others"].items()
        if other["low"] is not None and other["low"] != other["high"]
    }
    if not known:
        return ""
    equality = 1.0 if ratio else 0.0
    second = min(known, key=lambda label: abs(known[label]["value"] - equality))
    low, high = known[second]["low"], known[second]["high"]
    if ratio:
        return f"; the next, {second}, has {low:.2f}x to {high:.2f}x of that"
    less, more = sorted(map(abs, (low, high)))
    return f"; the next, {second}, is {less:.4g} to {more:.4g} {'higher' if low > 0 else 'lower'}"


def _interval(low: float, high: float, is_ratio: bool) -> str:
    return f"{low:.2f} to {high:.2f}x" if is_ratio else f"{low:+.4f} to {high:+.4f}"


def _speed_text(row: Mapping[str, Any]) -> str:
    return f"{number(row['tokens_per_s'])} tokens/s"


def _size_text(row: Mapping[str, Any]) -> str:
    return size(row["weights_bytes"])


_TEXTS: Mapping[str, Told] = {
    "eval_loss": lambda row: f"loss {row['eval_loss']:.4f}",
    "rougeL": lambda row: f"ROUGE-L {row['rougeL']:.2f}",
}


def _unranked_sentence(verdict: Mapping[str, Any]) -> str:
    if not verdict["unranked"]:
        return ""
    return "losses are not ranked: the models have different tokenizers, and a loss is per token"


def _keeping_sentences(found: Comparison) -> list[str]:
    """Say who keeps each share of the reference's ROUGE and length, and why others fail."""
    verdict = found["verdict"]
    rows = [row for row in found["rows"] if row["label"] != verdict["reference"]]
    told = []
    for share in verdict["rouge_kept"]:
        words = [_keeping_text(row, share) for row in rows if row[f"keeps_{share}"]]
        if words:
            told.append(f"{share} % of {verdict['reference']} kept: {'; '.join(words)}")
    if not told and any(row["rouge_ratio"] for row in rows):
        why = next((row["not_judged"] for row in rows if row["not_judged"]), "")
        told.append(f"no verdict on keeping the ROUGE of {verdict['reference']}: {why}")
    return told


def _keeping_text(row: Mapping[str, Any], share: str) -> str:
    """Say whether a row keeps a share, and why it does not or why nobody can tell."""
    word = row[f"keeps_{share}"]
    is_told = word == "FAIL" or (word == "UNDECIDED" and row["rouge_ratio"] is None)
    return f"{row['label']} {word}" + (f", {row['keeps_reasons'][share]}" if is_told else "")


def missing(found: Comparison) -> list[str]:
    """Name the variants without figures, and say why."""
    parts = {"not measured": found["verdict"]["failed"], "interrupted, not run": found["not_run"]}
    return [f"{what}: {', '.join(labels)}" for what, labels in parts.items() if labels]


def doubts(found: Comparison) -> list[str]:
    """Say which runs were edited after they were measured, and of which nobody can tell."""
    return list(found.get("notes", ()))


def comparable_text(found: Comparison) -> str:
    if sum(bool(row["conditions"]) for row in found["rows"]) < 2:
        return "nothing to compare with"
    if found["comparable"]:
        return "comparable: yes, the same load on the same data and machine"
    return "comparable: NO, these differ: " + "; ".join(
        f"[{i}] {what}" for i, what in enumerate(found["differences"], 1)
    )


def table(found: Comparison) -> Table:
    """Return the variants as rows: what each is, its verdict, its figures; people see them turned,
    and model and variant only where these differ.
    """
    columns = [Column("label", ""), Column("status", "status", toned=tone)]
    for name in ("model", "variant"):
        is_same = len({row[name] for row in found["rows"]}) < 2
        is_label = all(row[name] == row["label"] for row in found["rows"])
        columns.append(Column(name, name, raw=is_same or is_label))
    columns += [Column(name, name, raw=True) for name in _ONLY_CSV]
    for group, members in GROUPS.items():
        columns += [replace(one, group=group) for one in members]
        columns += _percentiles(found, group) if group == "Speed" else []
    columns += [blocks.column(figure, group="Other") for figure in figures.compared()]
    rows = [[_value(row, column.name) for column in columns] for row in found["rows"]]
    note = f"Ratios are relative to {found['verdict']['reference']}, the first. {NOTE}"
    return Table("Comparison", columns, rows, note, sideways=True)


def _value(row: Row, name: str) -> Any:
    more = row.get("figures", {}) | row.get("percentiles", {})
    more |= {"decode_share": row.get("self_check", {}).get("share")}
    return row[name] if name in row else more.get(name)


def _percentiles(found: Comparison, group: str) -> list[Column]:
    """Return the columns of latencies that were asked for, but for those that are there anyway."""
    names = dict.fromkeys(name for row in found["rows"] for name in row.get("percentiles", {}))
    shown = [name for name in names if name not in found["rows"][0]]
    parts = [(name, *name.removesuffix("_ms").split("_")) for name in shown]
    heads = {name: f"{LATENCIES[f'{what}_ms']} {percentile}" for name, what, percentile in parts}
    return [Column(name, head, "ms", group=group) for name, head in heads.items()]


# ---- the screen


def told(row: Row) -> Text:
    """Return a line on a variant that has just been measured."""
    speed = f"{number(row['tokens_per_s'])} tokens/s" if row["tokens_per_s"] else row["reason"]
    return joined((f"{row['label']} {row['status']}", "bold"), (f"  {speed}", ""))


def show(found: Comparison, place: Path, console: Console, tables: bool = True) -> None:
    """Print the verdict, the table in as many parts as the width needs, and who has no figures."""
    console.print(_head(found))
    whole = table(found)
    lines = [[_stacked(row[0]), *row[1:]] for row in whole.rows]
    bare = replace(whole, title="", note="", rows=lines)
    for part in blocks.screens(bare, console.width, _WIDTH) if tables else ():
        console.print(part)
    for line in _tested(found):
        console.print(line)
    for row in _failed(found):
        name = f"{row['label']}: {row['status']}"
        console.print(joined((name, "bold"), (f"  {row['reason']}", "")))
    console.print(as_text(f"comparison: {place / 'compare.html'}", style="dim"), soft_wrap=True)


def _stacked(label: str) -> str:
    """Keep a variant whole; put varied settings on a line each."""
    return "\n".join(label.split()) if "=" in label else label


def _head(found: Comparison) -> Panel:
    words = sentences(found) or ["nothing was measured"]
    comparable = as_text(comparable_text(found), style="dim" if found["comparable"] else "bold red")
    lost = [as_text(sentence, style="bold red") for sentence in missing(found)]
    is_edited = any(row.get("edited") for row in found["rows"])
    lost += [as_text(note, style="bold red" if is_edited else "dim") for note in doubts(found)]
    lost += [as_text(note, style="bold yellow") for note in found.get("slower", ())]
    is_lost = missing(found) or is_edited
    colour = "red" if is_lost or not found["comparable"] else "green"
    head = as_text(_subject(found), style="bold")
    return Panel(Group(head, *map(as_text, words), *lost, comparable), border_style=colour)


def _tested(found: Comparison) -> list[Text]:
    """Return lines on the tests; that of a verdict is bold."""
    told = effects.sentences(found)
    styles = [
        blocks.STYLES[effects.TONES.get(line.split(":")[0].split(" ")[0], "soft")] for line in told
    ]
    lines = [as_text(line, style) for line, style in zip(told, styles, strict=True)]
    return [*lines, *(as_text(line, "yellow") for line in effects.refusals(found))]


def _failed(found: Comparison) -> list[Row]:
    return [row for row in found["rows"] if row["status"] != "VALID"]


# ---- the page


def write(place: Path, found: Comparison) -> Path:
    """Write compare.html in `place`: whole or not at all."""
    return html.write(place / "compare.html", render(found))


def render(found: Comparison) -> str:
    """Return the page as text."""
    rows = found["rows"]
    return html.page(
        "compare.html",
        found=found,
        subject=_subject(found),
        sentences=sentences(found),
        missing=[*missing(found), *doubts(found), *found.get("slower", ())],
        comparable=comparable_text(found),
        table=table(found),
        links={row["label"]: html.link(row["run"]) for row in rows},
        failed=_reasons(found),
        tested=[*effects.sentences(found), *effects.refusals(found)],
        limits=effects.limits_table(found),
        effects=effects.effects_table(found),
        picture=_picture(found),
        details={row["label"]: row for row in rows},
    )


def _reasons(found: Comparison) -> Table:
    heads = (Column(name, "", words=True) for name in ("label", "status", "reason"))
    columns = [replace(head, toned=tone if head.name == "status" else None) for head in heads]
    rows = [[row[column.name] for column in columns] for row in _failed(found)]
    return Table("Not valid", columns, rows)


def _picture(found: Comparison) -> Plot:
    points = [
        Point(shown(row["label"]), row["weights_bytes"] / 2**20, row["tokens_per_s"])
        for row in found["rows"]
        if row["weights_bytes"] and row["tokens_per_s"]
    ]
    reference = shown(found["verdict"]["reference"])
    svg = at_both_widths(speed_against_weights, points, reference)
    note = (
        "Tokens per second over the timed part against the bytes that the weights take in memory."
        " Up and to the left is better."
    )
    return Plot("Speed against weights", svg, note)


def _subject(found: Comparison) -> str:
    rows = found["rows"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    known: list[Mapping[str, str]] = [row["conditions"] for row in rows if row["conditions"]]
    load = [known[0][key] for key in ("scenario", "dataset") if known[0].get(key)] if known else []
    what = "variant" if len({row["variant"] for row in rows}) == len(rows) else "run"
    return " · ".join([", ".join(models), *load, f"{len(rows)} {what}{'s' * (len(rows) != 1)}"])
