"""Questions of general knowledge with a short answer, any accepted spelling of which is right.

Joshi et al. 2017, "TriviaQA". Prompt and stops as in lm-eval's triviaqa, which puts a question mark
behind the question's own.
"""

from __future__ import annotations

import re
from typing import Any

from accuracy.datasets.rows import Row
from accuracy.tasks.task import Doc, Task


def _read(row: Row) -> Doc:
    accepted = _accepted(row)
    question = f"Question: {row.text('question')}?\nAnswer:"
    return Doc(question, accepted[0], "\n".join(accepted))


def _accepted(row: Row) -> list[str]:
    """Return the accepted answers, a line each: TriviaQA's record of aliases, a list of texts, or
    one text. Raises BadInput.
    """
    given: Any = row.cells.get("answer")
    if isinstance(given, dict):
        given = given.get("aliases") or [given.get("value")]
    given = given if isinstance(given, list) else [row.text("answer")]
    texts = [re.sub(r"[\r\n]+", " ", one) for one in given if isinstance(one, str)]
    if not texts or len(texts) < len(given) or not all(map(str.strip, texts)):
        raise row.complain("answer", "no text", "an answer, or a list of accepted ones")
    return texts


TRIVIAQA = Task(
    name="triviaqa",
    summary="questions of general knowledge with a short answer",
    read=_read,
    scorers=("plain_match", "alias_match"),
    max_new_tokens=32,
    columns=(("question", "answer"),),
    stop=("\n", ".", ","),
    licence="unknown",
)
