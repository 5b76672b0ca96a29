"""What gate.json holds: does each candidate keep enough of the reference's quality?"""

from __future__ import annotations

from harness.schema.of_task.errors import ANALYSIS
from harness.schema.parts import (
    Schema,
    anything,
    by_name,
    choice,
    empty_or,
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
from harness.schema.shared import ENDED, LABEL, RUN

_WORDS = ("PASS", "FAIL", "UNDECIDED")
CALL = record(
    "A verdict at one target.",
    {
        "status": choice("By the whole interval.", *_WORDS),
        "official": choice("By the figure alone, as MLPerf judges.", *_WORDS),
        "needed": maybe(whole("Samples that would decide it; null if none would.", "samples")),
    },
)
_RATIO_FIELDS: dict[str, Schema] = {
    "name": text(
        "What is compared: a kind of ROUGE (`rouge`: the mean of -1, -2 and -L), tokens or "
        "characters."
    ),
    "candidate": maybe(number("The candidate's figure; null if it is not a number.")),
    "reference": maybe(number("The reference's figure; null if it is not a number.")),
    "value": maybe(
        number(
            "Candidate over reference; null if the reference has 0, one is null, or half of the "
            "texts or more cannot be read.",
            "share",
        )
    ),
    "low": maybe(number("Lower end of its interval.", "share")),
    "high": maybe(number("Upper end of its interval.", "share")),
    "n": whole("Samples behind it.", "samples"),
}
READING = record(
    "One way to read a candidate: against the dataset's answers, the reference's own texts, or "
    "MLPerf's published figures.",
    {
        "n": whole("Samples that were scored.", "samples"),
        "unread": whole(
            "Of them, those scored against a text that the metric cannot read; read against the "
            "reference's own texts, only of those that changed.", "samples",
        ),
        "unread_changed": whole(
            "Of those, the ones whose output is not the reference's own: they may be lost or kept, "
            "and a verdict must hold both ways.", "samples",
        ),
        "ratios": many("The ratios.", record("A ratio with its interval.", {
            **_RATIO_FIELDS, "calls": by_name(
                "Verdict by target; none where the ratio is only shown.",
                same_as("call", "A verdict."),
            ),
            "not_judged": text("Why the figure is not defined for the data; else empty."),
        })),
        "verdicts": by_name("Verdict over all ratios by target.", same_as("call", "A verdict.")),
    },
)  # fmt: skip
_OF_WAY = record(
    "The share of questions that is solved if the best of all attempts counts (`pass`), or the "
    "most frequent answer (`majority`).",
    {
        "value": maybe(number("The share.", "share")),
        "low": maybe(number("Lower end of its 95 % interval.", "share")),
        "high": maybe(number("Upper end of its interval.", "share")),
    },
)
SOLVED = record(
    "How well its answers to a task are marked.",
    {
        "value": maybe(number("Right answers of all questions, or the mean score.", "share")),
        "low": maybe(number("Lower end of its 95 % interval.", "share")),
        "high": maybe(number("Upper end of its interval.", "share")),
        "n": whole("Questions that were marked.", "samples"),
        "right": whole("Right answers.", "samples"),
        "wrong": whole("Wrong answers.", "samples"),
        "no_answer": whole("Answers in which none was found.", "samples"),
        "error": whole("Of programs, those that an error ended.", "samples"),
        "timeout": whole("Of programs, those that took too long.", "samples"),
        "memory": whole("Of programs, those that ran out of memory.", "samples"),
        "cut": whole("Answers that the limit cut off.", "samples"),
        "attempts": maybe(record("What all attempts at a question give; null for one, and where "
                                 "scores are graded.", {
            "k": whole("Attempts at each question."),
            "pass": maybe(_OF_WAY),
            "majority": maybe(_OF_WAY),
        })),
    },
    optional=("error", "timeout", "memory"),
)  # fmt: skip
PAIRED = record(
    "Each question beside its own, where every answer is right or wrong; null for graded ones.",
    {
        "both": whole("Questions that both solve.", "samples"),
        "only_reference": whole("Those that the reference alone solves.", "samples"),
        "only_candidate": whole("Those that the candidate alone solves.", "samples"),
        "neither": whole("Those that neither solves.", "samples"),
        "p_value": number("McNemar's exact test, of two sides.", "share"),
    },
)
ERRORS = empty_or(ANALYSIS)  # empty where they were not looked at
NOISE = record(
    "How much the reference itself changes in batches of another size, or where answers are drawn, "
    "with other seeds; null without a control.",
    {
        "flips": maybe(whole(
            "Answers that flip between right and wrong; null for graded ones.", "samples"
        )),
        "changed": whole("Questions with another score.", "samples"),
        "is_drawn": flag("Whether it was drawn again, in batches of the same size."),
        "n": whole("Questions.", "samples"),
        "finest": number("The highest share that is not lost in it.", "share"),
        "is_finer": flag("Whether the target is higher than that."),
    },
)  # fmt: skip
_BUSY = maybe(number(
    "Time with a query open that other programs took from it; null where it is too little to tell, "
    "not known, or the row is of several runs.", "share",
))  # fmt: skip
GATE_ROW = record(
    "A candidate, or the control.",
    {
        "label": LABEL,
        "model": text("Model without its owner or folder."),
        "variant": text("Precision."),
        "run": RUN,
        "status": choice("Verdict at the target, by the whole interval.", *_WORDS),
        "official": choice("The same by the figure alone.", *_WORDS),
        "reason": text("Why, in words."),
        "failure": text("Kind of error if it could not be measured; else empty."),
        "needed": maybe(whole("Samples that would decide it.", "samples")),
        "n": whole("Samples that were answered.", "samples"),
        "rows_in_batch": maybe(whole("Requests in a batch.", "requests")),
        "empty": maybe(whole("Empty outputs.", "samples")),
        "tokens_per_s": maybe(number(
            "Output tokens of its accuracy run, over the whole run.", "tokens/s"
        )),
        "tokens_per_sample": maybe(number("Mean length of an answer.", "tokens")),
        "peak_bytes": maybe(whole(
            "Peak memory of its GPUs, else of its process; null where it is not known.", "B"
        )),
        "busy_share": _BUSY,
        "identical": maybe(number("Outputs identical to the reference's.", "share")),
        "divergence_median": maybe(number("Median position of the first difference.", "token")),
        "divergence": many("First differences by position.", record("A range of positions.", {
            "first": whole("First position.", "token"),
            "last": maybe(whole("Last position.", "token")),
            "outputs": whole("Outputs that differ first there.", "samples"),
        })),
        "readings": by_name("By what it is read against.", READING),
        "labels": many("By kind of question.", record("A kind.", {
            "key": text("Column of the dataset."),
            "label": text("Its value."),
            "ratio": record("Mean ROUGE as a ratio.", _RATIO_FIELDS),
        })),
        "worst": many("The samples that lost most.", record("A sample.", {
            "index": whole("Its data index."),
            "prompt": text("Its prompt."),
            "labels": many("Its kinds.", text("A label.")),
            "answer": text("The dataset's answer; empty if there is none."),
            "candidate": number("Mean ROUGE of the candidate.", "share"),
            "reference": number("Mean ROUGE of the reference.", "share"),
            "diverges_at": whole("Position of the first difference; -1 if there is none.", "token"),
            "texts": by_name("Both texts, in pieces.", many("Pieces.", anything(
                "A piece, and whether it differs."))),
        })),
        "notes": many("What a reader must know.", text("A note.")),
        "task": text("Task that it was judged on."),
        "solved": SOLVED,
        "paired": maybe(PAIRED),
        "moved": maybe(number(
            "Half of what was lost on some questions or won on others, over what the reference "
            "solves; of graded scores, the root of the summed squares of their changes.", "share",
        )),
        "changed": whole("Questions with another score than the reference's.", "samples"),
        "draws": maybe(by_name("How its answers were drawn; null where they are greedy.",
                               number("A setting."))),
        "errors": ERRORS,
        "by_task": by_name("Verdict of each task.", choice("The verdict.", *_WORDS)),
    },
    optional=("task", "solved", "paired", "moved", "changed", "draws", "errors", "by_task"),
)  # fmt: skip
_SHARED: dict[str, Schema] = {
    "metric": text("What answers were scored with."),
    "against": choice("Reading that decides.", "dataset", "reference", "published", "task"),
    "why": text("Why it was chosen."),
    "dataset": text("Dataset as it was named."),
    "answers": whole(
        "Samples with an answer in the dataset; questions of a task, each once.", "samples"
    ),
    "conditions": by_name("Conditions that are the same in all runs.", text("In words.")),
    "reference": record(
        "The reference.",
        {
            "label": LABEL,
            "model": text("Model without its owner or folder."),
            "variant": text("Precision."),
            "run": RUN,
            "problem": text("Why it cannot be judged against; else empty."),
            "n": whole("Samples that were answered.", "samples"),
            "rows_in_batch": maybe(whole("Requests in a batch.", "requests")),
            "empty": maybe(whole("Empty outputs.", "samples")),
            "tokens_per_s": maybe(
                number("Output tokens of its accuracy run, over the whole run.", "tokens/s")
            ),
            "peak_bytes": maybe(
                whole(
                    "Peak memory of its GPUs, else of its process; null where it is not known.", "B"
                )
            ),
            "busy_share": _BUSY,
            "tokens_per_sample": maybe(number("Mean length of an answer.", "tokens")),
            "rouge": by_name("Its own ROUGE.", maybe(number("F-measure.", "share"))),
            "solved": SOLVED,
        },
        optional=("solved",),
    ),
    "control": maybe(
        same_as("row", "The reference again, in batches of another size or with other seeds.")
    ),
    "rows": many("The candidates, in order.", same_as("row", "A candidate.")),
    "notes": many("What a reader must know.", text("A note.")),
}
TASK = record(
    "What was judged on one task.",
    {
        "name": text("Its name."),
        "status": choice("The worst verdict on it.", *_WORDS),
        **_SHARED,
        "noise": maybe(NOISE),
    },
)
GATE = file(
    "gate.json",
    record("Whether faster variants keep enough of the reference's quality.", {
        "schema": choice("Version of this layout.", "touchstone.gate/1"),
        "status": choice("The worst verdict.", *_WORDS),
        "target": record("Share of the reference's figure that has to be kept.", {
            "name": text("As it was asked for."),
            "share": number("Share of the reference.", "share"),
            "key": text("Key of the verdicts at it."),
            "published": by_name("MLPerf's figures, where one of its targets was asked for.",
                                 number("A figure.", "of 100")),
            "unjudged": many("Figures of that target which are not judged.", text("A name.")),
        }),
        "confidence": number("Confidence level of the intervals.", "%"),
        "resamples": whole("Bootstrap resamples."),
        **_SHARED,
        "tasks": many("Of a gate on tasks, each of them.", TASK),
        **ENDED,
    }, optional=("tasks",)),
    {"row": GATE_ROW, "call": CALL},
)  # fmt: skip
