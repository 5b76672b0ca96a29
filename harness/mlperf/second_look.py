"""Cheats that only another run tells: answers that are kept, questions that are recognised. Makes
the runs, judges them.

The runs have the settings of the run that is looked at, its rate above all, and stand in the folder
`audit` inside its own.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from accuracy.compliance.audited import Audited
from accuracy.compliance.caching import repeated_run_no_faster, repeats_no_faster
from accuracy.compliance.detection import detection
from accuracy.compliance.paraphrase import fresh
from harness import registry
from harness.kernel.errors import BadInput
from harness.kernel.protocols import Say
from harness.kernel.types import Sample, Verdict
from harness.mlperf.audit import audited
from harness.options.settings import RunConfig
from harness.result.library import samples_of
from harness.result.read import Raw, read_run
from harness.run.session import Run

_QUESTIONS = 128  # drawn at random as often, about 80 come a first time and 48 again
_PAIRS = 64
_TIMES = 4  # offline


def caching(folder: Path, say: Say) -> list[Verdict]:
    """Repeated against distinct prompts at the same load."""
    raw = read_run(folder)
    n = min(_QUESTIONS, raw.settings.num_samples)
    if raw.config.pattern.is_at_once:
        few = max(n // _TIMES, 1)
        distinct = _run(
            raw, folder, say, "each question once", num_samples=n, min_queries=n, issue="unique"
        )
        repeated = _run(
            raw,
            folder,
            say,
            "few questions often",
            num_samples=few,
            min_queries=few * _TIMES,
            issue="equal",
        )
        return [_whole(repeated_run_no_faster(distinct, repeated), distinct, repeated)]
    queries = max(n // raw.settings.samples_per_query, 1)
    mixed = _run(
        raw,
        folder,
        say,
        "questions again and for the first time",
        num_samples=n,
        min_queries=queries,
        issue="random",
    )
    return [_whole(verdict, mixed) for verdict in repeats_no_faster(mixed, "CACHING ")]


def benchmark_detection(folder: Path, say: Say) -> list[Verdict]:
    """Known prompts against fresh ones of the same length, in one run."""
    raw = read_run(folder)
    if not registry.sut_entry(raw.config.sut).uses_dataset:
        raise _no_questions(folder, f"--sut {raw.config.sut} is asked no questions")
    samples = samples_of(raw)
    if samples is None:
        raise _no_questions(folder, "its dataset has moved or changed")
    pairs = _pairs(samples, Random(zlib.crc32(raw.facts.run_id.encode())))
    if not pairs:
        raise _no_questions(
            folder, "none of its questions can be put in other words of the same length"
        )
    place = folder / "audit"
    place.mkdir(exist_ok=True)
    file = place / "known_and_fresh.jsonl"
    prompts = [prompt for pair in pairs for prompt in pair]
    file.write_text(
        "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts), encoding="utf-8"
    )
    n = len(prompts)
    columns = {"prompt_column": None, "reference_column": None}
    made = _run(raw, folder, say, "known and fresh questions", dataset=str(file.resolve()),
        num_samples=n, min_queries=n,
                issue="unique", **columns)  # fmt: skip
    return [
        _whole(verdict, made) for verdict in detection(made, [(k, k + 1) for k in range(0, n, 2)])
    ]


def _pairs(samples: Sequence[Sample], rng: Random) -> list[tuple[str, str]]:
    """(known, fresh): as many as are needed, from all over the dataset."""
    order = rng.sample(range(len(samples)), len(samples))
    known = (samples[i].prompt for i in order)
    return [(prompt, other) for prompt in known if (other := fresh(prompt, rng)) is not None][
        :_PAIRS
    ]


def _run(raw: Raw, folder: Path, say: Say, what: str, **changes: Any) -> Audited:
    """A run as `raw`, the one in `folder`, was, but for `changes`."""
    say(f"audit: {what}")
    own = {
        "mode": "performance", "target_qps": raw.settings.target_qps, "performance_samples": None,
        "accuracy_samples": None, "min_duration": 0.0, "max_duration": None, "max_queries": None,
        "accuracy_log_target": 0, "same_index": 0, "accuracy_log_probability": 0.0,
        "evaluate": False, "driver": "touchstone", "origins": {}, "conf_files": (),
        "output_dir": folder / "audit",
    }  # fmt: skip
    config = RunConfig.model_validate(raw.config.model_dump() | own | changes)
    config = config.model_copy(update={"performance_samples": config.num_samples})
    with Run(config, say) as run:
        run.execute()
    return audited(run.folder)


def _whole(verdict: Verdict, *runs: Audited) -> Verdict:
    """Runs that ended early prove nothing."""
    broken = [f"{run.run_id}: {run.log.end_reason}" for run in runs if run.log.end != "completed"]
    return (
        replace(verdict, status="UNDECIDED", detail="; ".join(broken), remedy="audit again")
        if broken
        else verdict
    )


def _no_questions(folder: Path, found: str) -> BadInput:
    return BadInput(
        f"--benchmark-detection {folder.name}",
        found,
        "expected a run of a model on a dataset of questions",
    )
