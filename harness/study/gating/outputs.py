"""The answers of a finished run, one per question, and what must be the same before two runs may be
compared by them. The gate and the comparison read runs through this door.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from accuracy.datasets.subset import how_drawn
from accuracy.gate.outputs import Outputs
from accuracy.tasks.scorers import TABLE as SCORERS
from accuracy.tasks.scorers import scored_by
from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import check_folder
from harness.kernel.types import short_name
from harness.kernel.words.variant import is_tf32, precision_of
from harness.result import quiet, result, scored
from harness.result.library import samples_of
from harness.result.read import ACCURACY_PART, Raw, read_run
from harness.study.comparison.sameness import ONE_MODEL
from harness.study.gating import plugged
from harness.study.gating.asked import is_plugged


def outputs_of(raw: Raw, status: str, status_reason: str) -> Outputs:
    """Return the first answer to each question, in the order of the dataset.

    Label, place and notes of the run are the caller's to add.
    """
    log, is_model = raw.log, raw.entry.runs_model
    served = str(raw.facts.sut.get("model") or "") if raw.entry.asks_server else ""
    done = np.flatnonzero(log.completed)
    done = done[np.unique(log.index[done], return_index=True)[1]]
    samples = samples_of(raw)
    return Outputs(
        label="",
        model=short_name(raw.config.model if is_model else served or raw.config.sut),
        variant=result.variant_of(raw) or raw.config.sut,
        run="",
        problem=_problem(len(done), expected(raw), status, status_reason),
        terms=_terms(raw),
        index=log.index[done].astype(np.int64),
        ids=[log.token_ids[log.token_start[i] : log.token_start[i + 1]] for i in done.tolist()],
        texts=[log.texts.get(i, "") for i in done.tolist()],
        tokens=log.tokens[done],
        weights=raw.facts.sut.get("tensors_digest") or "",
        precision=precision_of(raw.facts.sut),
        is_tf32=is_tf32(raw.facts.sut),
        rows=int(raw.facts.sut.get("max_batch") or raw.config.rows),
        samples=None if samples is None else {sample.index: sample for sample in samples},
        dataset=str(raw.saved["dataset"]["name"]),
        task=raw.saved["dataset"].get("task") or {},
    )


def has_texts(raw: Raw) -> bool:
    """Are there texts to score? A run of empty answers has them, too."""
    log = raw.log
    return bool(log.texts) or not (len(log.token_ids) or (log.first_ns >= 0).any())


def expected(raw: Raw) -> int:
    """Return how many questions the run asked: every one in an accuracy run."""
    s = raw.settings
    if s.mode == "performance":
        return len(np.unique(raw.log.index))
    return min(s.accuracy_samples or s.num_samples, s.num_samples)


def _problem(done: int, expected: int, status: str, status_reason: str) -> str:
    """What is there of an incomplete run is not scored: the samples that are missing may be the
    hard ones.
    """
    if done < expected:
        return f"{done} of {expected} samples were answered ({status}: {status_reason})"
    return "" if status == "VALID" else f"its run is {status}: {status_reason}"


def _terms(raw: Raw) -> dict[str, str]:
    run, config, dataset, facts = raw.settings, raw.config, raw.saved["dataset"], raw.facts.sut
    digest = dataset.get("sha256")
    known = {
        "data": f"sha256 {digest[:12]}" if digest else dataset["name"],
        **_task_terms(dataset.get("task") or {}),
        "prompt column": config.prompt_column or "default",
        "reference column": config.reference_column or "default",
        "samples": expected(raw),
        "samples drawn": how_drawn(dataset),
        "new tokens": run.max_new_tokens,
        "truncate": config.truncate,
        "seeds": ",".join(map(str, (run.seeds.qsl, run.seeds.sample_index, run.seeds.schedule))),
        "prompts": facts.get("prompts_sha256"),
        "tokenizer": facts.get("tokenizer_sha256"),
        "end-of-sequence ids": facts.get("eos_ids"),
        "chat template": facts.get("chat_template_sha256") or facts.get("chat_template"),
        "template date": facts.get("template_date"),
        f"weight files of {config.model}": facts.get("files_digest") or None,
    }
    return {name: str(value) for name, value in known.items() if value is not None}


def _task_terms(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes the questions of a task what they are."""
    if not task:
        return {}
    digest = task.get("shots_sha256")
    return {
        "task": task.get("name"),
        "shots": task.get("shots"),
        "shots from": f"sha256 {digest[:12]}" if digest else task.get("shots_from") or "none",
        "chat": "yes" if task.get("chat") else "no",
        "draws": ", ".join(f"{k} {v}" for k, v in (task.get("draws") or {}).items()) or "greedy",
    }


def differing_terms(ours: Outputs, theirs: Outputs) -> list[str]:
    """Return the terms in which two runs differ, of those that both of them tell."""
    both = ours.terms.keys() & theirs.terms.keys()
    return [name for name in ours.terms if name in both and ours.terms[name] != theirs.terms[name]]


def read(folder: Path, metric: str | None = None) -> Outputs:
    """Of a finished accuracy run, or of the accuracy part of a submission; its answers marked by
    the scorers of its task, and by `metric`, where that is a scorer. Raises BadInput.
    """
    check_folder(folder)
    part = folder / ACCURACY_PART
    place = part if part.is_dir() else folder
    raw = read_run(place)
    if raw.settings.mode != "accuracy":
        words = "an accuracy run has one answer to every sample"
        raise BadInput(
            f"reading {folder}",
            "it is a performance run",
            words,
            "Make one with --mode accuracy.",
        )
    outputs = outputs_of(raw, "", "")
    has_choices = any(sample.choices for sample in (outputs.samples or {}).values())
    if not has_texts(raw) and not has_choices:
        found = f"the {raw.config.sut} SUT gives no texts"
        raise BadInput(f"reading {folder}", found, "answers are scored by their texts")
    if expected(raw) < 2:
        raise BadInput(
            f"reading {folder}",
            "it has one sample",
            "at least 2 are needed",
            "Raise --num-samples.",
        )
    built = result.build(place, raw, ())
    return replace(
        outputs,
        run=str(folder),
        problem=_problem(len(outputs.index), expected(raw), built.status, built.status_reason),
        marks=_marks(raw, outputs, metric),
        notes=built.notes,
        tokens_per_s=built.throughput["tokens_per_s"],
        peak_bytes=built.memory.get("gpu_peak_bytes") or built.memory.get("rss_peak_bytes"),
        busy_share=quiet.busy_share(built.load, raw.log),
    )


def _marks(raw: Raw, outputs: Outputs, metric: str | None) -> list[dict[str, Any]]:
    """Return the marks of the answers, made anew: what a scorer says may have changed since."""
    asked = list((outputs.samples or {}).values())
    more = [metric] if metric in SCORERS else []
    if not outputs.task:
        asked = scored_by(metric or "", asked)
    rows = scored.marks(raw, asked, more)
    if metric and asked and is_plugged(metric):
        rows += plugged.rows(metric, raw.log, asked, raw.config.attempts)
    return rows


def twin(reference: Outputs, other: Outputs) -> str:
    """Say that two variants have the same tensors; empty if they have not, or do not tell."""
    if reference.variant == other.variant or not other.weights:
        return ""
    if reference.weights != other.weights or reference.is_tf32 != other.is_tf32:
        return ""
    return f"{reference.variant} and {other.variant} {ONE_MODEL}, and say nothing of each other"


def check_same(reference: Outputs, other: Outputs, but: Sequence[str] = ()) -> None:
    """Raises BadInput naming each difference, of all terms `but` some."""
    differing = [name for name in differing_terms(reference, other) if name not in but]
    if differing:
        found = "; ".join(
            f"{name} {other.terms[name]} in {other.run}, {reference.terms[name]} in the reference"
            for name in differing
        )
        fine = "expected the same data, prompts, generation settings, tokenizer and seeds"
        todo = "Make both runs with the same flags"
        if "prompts" in differing:
            todo += " and the same tokenizer, chat template and version of Touchstone"
        raise BadInput("gate", found, fine, f"{todo}.")
