"""Does the model still solve what the reference solves? Tasks, one file each, and this table."""

from accuracy.tasks.known.arc import ARC
from accuracy.tasks.known.gsm8k import GSM8K, GSM8K_COT, WORD_PROBLEMS
from accuracy.tasks.known.hellaswag import HELLASWAG
from accuracy.tasks.known.humaneval import HUMANEVAL
from accuracy.tasks.known.math500 import BOXED, MATH500
from accuracy.tasks.known.mbpp import MBPP
from accuracy.tasks.known.mmlu import MMLU, SUBJECTS
from accuracy.tasks.known.triviaqa import TRIVIAQA
from accuracy.tasks.task import Task
from harness.kernel.errors import unknown

TABLE: dict[str, Task] = {
    task.name: task
    for task in (
        GSM8K,
        GSM8K_COT,
        MATH500,
        MMLU,
        ARC,
        HELLASWAG,
        TRIVIAQA,
        HUMANEVAL,
        MBPP,
        WORD_PROBLEMS,
        SUBJECTS,
        BOXED,
    )
}


def of_name(text: str) -> Task:
    """Return the task of NAME or NAME:FILE. Raises BadInput."""
    name = text.partition(":")[0]
    if name not in TABLE:
        raise unknown("--task", name, TABLE, "See python -m harness list tasks.")
    return TABLE[name]
