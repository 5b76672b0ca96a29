"""What judge.json holds: what models that judge say of finished runs."""

from __future__ import annotations

from harness.schema.parts import (
    by_name,
    choice,
    file,
    flag,
    many,
    maybe,
    number,
    record,
    same_as,
    text,
    whole,
)
from harness.schema.shared import ESTIMATE, FOLDER

_RUN = text("How the run is called.")
_KAPPA = maybe(number("Cohen's kappa; for points of two judges weighted by the square."))
_AGREEMENT = record(
    "How far two raters agree.",
    {
        "n": whole("What both have rated.", "answers or pairs"),
        "same": number("Share on which they say the same.", "of 1"),
        "kappa": _KAPPA,
    },
)
_SCORER = maybe(same_as("agreement", "With the task's own scorer; null without one."))
_PAIRS = record(
    "A judge's preference between the reference and a candidate.",
    {
        "run": _RUN,
        "asked": whole("Questions.", "questions"),
        "judged": whole("Of them, those with a verdict in both orders.", "questions"),
        "equal": whole("Of them, those whose answers are the same: ties.", "questions"),
        "wins": whole("The candidate is better in both orders.", "questions"),
        "losses": whole("The reference is better in both orders.", "questions"),
        "ties": whole("Neither, or the verdict changes with the order.", "questions"),
        "turned": whole("Of them, those whose verdict changes.", "questions"),
        "consistent": same_as("estimate", "Share of those asked that do not change, of 1."),
        "first": same_as("estimate", "Share of verdicts for the answer that came first, of 1."),
        "sided": whole("Verdicts for a side.", "verdicts"),
        "win_rate": same_as("estimate", "Wins and half the ties, of 1."),
        "sign_p": maybe(number("Exact sign test over wins and losses, two-sided.")),
        "status": choice(
            "What may be concluded of the candidate.", "BETTER", "WORSE", "INCONCLUSIVE", "INVALID"
        ),
        "reason": text("Why, in words."),
        "scorer": _SCORER,
    },
)
_SCORES = record(
    "A judge's points for the answers of a run.",
    {
        "run": _RUN,
        "asked": whole("Answers.", "answers"),
        "judged": whole("Of them, those with points.", "answers"),
        "points": same_as("estimate", "Mean, 1 to 10."),
        "difference": same_as("estimate", "Mean of what they have more than the reference's."),
        "scorer": _SCORER,
        "status": choice("Whether enough answers have points.", "JUDGED", "INVALID"),
        "reason": text("Why not, in words; else empty."),
    },
)
_EXAMPLE = record(
    "A reply, as judgements.jsonl has it.",
    {
        "judge": text("Empty here: it stands above."),
        "kind": choice("What was asked.", "pair", "score"),
        "run": _RUN,
        "index": whole("Place of the question in the dataset."),
        "order": choice("Of a pair: AB, the reference is A; BA, it is B.", "AB", "BA", ""),
        "verdict": text("a, b, tie, or 1 to 10; empty where there is none."),
        "problem": text("Why there is none; else empty."),
        "text": text("The reply word for word."),
        "detail": text("What failed; else empty."),
        "tokens_in": maybe(whole("As the server counts.", "tokens")),
        "tokens_out": maybe(whole("As the server counts.", "tokens")),
        "tries": whole("Requests that it took.", "requests"),
    },
)
_JUDGE = record(
    "A judge.",
    {
        "name": text("As it was named with --judge."),
        "model": text("Model that the requests named."),
        "stopped": text("Why it was given up; else empty."),
        "calls": whole("Questions to it that were asked, or were to be.", "questions"),
        "problems": by_name("Questions without a verdict, by why.", whole("Number.", "questions")),
        "tries": whole("Requests that were sent.", "requests"),
        "tokens_in": whole("Of prompts, as the server counts.", "tokens"),
        "tokens_out": whole("Of replies, as the server counts.", "tokens"),
        "uncounted": whole("Questions whose tokens the server did not count.", "questions"),
        "usd": maybe(number("Cost by --judge-price; null without.", "USD")),
        "pairs": many("A row for each candidate, if pairs were judged.", _PAIRS),
        "scores": many("A row for each run, if points were given.", _SCORES),
        "examples": many("Some of its replies.", _EXAMPLE),
    },
)
JUDGE = file(
    "judge.json",
    record(
        "What models that judge say of finished runs.",
        {
            "schema": choice("Version of this layout.", "touchstone.judge/1"),
            "status": choice(
                "Whether every judge could be read.", "JUDGED", "INVALID", "INTERRUPTED"
            ),
            "by": choice("What was asked for.", "pairs", "scores", "both"),
            "questions": whole("Questions that were judged.", "questions"),
            "of": whole("Questions that all runs answered.", "questions"),
            "dataset": text("Its name."),
            "runs": many(
                "The runs, the reference first.",
                record(
                    "A run.",
                    {
                        "label": _RUN,
                        "run": text("Its folder."),
                        "scorer": text("Scorer of its task; empty without one."),
                    },
                ),
            ),
            "judges": many("Each judge.", _JUDGE),
            "between": many(
                "How far judges agree with each other.",
                record(
                    "Two judges.",
                    {
                        "judges": many("Both.", text("Name.")),
                        "kind": choice("Of what.", "pair", "score"),
                        "n": whole("Questions that both have answered.", "questions"),
                        "same": number("Share on which they say the same.", "of 1"),
                        "kappa": _KAPPA,
                    },
                ),
            ),
            "prompts": by_name("The prompts, by kind; {…} is filled in.", text("Word for word.")),
            "concurrency": whole("Requests open at a judge at most.", "requests"),
            "form": choice("Form of the replies (--judge-format).", "text", "choice"),
            "timeout_s": number("Time limit of a request.", "s"),
            "notes": many("What else there is to know.", text("In words.")),
            "interrupted": flag("Whether Ctrl-C ended the judging."),
            "folder": FOLDER,
        },
    ),
    {"estimate": ESTIMATE, "agreement": _AGREEMENT},
)
