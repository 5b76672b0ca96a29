"""Is it the task's file, and are examples and questions apart?

Two questions are the same where only case, white space and the writing of characters (full width,
ligatures) differ. Signs count: 5 - 3 is not 5 + 3.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from accuracy.datasets.rows import Row
from accuracy.tasks.task import Doc, Task
from harness.kernel.errors import BadInput


def check_columns(task: Task, row: Row, tasks: Mapping[str, Task]) -> None:
    """Refuse a file without the task's columns. Raises BadInput, which names a task that fits."""
    if _fits(task, row):
        return
    found = "its columns are " + ", ".join(map(str, row.cells))
    needs = " or ".join(", ".join(columns) for columns in task.columns)
    near = [other.name for other in tasks.values() if other.columns and _fits(other, row)]
    todo = f"Is it {near[0]}? Pass --task {near[0]}:FILE." if near else "Check the file."
    raise BadInput(f"task {task.name}, {row.file}, {row.where}", found, f"needed: {needs}", todo)


def with_hint(error: BadInput, task: Task, row: Row, tasks: Mapping[str, Task]) -> BadInput:
    """Return what is wrong with a first row; where the file has all columns of a task that has more
    of them, with that task's name.
    """
    known = {name for columns in task.columns for name in columns}
    near = [
        other.name
        for other in tasks.values()
        if any(known < set(columns) and _has(columns, row) for columns in other.columns)
    ]
    if not near:
        return error
    doing, found, fine, _ = error.facts
    return BadInput(doing, found, fine, f"Is it {near[0]}? Pass --task {near[0]}:FILE.")


def _fits(task: Task, row: Row) -> bool:
    return any(_has(columns, row) for columns in task.columns or ((),))


def _has(columns: Sequence[str], row: Row) -> bool:
    return all(name in row.cells for name in columns)


def check_apart(task: Task, docs: Sequence[Doc], examples: Sequence[Doc], origin: str) -> None:
    """Refuse examples that are questions of the test; of one subject, where examples are only shown
    before questions of theirs. Raises BadInput naming the first.
    """
    asked = {_key(task, doc): i for i, doc in reversed(list(enumerate(docs)))}
    keys = [_key(task, example) for example in examples]
    both = [(i, asked[key]) for i, key in enumerate(keys) if key in asked]
    if not both:
        return
    example, question = both[0]
    more = f" (and {len(both) - 1} more are in both)" if len(both) > 1 else ""
    found = f"example {example + 1} of {origin} is question {question + 1} of the test{more}"
    fine = "an example that is asked as well gives its answer away"
    raise BadInput(f"task {task.name}", found, fine, "Take the examples from another part.")


def repeated(docs: Iterable[Doc]) -> int:
    """Return how many questions stand in a file a second time, or a third."""
    keys = [(doc.subject, plain(doc.question), doc.choices) for doc in docs]
    return len(keys) - len(set(keys))


def notes(source: Mapping[str, Any]) -> list[str]:
    """Say of the facts on a source which questions are counted more than once."""
    count = (source.get("task") or {}).get("repeated", 0)
    if not count:
        return []
    words = "1 question is" if count == 1 else f"{count:,} questions are"
    return [f"task: {words} in the file a second time and counted again"]


def plain(question: str) -> str:
    """Return a question without what does not make it another one."""
    return " ".join(unicodedata.normalize("NFKC", question).casefold().split())


def _key(task: Task, doc: Doc) -> tuple[str, str]:
    return doc.subject if task.is_shot_by_subject else "", plain(doc.question)
