"""Grade-school arithmetic in words: a solution in steps whose last line is `#### 18`.

Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems". Prompt and stops as in
lm-eval's gsm8k.
"""

from __future__ import annotations

from accuracy.datasets.rows import Row
from accuracy.tasks.task import Doc, Task


def _read(row: Row) -> Doc:
    question, answer = row.text("question"), row.text("answer")
    if "####" not in answer or not answer.rpartition("####")[2].strip():
        raise row.complain("answer", "no '#### n' at its end", "a solution with its number last")
    labels = tuple((name, row.label(name)) for name in ("kind",) if name in row.cells)
    return Doc(f"Question: {question}\nAnswer:", answer, answer, labels=labels)


GSM8K = Task(
    name="gsm8k",
    summary="grade-school arithmetic, solved in steps",
    read=_read,
    scorers=("number", "number_strict"),
    max_new_tokens=256,
    stop=("Question:", "</s>", "<|im_end|>"),
    licence="MIT",
)

WORD_PROBLEMS = GSM8K._replace(
    name="word-problems",
    summary="60 problems of grade-school arithmetic in six kinds, Apache-2.0",
    file="word_problems.jsonl",
    shots_file="word_problems_shots.jsonl",
    licence="Apache-2.0",
)
