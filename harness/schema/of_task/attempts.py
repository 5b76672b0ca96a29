"""What result.json holds of several attempts at each question of a task."""

from __future__ import annotations

from harness.schema.parts import many, maybe, number, record, text, whole

_FIGURE = {
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
        "pass": record("One of the attempts is right (pass@k).", _FIGURE),
        "majority": record("The most frequent answer is right.", _FIGURE),
        "likelihood": record("The answer that the model finds likeliest is right.", _FIGURE),
        "verifier": record("The answer that --verifier rates highest is right.", _FIGURE),
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
        "average": record("Mean over single attempts (avg@n).", _FIGURE),
        "ties": whole("Questions whose most frequent answer was not the only one."),
        "at": many("From one attempt to all of them.", _AT),
    },
)
