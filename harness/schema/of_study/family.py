"""What family.json holds: the sizes, iterations and precisions of a model side by side."""

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

_KEY = text("Key of a column.")
_LABEL = text("Label of a member.")
_AMONG = text("What those share that rank together, such as a tokenizer; empty if all do.")
_COLUMN = record(
    "A figure of members that were asked the same.",
    {
        "key": text("Its name in `figures`: name, what it is of, and a number if there are more."),
        "figure": text("Name of the figure, as compare.json has it; `evaluated` is a tool's."),
        "of": text("Task, dataset, texts, or load."),
        "label": text("What heads it."),
        "unit": text("Its unit for people; values are shares of 1 and bytes."),
        "better": choice("Which way is better.", "higher", "lower"),
        "terms": by_name("What was the same for all of them.", text("Its value.")),
        "other": text("What differs from other columns of the same; empty without one."),
    },
)
_FIGURE = record(
    "A figure of a member, with its 95 % interval.",
    {
        "value": maybe(number("Its value.")),
        "low": maybe(number("Lower end; null where nothing tells how far chance moves it.")),
        "high": maybe(number("Upper end.")),
        "n": maybe(whole("Questions or texts.", "questions")),
        "among": _AMONG,
        "folder": text("Folder that tells it."),
    },
)
_ROW = record(
    "A member: a model in a precision.",
    {
        "label": _LABEL,
        "model": text("Model."),
        "variant": text("Variant, with what its name does not tell."),
        "reference": text("Label of the highest precision of the same model; empty for that one."),
        "parameters": maybe(whole("Parameters.", "parameters")),
        "trainable_parameters": maybe(whole("Of an adapter, those that were trained.")),
        "disk_bytes": maybe(whole("Size on disk.", "B")),
        "weights_bytes": maybe(whole("Weights in memory.", "B")),
        "tokenizer": maybe(text("Fingerprint of its tokenizer.")),
        "figures": by_name("Its figures by the key of the column.", _FIGURE),
        "problems": many("Folders of it that do not count.", text("Which, and why.")),
        "folders": many("Folders that tell of it.", text("A folder.")),
    },
)
_RANK = record(
    "Places by a column.",
    {
        "figure": _KEY,
        "among": _AMONG,
        "places": by_name("Place of each: 1 and those decidedly better.", whole("Place.")),
        "open": many("Those without an interval, placed by their values.", _LABEL),
    },
)
_DISAGREEMENT = record(
    "Two members that a likelihood and answers put in opposite orders, both decidedly.",
    {
        "figure": text("Column of the likelihood."),
        "other": text("Column of the answers."),
        "better": text("Who is better by the likelihood."),
        "but": text("Who is better by the answers."),
        "is_first": flag("Whether nobody is better than the first by the likelihood."),
    },
)
_AGREEMENT = record(
    "How alike two figures order the members that have both, at least four.",
    {
        "figure": _KEY,
        "other": _KEY,
        "among": _AMONG,
        "labels": many("The members.", _LABEL),
        "order": record(
            "Kendall's tau-b; 1 where the best by one is the best by the other, and so on.",
            {
                "tau": number("Tau-b."),
                "n": whole("Members.", "members"),
                "p_value": number("Share of all orders that are as alike, or as opposed."),
                "least_p": number("Smallest that so many members could give."),
            },
        ),
    },
)
_STEP = record(
    "What a step does to a figure.",
    {
        "kind": choice(
            "To the next larger model; to a lower precision; to a larger model in a lower precision"
            " whose weights take no more memory.",
            "size",
            "precision",
            "trade",
        ),
        "figure": _KEY,
        "of": text("Label of the member before."),
        "to": text("Label of the member after."),
        "call": choice("How the second stands.", "better", "worse", "tie", "same", "open"),
        "change": same_as("estimate", "The figure after less that before."),
    },
)
_FLIPS = record(
    "Answers to a task that a precision changes.",
    {
        "label": _LABEL,
        "reference": _LABEL,
        "figure": _KEY,
        "n": whole("Questions of both.", "questions"),
        "lost": whole("Those that the reference alone solves.", "questions"),
        "won": whole("Those that the member alone solves.", "questions"),
        "p_value": number("McNemar's exact test."),
        "perplexity": same_as("estimate", "Of texts, as a multiple of the reference's."),
        "texts": text("Column of that perplexity; empty if none is known."),
    },
)
_WAY = record(
    "One of several ways in which something was asked.",
    {
        "figure": text("Name of the figure."),
        "of": text("What was asked."),
        "column": _KEY,
        "other": text("What is so here, and otherwise in the others."),
        "labels": many("Who was asked so.", _LABEL),
    },
)
_TWICE = record(
    "A figure of a member that several folders tell.",
    {
        "label": _LABEL,
        "column": _KEY,
        "used": text("Folder that counts: the first."),
        "left_out": many("The others.", text("A folder.")),
    },
)
FAMILY = file(
    "family.json",
    record(
        "The sizes, iterations and precisions of a model side by side.",
        {
            "schema": choice("Version of this layout.", "touchstone.family/1"),
            "columns": many("Figures, those of likelihoods first.", _COLUMN),
            "rows": many("Members by size, then by precision.", _ROW),
            "ranks": many("Who is first by each column.", _RANK),
            "disagreements": many("Where likelihoods and answers disagree.", _DISAGREEMENT),
            "agreements": many("Whether two figures put the members in one order.", _AGREEMENT),
            "steps": many("What sizes buy and precisions cost.", _STEP),
            "flips": many("Answers that a precision changes.", _FLIPS),
            "ways": many("What was asked in several ways, which do not compare.", _WAY),
            "twice": many("What was told more than once.", _TWICE),
            "notes": many("What else there is to know.", text("In words.")),
            "folder": FOLDER,
        },
    ),
    {"estimate": ESTIMATE},
)
