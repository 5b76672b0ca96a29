"""What result.json holds of a task that was solved, and of several attempts at its questions."""

from __future__ import annotations

from harness.schema.of_task.errors import ERRORS
from harness.schema.parts import by_name, choice, many, maybe, number, record, text, whole

_OF_ATTEMPTS = {
    "value": maybe(number("Share of questions solved, or mean score.", "of 1")),
    "low": maybe(number("Lower end of its 95 % interval, over questions.", "of 1")),
    "high": maybe(number("Upper end.", "of 1")),
    "tokens_per_solved": maybe(number("Output tokens for each solved question.", "tokens")),
    "seconds_per_solved": maybe(number("Seconds of the run for each solved question.", "s")),
}
_DRAWS = {
    "attempts": whole("How often each question was asked.", "attempts"),
    "temperature": number("Temperature of the draws."),
    "top_p": number("Share of the probability that was drawn from.", "of 1"),
    "seed": whole("Where the seeds of all answers come from."),
}
DRAWS = record("How answers are drawn; missing for greedy ones.", _DRAWS)
_AT = record(
    "What so many attempts give.",
    {
        "k": whole("Attempts at each question.", "attempts"),
        "tokens": number("Output tokens of a question.", "tokens"),
        "seconds": number("Seconds of the run for a question, at this run's speed.", "s"),
        "pass": record("One of the attempts is right (pass@k).", _OF_ATTEMPTS),
        "majority": record("The most frequent answer is right.", _OF_ATTEMPTS),
        "likelihood": record("The answer that the model finds likeliest is right.", _OF_ATTEMPTS),
        "verifier": record("The answer that --verifier rates highest is right.", _OF_ATTEMPTS),
    },
    optional=("majority", "likelihood", "verifier"),
)
ATTEMPTS = record(
    "How answers were drawn, and what more attempts buy; missing for greedy answers.",
    {
        **_DRAWS,
        "scorer": text("Scorer that tells right from wrong."),
        "questions": whole("Questions with all their answers, which the figures are of."),
        "incomplete": whole("Questions left out, since an answer to them is missing."),
        "average": record("Mean over single attempts (avg@n).", _OF_ATTEMPTS),
        "ties": whole("Questions whose most frequent answer was not the only one."),
        "at": many("From one attempt to all of them.", _AT),
    },
)
_FIGURE = {
    "value": maybe(number("Share of right answers, or mean score, over questions.", "of 1")),
    "low": maybe(number("Lower end of its 95 % interval.", "of 1")),
    "high": maybe(number("Upper end.", "of 1")),
    "n": whole("Questions whose answers were marked.", "questions"),
    "right": whole("Right answers.", "answers"),
    "wrong": whole("Wrong answers.", "answers"),
    "no_answer": whole("Answers in which no final answer was found.", "answers"),
    "error": whole("Programs that broke; missing without one.", "answers"),
    "timeout": whole("Programs that did not end; missing without one.", "answers"),
    "memory": whole("Programs that took too much memory; missing without one.", "answers"),
}
_OF_PROGRAMS = ("error", "timeout", "memory")
_SANDBOX = record(
    "How the programs of the answers were run; missing where none was.",
    {
        "mode": choice("As --run-code asked.", "sandboxed", "unprotected"),
        "protections": many("What was switched on.", text("A protection.")),
        "seconds": number("Most a program may take, and its processor time.", "s"),
        "memory_bytes": whole("Most address space of each process.", "B"),
        "disk_bytes": whole("Most that a program may write.", "B"),
        "processes": whole("Most processes and threads.", "processes"),
        "python": text("Version of Python that ran them."),
    },
)
TASK = record(
    "How well the task of --task was solved; missing without one.",
    {
        "name": text("The task."),
        "shots": whole("Examples before each question.", "examples"),
        "scorer": text("The scorer that decides: the first one that had something to compare."),
        "n": whole("Questions that were answered.", "questions"),
        "scores": by_name(
            "Each scorer's figure by name.",
            record("A figure.", _FIGURE, _OF_PROGRAMS),
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
                _OF_PROGRAMS,
            ),
        ),
        "cut": whole("Answers that the limit on new tokens ended.", "answers"),
        "attempts": ATTEMPTS,
        "errors": ERRORS,
        "sandbox": _SANDBOX,
    },
    optional=("attempts", "errors", "sandbox"),
)
