"""What does result.json say of what makes the result shaky?"""

from __future__ import annotations

from harness.schema.parts import by_name, choice, many, number, record, text

_KINDS = (
    "few_samples", "driver_lag", "busy_machine", "throttled", "client_limit", "drift", "two_kinds",
    "warm_up", "warm_cache",
)  # fmt: skip
DOUBTS = many(
    "What makes the figures shaky, the serious ones first; none of it changes the verdict. Missing "
    "where there is nothing.",
    record("A doubt.", {
        "name": choice("Its kind.", *_KINDS),
        "severity": choice(
            "serious: what one would decide by it may be wrong; minor: know of it.",
            "serious", "minor",
        ),
        "words": text("What is shaky, with figures."),
        "remedy": text("What to do."),
        "about": many("Figures it is about; empty: all of them.", text("Name of a figure.")),
        "figures": by_name("What it rests on, with units in the names.", number("A figure.")),
    }),
)  # fmt: skip
