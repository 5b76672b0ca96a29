"""What result.json and gate.json hold of what went wrong on a task."""

from __future__ import annotations

from harness.schema.parts import flag, many, maybe, number, record, text, whole

_SHARE = {
    "share": maybe(number("Their share of the wrong answers.", "of 1")),
    "low": maybe(number("Lower end of its 95 % interval.", "of 1")),
    "high": maybe(number("Upper end.", "of 1")),
}
_KINDS = many(
    "Why answers are wrong, each for one reason; reasons that none has are missing.",
    record(
        "A kind of error.", {"kind": text("Its name."), "n": whole("Answers.", "answers")} | _SHARE
    ),
)
_FORM = record(
    "Faults of form of all answers, right ones too.",
    {
        "empty": whole("Answers without text.", "answers"),
        "unmarked": whole("Without a final answer in the form that is asked for.", "answers"),
        "unmarked_right": whole("Of these, those that are right all the same.", "answers"),
        "cut": whole("Ended by the limit before the task's stop.", "answers"),
        "cut_with_answer": whole("Of these, those with a final answer.", "answers"),
        "loops": whole("That end in a loop.", "answers"),
        "went_on": whole("That went on beyond the task's stop.", "answers"),
    },
)
_STEPS = maybe(
    record(
        "What the equations that answers write are worth; null where there are none.",
        {
            "answers": whole("Answers with an equation.", "answers"),
            "equations": whole("Equations.", "equations"),
            "wrong_equations": whole("Equations that do not hold.", "equations"),
            "right_despite_slip": whole("Right answers with one of these.", "answers"),
            "wrong_methods": whole(
                "Wrong answers with a wrong method, with a slip or without.", "answers"
            ),
            "with_reference": whole(
                "Of these, those whose question has a solution with intermediate results.",
                "answers",
            ),
            "reached_reference_step": whole("Of these, those that reach one of them.", "answers"),
        },
    )
)
_RUN = {
    "n": whole("Answers.", "answers"),
    "wrong": whole("Wrong answers.", "answers"),
    "kinds": _KINDS,
    "form": _FORM,
    "steps": _STEPS,
}
_NAMED = {
    "column": text("What groups the questions, such as subject."),
    "group": text("The group."),
    "n": whole("Its questions.", "questions"),
}
_TESTED = {
    "p": maybe(number("Chance that a random group stands out as far; one-sided.", "0 to 1")),
    "p_corrected": maybe(number("The same, for the number of groups (Holm).", "0 to 1")),
    "is_worse": flag("Whether it is worse than the others beyond chance, at 5 %."),
}
_PLACES = maybe(
    record(
        "Which of the choices were taken; null where there are none.",
        {
            "n": whole("Questions.", "questions"),
            "places": many(
                "The choices in order.",
                record(
                    "A choice.",
                    {
                        "place": text("Its letter."),
                        "right": whole("Questions of which it is right.", "questions"),
                        "chosen": whole("Questions for which it was taken.", "questions"),
                        "wrong": whole("The same where that was wrong.", "questions"),
                        "expected": number(
                            "As many without a bias: wrong choices taken equally often.",
                            "questions",
                        ),
                    },
                ),
            ),
            "chi_square": maybe(number("How far `wrong` is from `expected`.")),
            "p": maybe(number("Chance of at least that without a bias.", "0 to 1")),
        },
    )
)
_QUARTILES = maybe(many("First quartile, median, third; null: none.", number("A margin.")))
_EXAMPLES = many(
    "Answers to look at.",
    record(
        "A question with one answer, or the reference's and the candidate's.",
        {
            "index": whole("Its index."),
            "question": text("What is asked, shortened."),
            "labels": many("The groups that it is in.", text("A group.")),
            "expected": text("The right answer."),
            "was": text("What became of it: lost or gained."),
            "parts_at": whole("The word at which the answers part, from 0.", "words"),
            "answers": many(
                "The answers.",
                record(
                    "An answer.",
                    {
                        "kind": text("Why it is wrong; right."),
                        "says": text(
                            "The first equation that does not hold, and what it should be."
                        ),
                        "answer": text("The final answer that was read."),
                        "margin": maybe(number("Its margin; null where it is not known.")),
                        "text": many(
                            "The answer in pieces: [text, whether it differs].",
                            many("A piece.", {"type": ["string", "boolean"]}),
                        ),
                    },
                ),
            ),
        },
        optional=("was", "parts_at"),
    ),
)
_SUBJECT = {"task": text("The task."), "scorer": text("The scorer that decides.")}
_UNIT = {"margin_unit": text("Unit of the margins: nats, or nats per byte.")}

ERRORS = record(
    "What went wrong: kinds of errors, groups, choices, examples.",
    {
        **_SUBJECT,
        "label": text("Whose answers these are."),
        **_RUN,
        "groups": many(
            "Each group of questions.",
            record(
                "A group.",
                {**_NAMED, "wrong": whole("Wrong answers.", "questions"), **_SHARE, **_TESTED},
            ),
        ),
        "places": _PLACES,
        "margins": maybe(
            record(
                "How large the margins of choices are; null where they are not known.",
                {"right": _QUARTILES, "wrong": _QUARTILES},
            )
        ),
        **_UNIT,
        "examples": _EXAMPLES,
    },
)
ANALYSIS = record(
    "What a candidate lost and gained against the reference.",
    {
        **_SUBJECT,
        "n": whole("Questions that both answered.", "questions"),
        "left_out": whole("Answers to questions that only one of them answered.", "answers"),
        "lost": whole("Right by the reference, wrong by the candidate.", "questions"),
        "gained": whole("The other way round.", "questions"),
        "lost_kinds": _KINDS,
        "reference": record("The reference.", {"label": text("Its name."), **_RUN}),
        "candidate": record("The candidate.", {"label": text("Its name."), **_RUN}),
        "groups": many(
            "Each group of questions.",
            record(
                "A group.",
                {
                    **_NAMED,
                    "lost": whole("Questions lost.", "questions"),
                    "gained": whole("Questions gained.", "questions"),
                    "net": maybe(number("Lost less gained, of its questions.", "of 1")),
                    "low": maybe(number("Lower end of its 95 % interval.", "of 1")),
                    "high": maybe(number("Upper end.", "of 1")),
                    **_TESTED,
                },
            ),
        ),
        "places": record("Which choices were taken.", {"reference": _PLACES, "candidate": _PLACES}),
        "flips": maybe(
            record(
                "Flips by margin; null where margins are not known.",
                {
                    "noise": number("How far a margin usually moves between the two."),
                    "shift": number("Median change of the margins."),
                    "bins": many(
                        "By the size of the reference's margin.",
                        record(
                            "From `low` up to `high`.",
                            {
                                "low": number("Lower end."),
                                "high": maybe(number("Upper end; null: none.")),
                                "n": whole("Questions.", "questions"),
                                "lost": whole("Lost.", "questions"),
                                "gained": whole("Gained.", "questions"),
                            },
                        ),
                    ),
                    "flips": whole("Answers that flipped.", "questions"),
                    "coin_tosses": whole(
                        "Of these, those whose margin was below the noise.", "questions"
                    ),
                },
            )
        ),
        **_UNIT,
        "examples": _EXAMPLES,
    },
)
