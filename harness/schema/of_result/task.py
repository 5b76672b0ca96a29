"""What result.json holds of a task that was solved."""

from __future__ import annotations

from harness.schema.of_result.attempts import ATTEMPTS
from harness.schema.of_result.errors import ERRORS
from harness.schema.parts import by_name, many, maybe, number, record, text, whole

_FIGURE = {
    "value": maybe(number("Share of right answers, or mean score, over questions.", "of 1")),
    "low": maybe(number("Lower end of its 95 % interval.", "of 1")),
    "high": maybe(number("Upper end.", "of 1")),
    "n": whole("Questions whose answers were marked.", "questions"),
    "right": whole("Right answers.", "answers"),
    "wrong": whole("Wrong answers.", "answers"),
    "no_answer": whole("Answers in which no final answer was found.", "answers"),
}
TASK = record(
    "How well the task of --task was solved; missing without one.",
    {
        "name": text("The task."),
        "shots": whole("Examples before each question.", "examples"),
        "n": whole("Questions that were answered.", "questions"),
        "scores": by_name(
            "Each scorer's figure by name; the first one decides.", record("A figure.", _FIGURE)
        ),
        "groups": many(
            "The first scorer's figure of each group of questions.",
            record(
                "A group.",
                {
                    "column": text("What groups them, such as subject."),
                    "group": text("The group."),
                    **_FIGURE,
                },
            ),
        ),
        "cut": whole("Answers that the limit on new tokens ended.", "answers"),
        "attempts": ATTEMPTS,
        "errors": ERRORS,
    },
    optional=("attempts", "errors"),
)
