"""Which figures does a comparison show of each variant, under which names and in which units?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from harness.kernel.words.judged import TABLE, value_of
from reports import blocks, figures
from reports.blocks import Column, Table, percent, tone
from reports.figures import LATENCIES

_ONLY_CSV = ("run", "reason", "samples_per_s", "rouge1", "rouge2")
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


def _judged(*names: str) -> Iterator[Column]:
    """Yield the columns of figures that some comparisons have."""
    for figure in map(TABLE.__getitem__, names):
        yield Column(figure.name, figure.label, figure.unit, figure.write, optional=True)


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
        *_judged("text_perplexity", "bits_per_byte", "mean_kld"),
        *_judged("bleu", "exact_match", "token_f1", "number_match", "gsm8k", "multiple_choice"),
        Column("task_solved", "task solved", "%", percent, optional=True, interval=True),
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
    "Cost": (*_judged("usd_per_million_tokens"),),
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
    declared = {figure.name for figure in figures.compared()}
    for group, members in GROUPS.items():
        columns += [replace(one, group=group) for one in members if one.name not in declared]
        columns += _percentiles(found, group) if group == "Speed" else []
    columns += [blocks.column(figure, group="Other") for figure in figures.compared()]
    rows = [[value(row, column.name) for column in columns] for row in found["rows"]]
    note = f"Ratios are relative to {found['verdict']['reference']}, the first. {NOTE}"
    return Table("Comparison", columns, rows, note, sideways=True)


def value(row: Row, name: str) -> Any:
    """Return what a row has under the name of a column; None where it is not known."""
    if name == "task_solved":
        solved = row.get("scores", {}).get(name)
        ends = row.get("intervals", {}).get(name, (None, None))
        return None if solved is None else (solved, *ends)
    more = row.get("figures", {}) | row.get("percentiles", {})
    more |= {"decode_share": row.get("self_check", {}).get("share")}
    if name in row or name in more:
        return row[name] if name in row else more[name]
    return value_of(row, TABLE[name]) if name in TABLE else None


def _percentiles(found: Comparison, group: str) -> list[Column]:
    """Return the columns of latencies that were asked for, but for those that are there anyway."""
    names = dict.fromkeys(name for row in found["rows"] for name in row.get("percentiles", {}))
    shown = [name for name in names if name not in found["rows"][0]]
    parts = [(name, *name.removesuffix("_ms").split("_")) for name in shown]
    heads = {name: f"{LATENCIES[f'{what}_ms']} {percentile}" for name, what, percentile in parts}
    return [Column(name, head, "ms", group=group) for name, head in heads.items()]


# ---- the screen
