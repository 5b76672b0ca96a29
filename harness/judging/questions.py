"""What is a judge asked about finished runs? The same questions for all judges, each a prompt and
what its verdict will be about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from accuracy.gate.outputs import Outputs
from accuracy.judge import prompts
from accuracy.judge.prompts import Form, Kind
from accuracy.tasks import files as task_files
from accuracy.tasks import marks
from harness.kernel.errors import BadInput
from harness.kernel.types import Sample
from harness.result.read import ACCURACY_PART

SEED = 20_261_127  # of which questions are judged, where not all are


class Run(NamedTuple):
    """A finished run: its answers by the index of the question, and which of them its task's own
    scorer found right; nothing where it has no task.
    """

    outputs: Outputs
    texts: Mapping[int, str]
    is_right: Mapping[int, bool]
    scorer: str

    @property
    def label(self) -> str:
        return self.outputs.label


class Call(NamedTuple):
    """One thing to ask: a `kind` of verdict on the answer of run number `run` to `question`.
    Of a pair, `is_turned`: the reference's answer is B.
    """

    kind: Kind
    run: int
    question: int
    is_turned: bool
    prompt: str


class Questions(NamedTuple):
    """The questions that are judged, of `of` that the runs answered; runs[0] is the reference."""

    runs: Sequence[Run]
    samples: Mapping[int, Sample]
    indexes: Sequence[int]
    of: int


def run_of(outputs: Outputs) -> Run:
    """Return a run with what its task's scorer says. Raises BadInput."""
    folder = Path(outputs.run)
    if (outputs.task.get("draws") or {}).get("attempts", 1) > 1:
        fine, todo = "expected one attempt per question", "Judge a run without --attempts."
        raise BadInput(f"judging {folder}", "its questions have several answers each", fine, todo)
    part = folder / ACCURACY_PART
    rows = task_files.read(part if part.is_dir() else folder)
    scorer = str(rows[0]["scorer"]) if rows else ""
    found = marks.marks(rows, scorer)
    is_right = dict(zip(found.questions.tolist(), (found.score > 0.5).tolist(), strict=True))
    texts = dict(zip(outputs.index.tolist(), outputs.texts, strict=True))
    return Run(outputs, texts, is_right if found.is_right_or_wrong else {}, scorer)


def questions(runs: Sequence[Run], limit: int | None) -> Questions:
    """Return which questions are judged: all that every run answered, or `limit` of them by
    chance, the same ones each time. Raises BadInput.
    """
    reference = runs[0].outputs
    if reference.samples is None:
        found = "its dataset has moved or changed"
        raise BadInput(f"judging {reference.run}", found, "a judge needs the questions")
    samples = reference.samples
    known = sorted(set.intersection(set(samples), *(set(run.texts) for run in runs)))
    if not known:
        raise BadInput("judge", "the runs have no question in common")
    chosen = known
    if limit is not None and limit < len(known):
        draw = np.random.default_rng(SEED)
        chosen = sorted(draw.choice(known, limit, replace=False).tolist())
    return Questions(runs, samples, chosen, len(known))


def calls(kinds: Sequence[Kind], form: Form, asked: Questions) -> Iterator[Call]:
    """Yield what each judge is asked. Equal answers are not compared, and a question without a
    reference answer is not scored.
    """
    for index in asked.indexes:
        if "pair" in kinds:
            for run in range(1, len(asked.runs)):
                yield from _pair(asked, form, run, index)
        if "score" in kinds:
            yield from _scores(asked, form, index)


def _pair(asked: Questions, form: Form, run: int, index: int) -> Iterator[Call]:
    ours, theirs = asked.runs[0].texts[index], asked.runs[run].texts[index]
    if ours == theirs:
        return
    sample = asked.samples[index]
    question, known = question_of(sample), sample.reference or ""
    yield Call("pair", run, index, False, prompts.pair(question, ours, theirs, known, form))
    yield Call("pair", run, index, True, prompts.pair(question, theirs, ours, known, form))


def _scores(asked: Questions, form: Form, index: int) -> Iterator[Call]:
    if not has_reference(asked, index):
        return
    sample = asked.samples[index]
    question, known = question_of(sample), sample.reference or ""
    for number, run in enumerate(asked.runs):
        prompt = prompts.single(question, run.texts[index], known, form)
        yield Call("score", number, index, False, prompt)


def has_reference(asked: Questions, index: int) -> bool:
    """Return whether an answer to this question can be given points."""
    return bool((asked.samples[index].reference or "").strip())


def question_of(sample: Sample) -> str:
    """Return the question as the model was asked it, with the turns before it."""
    turns = [f"{role}: {text}" for role, text in sample.history]
    return "\n\n".join([*turns, sample.prompt])
