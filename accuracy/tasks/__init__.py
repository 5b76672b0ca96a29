"""Does the model still solve what the reference solves? Tasks, one file each, and this table."""

from accuracy.tasks.gsm8k import GSM8K, WORD_PROBLEMS
from accuracy.tasks.known.humaneval import HUMANEVAL
from accuracy.tasks.known.mbpp import MBPP
from accuracy.tasks.task import Task
from harness.kernel.errors import unknown

TABLE: dict[str, Task] = {task.name: task for task in (GSM8K, WORD_PROBLEMS, HUMANEVAL, MBPP)}


def of_name(text: str) -> Task:
    """Return the task of NAME or NAME:FILE. Raises BadInput."""
    name = text.partition(":")[0]
    if name not in TABLE:
        raise unknown("--task", name, TABLE, "See python -m harness list tasks.")
    return TABLE[name]
