"""What does a comparison show of a run? None where it is not known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed
from harness.kernel.foreign.own_files import check_folder
from harness.kernel.places import not_a_run
from harness.kernel.stats import percentile_name, share
from harness.kernel.types import short_name
from harness.kernel.words.variant import precision_of
from harness.options.settings import RunConfig
from harness.result import result
from harness.result.integrity import published, seal
from harness.result.publish import whole
from harness.result.read import Raw
from harness.study.cells import deployment
from harness.study.comparison.conditions import conditions_of
from harness.study.comparison.verdict import ENDED
from reports import figures

ROUGE = ("rouge1", "rouge2", "rougeL")
# Scores of answers beside ROUGE, as result.json names them.
OF_ANSWERS = (
    "bleu", "exact_match", "token_f1", "number_match", "gsm8k", "multiple_choice", "task_solved",
)  # fmt: skip
Row = dict[str, Any]
LATENCIES = tuple(
    f"{what}_{percentile}_ms"
    for what in ("ttft", "tpot", "latency")
    for percentile in ("p50", "p90", "p99")
)
PEAKS = ("loading_peak_bytes", "serving_peak_bytes", "evaluation_peak_bytes")
FIGURES = (
    *PEAKS, "tokenizer", "prompts", "weights",
    "parameters", "trainable_parameters", "disk_bytes", "weights_bytes", "kv_cache_bytes",
    "peak_bytes", "eval_loss", "perplexity", "token_accuracy", "eval_samples_per_s", *ROUGE,
    "tokens_per_s", "samples_per_s", *LATENCIES, "inference_s", "joules_per_token",
)  # fmt: skip


def read_row(folder: Path) -> Row:
    """The row of a finished run: see `read_whole`."""
    return read_whole(folder)[0]


def read_whole(folder: Path) -> tuple[Row, Raw | None]:
    """The row of a finished run, made from its raw files again, and those; of a folder without
    any, from its result.json. Raises BadInput if there is none in `folder`.
    """
    row = _published_row(folder)
    try:
        raw, built = whole(folder, percentiles=published.percentiles(folder))
    except BadInput:
        return row | {"seal": "not sealed"}, None
    row = row_of(built.to_json(), folder)
    if edits := published.edits(folder, built):
        row["edited"] = f"result.json was edited: {published.words(edits)}"
    if raw.seal.status == "edited":
        row["edited"] = seal.words(raw.seal)
    if raw.seal.status == "not sealed":
        row["seal"] = raw.seal.status
    return row, raw


def _published_row(folder: Path) -> Row:
    file = folder / "result.json"
    try:
        check_folder(folder)
        found = parsed.read_json(file)
        if found["schema"] != result.SCHEMA:
            raise BadInput(
                f"reading {file}",
                f"its schema is {found['schema']!r}",
                f"this version reads {result.SCHEMA}",
                f"Make it again: python -m harness report {folder}.",
            )
        return row_of(found, folder)
    except (OSError, ValueError, KeyError, TypeError):
        raise not_a_run(folder, file.name) from None


def row_of(found: Mapping[str, Any], folder: Path) -> Row:
    """What a comparison shows of a result; None where it is not known."""
    facts, memory, scores = found["sut_facts"], found["memory"], found["accuracy"]
    through, latency = found["throughput"], found["latency"]
    ended = found["status"] in ENDED
    return {
        "model": short_name(str(found["model"])),
        "variant": found["variant"] or found["sut"],
        "precision": precision_of(facts),
        "status": found["status"] if ended else _failure(found["status"], found["status_reason"]),
        "reason": found["status_reason"],
        "run": str(folder.resolve()),
        "tokenizer": facts.get("tokenizer_sha256"),
        "prompts": _prompts(facts),
        "weights": _weights(str(found["model"]), facts),
        "parameters": facts.get("parameters"),
        "trainable_parameters": facts.get("trainable_parameters"),
        "disk_bytes": facts.get("disk_bytes"),
        "weights_bytes": memory.get("weights_bytes") or None,  # 0: no model ran
        "kv_cache_bytes": memory.get("kv_cache_bytes") or None,
        "peak_bytes": (
            memory.get("gpu_peak_bytes")
            or memory.get("rss_peak_bytes")
            or _peak_bytes(found["status_reason"])
        ),
        **{name: memory.get(name) for name in PEAKS},
        **{
            name: scores.get(name)
            for name in ("eval_loss", "perplexity", "token_accuracy", "eval_samples_per_s", *ROUGE)
        },
        "tokens_per_s": (through["tokens_per_s"] or None) if ended else None,
        "samples_per_s": (through["samples_per_s"] or None) if ended else None,
        **{name: _latency(latency, name) if ended else None for name in LATENCIES},
        "inference_s": _seconds(latency["latency_ms"]["mean"]) if ended else None,
        "joules_per_token": found.get("energy", {}).get("joules_per_token") if ended else None,
        "conditions": conditions_of(found),
        **_scores(scores | _solved(found)),
        **({"doubts": found["doubts"]} if found.get("doubts") else {}),
        **_declared(found),
        **_percentiles(found, ended),
        **_self_check(found, ended),
        **_attempts(found),
    }


def _latency(latency: Mapping[str, Any], name: str) -> float | None:
    """Return the value of "ttft_p99_ms" of a result."""
    what, percentile, _ = name.split("_")
    value = latency[f"{what}_ms"].get(percentile)
    return None if value is None else float(value)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _scores(scores: Mapping[str, Any]) -> Row:
    """Return the other scores of the answers that can rank; nothing where there are none."""
    others = {name: value for name, value in scores.items() if name in OF_ANSWERS}
    return {"scores": others} if others else {}


def _solved(found: Mapping[str, Any]) -> dict[str, float]:
    """Return the share of its task that a run solved; nothing without a task."""
    task = found.get("task") or {}
    value = task["scores"][task["scorer"]]["value"] if task else None
    return {} if value is None else {"task_solved": value}


def _self_check(found: Mapping[str, Any], ended: bool) -> Row:
    """Return its decode steps beside the limit of the device; nothing where that is not known."""
    names = ("rows", "step_ms", "limit_ms", "share", "path", "slowed_by")
    checked = found.get("self_check") or {}
    if not ended or checked.get("share") is None:
        return {}
    return {"self_check": {name: checked[name] for name in names}}


def _attempts(found: Mapping[str, Any]) -> Row:
    """Return what several attempts at a task gave; nothing where there was one."""
    told = (found.get("task") or {}).get("attempts") or {}
    return {"attempts": told} if told.get("at") else {}


def _percentiles(found: Mapping[str, Any], ended: bool) -> Row:
    """Return the latencies at the percentiles that were asked for, in ms: "ttft_p99.9_ms"."""
    names = [percentile_name(share(percent)) for percent in found.get("percentiles", ())]
    values = {
        f"{what}_{name}_ms": found["latency"][f"{what}_ms"][name] if ended else None
        for what in ("ttft", "tpot", "latency")
        for name in names
    }
    return {"percentiles": values} if values else {}


def _prompts(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the fingerprint of the prompts and what may have made them others; None if the SUT
    gives none.
    """
    if "prompts_sha256" not in facts:
        return None
    names = ("prompts_sha256", "chat_template_sha256", "template_date", "truncated_samples")
    return {name: facts.get(name) for name in names}


def _weights(model: str, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the digests of the weights that this name stood for; None if the SUT gives none."""
    if "files_digest" not in facts:
        return None
    return {"model": model} | {name: facts.get(name) for name in ("files_digest", "tensors_digest")}


def _declared(found: Mapping[str, Any]) -> Row:
    """The figures from outside the package that comparisons show."""
    values = {figure.name: figure.value(found) for figure in figures.compared()}
    return {"figures": values} if values else {}


def failed_row(config: RunConfig, reason: str) -> Row:
    """The row of a run that could not be made."""
    known: Row = {"model": short_name(config.model), "variant": deployment(config), "run": ""}
    known |= {
        "precision": "",
        "status": _failure("FAILED", reason),
        "reason": reason,
        "peak_bytes": _peak_bytes(reason),
        "conditions": {},
    }
    return dict.fromkeys(FIGURES) | known


def _failure(status: str, reason: str) -> str:
    return "OOM" if "out of memory" in reason.lower() else status


def _peak_bytes(reason: str) -> int | None:
    """What the SUT said of its peak when it ran out of memory."""
    found = re.search(r"peak ([0-9.]+) GiB", reason)
    return int(float(found[1]) * 2**30) if found else None
