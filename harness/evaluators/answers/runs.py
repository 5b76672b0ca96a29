"""Which answers are scored? Those of finished accuracy runs that were asked the same questions, to
the questions that have a reference answer. Of several attempts the first counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from accuracy.gate.outputs import Outputs
from accuracy.metrics.references import text_references
from harness.evaluators.tool import Answers
from harness.kernel.errors import BadInput
from harness.kernel.types import Sample
from harness.study.comparison.compare import labels
from harness.study.gating.outputs import read

# What makes the questions what they are: answers to others do not stand side by side.
QUESTIONS = ("data", "prompt column", "reference column", "samples", "samples drawn", "task")


def answers_of(folders: Sequence[Path]) -> list[Answers]:
    """Return the answers of these runs, with labels that tell them apart. Raises BadInput."""
    outputs = [read(folder) for folder in folders]
    for one in outputs:
        if one.problem:
            raise BadInput(f"scoring {one.run}", one.problem, "expected a whole run")
    for other in outputs[1:]:
        _check_same(outputs[0], other)
    names = labels([(one.model, one.variant) for one in outputs])
    return [_answers(one, name) for one, name in zip(outputs, names, strict=True)]


def _check_same(first: Outputs, other: Outputs) -> None:
    ours, theirs = _terms(first), _terms(other)
    for name in QUESTIONS:
        if ours.get(name) != theirs.get(name):
            found = f"its {name}: {theirs.get(name)}, that of {first.run}: {ours.get(name)}"
            fine = "expected runs that were asked the same questions"
            raise BadInput(f"scoring {other.run}", found, fine, "Score them one by one.")


def _answers(outputs: Outputs, label: str) -> Answers:
    """Return the answers of a run that can be scored. Raises BadInput if there are none."""
    if outputs.samples is None:
        found = "its dataset has moved or changed"
        todo = "Put it back, or run again."
        raise BadInput(f"scoring {outputs.run}", found, "references are read from it", todo)
    attempts = _attempts(outputs)
    known = _references(outputs.samples, bool(outputs.task))
    firsts = [
        (index, text)
        for index, text in zip(outputs.index.tolist(), outputs.texts, strict=True)
        if not index % attempts
    ]
    scored = [(index, text) for index, text in firsts if known.get(index, "").strip()]
    if not scored:
        found = "its dataset has no reference answers"
        todo = "" if outputs.task else "Pass --reference-column when running."
        raise BadInput(f"scoring {outputs.run}", found, "answers are scored beside them", todo)
    indexes = [index for index, _ in scored]
    return Answers(
        label=label,
        model=f"{outputs.model} {outputs.variant}".strip(),
        run=outputs.run,
        questions=[index // attempts for index in indexes],
        prompts=[outputs.samples[index].prompt for index in indexes],
        texts=[text for _, text in scored],
        references=[known[index] for index in indexes],
        unreferenced=len(firsts) - len(scored),
        terms=_terms(outputs),
    )


def _references(samples: Mapping[int, Sample], is_task: bool) -> dict[int, str]:
    """Return sample index -> its reference; of a task that is the answer which it expects."""
    if not is_task:
        return text_references(list(samples.values()))
    return {index: sample.reference or "" for index, sample in samples.items()}


def _attempts(outputs: Outputs) -> int:
    return int((outputs.task.get("draws") or {}).get("attempts") or 1)


def _terms(outputs: Outputs) -> dict[str, str]:
    """Return what a run was asked; its samples are questions here, however often each was asked."""
    return outputs.asked | {"samples": str(int(outputs.terms["samples"]) // _attempts(outputs))}
