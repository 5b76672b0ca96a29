"""Short Python programs from one sentence and three assertions, right if these pass: MBPP.

Austin et al. 2021, "Program Synthesis with Large Language Models"; the prompt is the paper's, as in
lm-eval's mbpp. Columns `text`, `code`, `test_list`, and `test_setup_code` where it is there.
"""

from __future__ import annotations

from accuracy.datasets.rows import Row
from accuracy.tasks.task import Doc, Task

_MOST_TESTS = 1000


def _read(row: Row) -> Doc:
    text, code = row.text("text"), row.text("code")
    tests = row.texts("test_list", 1, _MOST_TESTS)
    shown = "\n".join(tests[:3])
    question = (
        f"You are an expert Python programmer, and here is your task: {text} Your code should pass"
        f" these tests:\n\n{shown}\n[BEGIN]\n"
    )
    setup = row.text_if_any("test_setup_code") or ""
    facts = (("before", ""), ("test", "\n".join((setup, *tests)) + "\n"))
    return Doc(question, f"{code}\n[DONE]", code, facts=facts)


MBPP = Task(
    name="mbpp",
    summary="short Python programs, right if their assertions pass (--run-code)",
    read=_read,
    scorers=("runs",),
    max_new_tokens=256,
    stop=("[DONE]",),
    gap="",
    licence="CC-BY-4.0",
)
