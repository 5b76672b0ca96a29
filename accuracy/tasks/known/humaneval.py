"""Python functions from their head and description, right if their tests pass: HumanEval.

Chen et al. 2021, "Evaluating Large Language Models Trained on Code". The prompt is continued as
plain text; stops as in the paper and in lm-eval's humaneval.
"""

from __future__ import annotations

from accuracy.datasets.rows import Row
from accuracy.tasks.task import Doc, Task


def _read(row: Row) -> Doc:
    prompt, solution = row.text("prompt"), row.text("canonical_solution")
    name = row.text("entry_point")
    if not name.isidentifier():
        raise row.complain("entry_point", repr(name)[:40], "the name of a function")
    test = row.text("test")
    if "def check(" not in test:
        raise row.complain("test", "no function 'check'", "a test as it is published")
    facts = (("before", prompt), ("test", f"{test}\ncheck({name})\n"))
    return Doc(prompt, solution, solution, facts=facts)


HUMANEVAL = Task(
    name="humaneval",
    summary="Python functions, right if their tests pass (--run-code)",
    read=_read,
    scorers=("runs",),
    max_new_tokens=1024,
    columns=(("prompt", "canonical_solution", "test", "entry_point"),),
    stop=("\nclass", "\ndef", "\n#", "\nif", "\nprint"),
    gap="",
    licence="MIT",
)
