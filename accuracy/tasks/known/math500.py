r"""Competition mathematics: a solution that ends in \boxed{...}.

Hendrycks et al. 2021, "Measuring Mathematical Problem Solving With the MATH Dataset"; MATH-500 is
the part of Lightman et al. 2023, "Let's Verify Step by Step". Prompt and stop as in lm-eval's
minerva_math500, without its four examples: those of --shots-file are used.
"""

from __future__ import annotations

import re

from accuracy.datasets.rows import Row
from accuracy.metrics.references import boxed
from accuracy.tasks.task import Doc, Task

_BARE = re.compile(r"\\boxed\s+([^\s${}]+)")  # as some solutions of MATH have it: $\boxed 2$
_GROUPS = ("subject", "type", "level")  # MATH calls the subject its type


def _read(row: Row) -> Doc:
    solution = _solution(row)
    labels = tuple((name, row.label(name)) for name in _GROUPS if row.cells.get(name) is not None)
    question = f"Problem:\n{row.text('problem')}\n\nSolution:"
    return Doc(question, solution, solution, labels=labels)


def _solution(row: Row) -> str:
    """Return the solution with its boxed answer, which may stand in a column of its own."""
    solution = row.text("solution")
    if (boxed(solution) or "").strip():
        return solution
    bare = _BARE.findall(solution)
    answer = row.text("answer") if "answer" in row.cells else "".join(bare[-1:])
    if not answer:
        raise row.complain("solution", "no \\boxed{...}", "a solution with its answer boxed")
    return f"{solution}\n\\boxed{{{answer}}}"


MATH500 = Task(
    name="math500",
    summary="competition mathematics, solved in steps up to a boxed answer",
    read=_read,
    scorers=("boxed", "boxed_strict", "math_verify"),
    max_new_tokens=512,
    columns=(("problem", "solution"),),
    stop=("Problem:",),
    takes_first=True,
    licence="MIT",
)

BOXED = MATH500._replace(
    name="boxed",
    summary="40 problems in LaTeX on four subjects with boxed answers, Apache-2.0",
    file="boxed.jsonl",
    shots_file="boxed_shots.jsonl",
    licence="Apache-2.0",
)
