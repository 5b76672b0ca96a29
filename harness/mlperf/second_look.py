"""Cheats that only another run tells: answers that are kept, questions that are recognised. Which
runs does a look need, and what do they tell?

The runs have the settings of the run that is looked at, its rate above all, and each is held
against its speed: who behaves only where it is watched is slower there.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from accuracy.compliance.audited import Audited
from accuracy.compliance.caching import repeated_run_no_faster, repeats_no_faster
from accuracy.compliance.detection import detection
from accuracy.compliance.paraphrase import fresh
from accuracy.compliance.speed import same_speed
from harness.kernel import files
from harness.kernel.errors import BadInput
from harness.kernel.types import Sample, Verdict
from harness.mlperf.audit import audited
from harness.options.settings import RunConfig
from harness.result.library import samples_of
from harness.result.read import Raw
from harness.study.study import Cell

_QUESTIONS = 128  # drawn at random as often, about 80 come a first time and 48 again
_WHOLE = 512  # offline, a run of up to so many samples is made as large again
MORE = "more"  # the folder in a run's own: a SUT that reads names should not learn of an audit
_PAIRS = 64
_TIMES = 4  # offline


class Look(NamedTuple):
    """Runs to be made, and how they are judged, in this order."""

    cells: list[Cell]
    judge: Callable[..., Iterable[Verdict]]

    def verdicts(self, runs: Sequence[Audited]) -> list[Verdict]:
        """Judge the runs; those that ended early prove nothing."""
        found = list(self.judge(*runs))
        early = [run for run in runs if run.log.end != "completed"]
        if not early:
            return found
        why = "; ".join(f"{run.run_id}: {run.log.end_reason}" for run in early)
        return [
            replace(verdict, status="UNDECIDED", detail=why, remedy="audit again")
            for verdict in found
        ]


def caching(folder: Path, raw: Raw) -> Look:
    """Look at repeated against distinct prompts at the same load."""
    n = min(_QUESTIONS, raw.settings.num_samples)
    if not raw.config.pattern.is_at_once:
        queries = max(n // raw.settings.samples_per_query, 1)
        mixed = {"performance_samples": n, "min_queries": queries, "issue": "random"}
        cell = _cell(raw, "questions again and for the first time", **mixed)
        return Look([cell], partial(_repeats, audited(folder)))
    if n < len(raw.log) <= min(_WHOLE, raw.settings.num_samples):
        n = len(raw.log)
    few = max(n // _TIMES, 1)
    once = {"performance_samples": n, "min_queries": n, "issue": "unique"}
    often = {"performance_samples": few, "min_queries": few * _TIMES, "issue": "equal"}
    cells = [_cell(raw, "each question once", **once), _cell(raw, "few questions often", **often)]
    return Look(cells, partial(_repeated_run, audited(folder)))


def _repeats(run: Audited, again: Audited) -> list[Verdict]:
    return [*repeats_no_faster(again, "CACHING "), *same_speed(run, again, "caching")]


def _repeated_run(run: Audited, distinct: Audited, repeated: Audited) -> list[Verdict]:
    found = repeated_run_no_faster(distinct, repeated)
    return [found, *same_speed(run, distinct, "caching")]


def speed(folder: Path, raw: Raw) -> Look:
    """Look at the same load again: is the run as fast when an audit makes it?"""
    cell = Cell("the same load", _config(raw, {}))
    return Look([cell], lambda again: same_speed(audited(folder), again, "same_load"))


def benchmark_detection(folder: Path, raw: Raw) -> Look:
    """Look at known prompts against fresh ones of the same length, in one run. Raises BadInput
    where there are none.
    """
    if not raw.entry.uses_dataset:
        raise _no_questions(folder, f"--sut {raw.config.sut} is asked no questions")
    samples = samples_of(raw)
    if samples is None:
        raise _no_questions(folder, "its dataset has moved or changed")
    pairs = _pairs(samples, Random(zlib.crc32(raw.facts.run_id.encode())))
    if not pairs:
        found = "none of its questions can be put in other words of the same length"
        raise _no_questions(folder, found)
    n = 2 * len(pairs)
    changes = {"dataset": str(_written(folder, pairs)), "prompt_column": None, "num_samples": n}
    changes |= {"reference_column": None, "min_queries": n, "issue": "unique"}
    cell = _cell(raw, "known and fresh questions", **changes)
    asked = [(known, known + 1) for known in range(0, n, 2)]
    return Look([cell], partial(_recognised, audited(folder), asked))


def _recognised(run: Audited, asked: Sequence[tuple[int, int]], again: Audited) -> list[Verdict]:
    return [*detection(again, asked), *same_speed(run, again, "benchmark_detection")]


def _written(folder: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    """Write the prompts of a look where the run of it finds them."""
    file = files.subfolder(folder, MORE) / "questions.jsonl"
    rows = [json.dumps({"prompt": prompt}) + "\n" for pair in pairs for prompt in pair]
    files.write_text(file, "".join(rows))
    return file.resolve()


def _pairs(samples: Sequence[Sample], rng: Random) -> list[tuple[str, str]]:
    """Return (known, fresh): as many as are needed, from all over the dataset."""
    order = rng.sample(range(len(samples)), len(samples))
    known = (samples[i].prompt for i in order)
    pairs = [(prompt, other) for prompt in known if (other := fresh(prompt, rng)) is not None]
    return pairs[:_PAIRS]


def _cell(raw: Raw, name: str, **changes: Any) -> Cell:
    """Return a run as `raw` was, but for `changes`, and as long as they say."""
    length = {"min_duration": 0.0, "max_duration": None, "max_queries": None}
    config = _config(raw, length | {"performance_samples": None} | changes)
    loaded = changes.get("performance_samples", config.num_samples)
    return Cell(name, config.model_copy(update={"performance_samples": loaded}))


def _config(raw: Raw, changes: Mapping[str, Any]) -> RunConfig:
    own = {
        "mode": "performance", "target_qps": raw.settings.target_qps, "accuracy_samples": None,
        "accuracy_log_target": 0, "same_index": 0, "accuracy_log_probability": 0.0,
        "evaluate": False, "driver": "touchstone", "origins": {}, "conf_files": (),
    }  # fmt: skip
    return RunConfig.model_validate(raw.config.model_dump() | own | dict(changes))


def _no_questions(folder: Path, found: str) -> BadInput:
    fine = "expected a run of a model on a dataset of questions"
    return BadInput(f"--benchmark-detection {folder.name}", found, fine)
