"""Short Python programs from one sentence and three assertions, right if these pass: MBPP.

Austin et al. 2021, "Program Synthesis with Large Language Models"; the prompt is the paper's, as in
lm-eval's mbpp. The authors' sanitized part calls the sentence `prompt`, and what its tests need is
in `test_imports`; in the whole set it is `text`, and `test_setup_code`.
"""

from __future__ import annotations

from accuracy.datasets.rows import Row
from accuracy.tasks.task import Doc, Task

_MOST_TESTS = 1000


def _read(row: Row) -> Doc:
    text, code = row.text("text" if "text" in row.cells else "prompt"), row.text("code")
    tests = row.texts("test_list", 1, _MOST_TESTS)
    shown = "\n".join(tests[:3])
    question = (
        f"You are an expert Python programmer, and here is your task: {text} Your code should pass"
        f" these tests:\n\n{shown}\n[BEGIN]\n"
    )
    facts = (("before", ""), ("test", "\n".join((*_setup(row), *tests)) + "\n"))
    return Doc(question, f"{code}\n[DONE]", code, facts=facts)


def _setup(row: Row) -> list[str]:
    """Return the lines that stand before the tests."""
    if row.cells.get("test_imports") is not None:
        return row.texts("test_imports", 0, _MOST_TESTS)
    return [row.text_if_any("test_setup_code") or ""]


MBPP = Task(
    name="mbpp",
    summary="short Python programs, right if their assertions pass (--run-code)",
    read=_read,
    scorers=("runs",),
    max_new_tokens=256,
    columns=(("text", "code", "test_list"), ("prompt", "code", "test_list")),
    stop=("[DONE]",),
    gap="",
    licence="CC-BY-4.0",
)
