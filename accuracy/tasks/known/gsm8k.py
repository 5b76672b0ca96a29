"""Grade-school arithmetic in words: a solution in steps whose last line is `#### 18`.

Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems". Prompts and stops as in
lm-eval's gsm8k; `gsm8k-cot` asks as its gsm8k_cot (Wei et al. 2022): examples reason in plain
sentences and end in "The answer is 18.".
"""

from __future__ import annotations

import re

from accuracy.datasets.rows import Row
from accuracy.metrics.references import hashed
from accuracy.tasks.task import Doc, Task

_CALCULATION = re.compile(r"<<[^<>]*>>")  # <<2*3=6>>, which the file's authors put into each step

_STATED = re.compile(r"The answer is \$?(-?[0-9.,]*[0-9])")


def _read(row: Row) -> Doc:
    answer = _marked(row)
    return Doc(f"Question: {row.text('question')}\nAnswer:", answer, answer, labels=_kind(row))


def _read_cot(row: Row) -> Doc:
    """Read a question, or an example that has its chain of thought as `target`."""
    question = f"Q: {row.text('question')}\nA:"
    if "target" not in row.cells:
        answer = _marked(row)
        return Doc(question, _chain(answer), answer, labels=_kind(row))
    target = row.text("target")
    if not (stated := _STATED.findall(target)):
        raise row.complain("target", "no 'The answer is n.'", "sentences that end in it")
    return Doc(question, target, f"{target}\n#### {stated[-1]}", labels=_kind(row))


def _marked(row: Row) -> str:
    answer = row.text("answer")
    if not hashed(answer):
        raise row.complain("answer", "no '#### n' at its end", "a solution with its number last")
    return answer


def _kind(row: Row) -> tuple[tuple[str, str], ...]:
    return (("kind", row.label("kind")),) if "kind" in row.cells else ()


def _chain(answer: str) -> str:
    """Return a solution as sentences: no calculations in brackets, its number as the last one."""
    steps, _, number = answer.rpartition("####")
    sentences = " ".join(_CALCULATION.sub("", steps).split())
    return f"{sentences} The answer is {number.strip()}.".lstrip()


GSM8K = Task(
    name="gsm8k",
    summary="grade-school arithmetic, solved in steps",
    read=_read,
    scorers=("number", "number_strict", "strict_match", "flexible_extract"),
    max_new_tokens=256,
    columns=(("question", "answer"),),
    stop=("Question:", "</s>", "<|im_end|>"),
    licence="MIT",
)

GSM8K_COT = GSM8K._replace(
    name="gsm8k-cot",
    summary="the same with 8 examples that reason in sentences, from --shots-file",
    read=_read_cot,
    scorers=("number", "strict_match_cot", "flexible_extract"),
    columns=(("question", "answer"), ("question", "target")),
    stop=("Q:", "</s>", "<|im_end|>"),
    shots=8,
    takes_first=True,
)

WORD_PROBLEMS = GSM8K._replace(
    name="word-problems",
    summary="60 problems of grade-school arithmetic in six kinds, Apache-2.0",
    takes_first=True,
    file="word_problems.jsonl",
    shots_file="word_problems_shots.jsonl",
    licence="Apache-2.0",
)
