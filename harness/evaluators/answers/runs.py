"""Which answers are scored? Those of finished accuracy runs that were asked the same questions, to
the questions that have a reference answer. Of several attempts the first counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accuracy.gate.outputs import Outputs
from accuracy.metrics.references import text_references
from harness.evaluators.tool import Answers
from harness.kernel.errors import BadInput
from harness.study.comparison.compare import labels
from harness.study.gating.outputs import read

# What makes the questions what they are: answers to others do not stand side by side.
QUESTIONS = ("data", "prompt column", "reference column", "samples", "samples drawn", "task")
# What else may move an answer, whatever the model.
ASKED = (*QUESTIONS, "new tokens", "truncate", "shots", "shots from", "chat", "draws")


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
    ours, theirs = first.terms, other.terms
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
    attempts = int((outputs.task.get("draws") or {}).get("attempts") or 1)
    known = text_references(list(outputs.samples.values()))
    firsts = [
        (index, text)
        for index, text in zip(outputs.index.tolist(), outputs.texts, strict=True)
        if not index % attempts
    ]
    scored = [(index, text) for index, text in firsts if known.get(index, "").strip()]
    if not scored:
        found = "its dataset has no reference answers"
        todo = "Pass --reference-column when running."
        raise BadInput(f"scoring {outputs.run}", found, "answers are scored beside them", todo)
    indexes = [index for index, _ in scored]
    return Answers(
        label=label,
        model=f"{outputs.model} {outputs.variant}".strip(),
        run=outputs.run,
        questions=indexes,
        prompts=[outputs.samples[index].prompt for index in indexes],
        texts=[text for _, text in scored],
        references=[known[index] for index in indexes],
        unreferenced=len(firsts) - len(scored),
        terms={name: outputs.terms[name] for name in ASKED if name in outputs.terms},
    )
