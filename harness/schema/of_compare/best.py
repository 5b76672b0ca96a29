"""What compare.json says of which variant is best, and by what."""

from __future__ import annotations

from harness.schema.parts import (
    Schema,
    anything,
    by_name,
    choice,
    empty_or,
    flag,
    many,
    maybe,
    number,
    record,
    same_as,
    text,
    whole,
)

_FIGURE = text("Name of the figure.")
_PLACES = by_name(
    "Place of each label: one more than the number of those that are decidedly better.",
    whole("A place."),
)
_ENDS = many("Value, lower end and upper end of its 95 % interval.", maybe(number("One of them.")))

_PARTS: dict[str, Schema] = {
    "ranks": many("Places by each figure that two variants have.", record("A figure.", {
        "figure": _FIGURE,
        "places": _PLACES,
        "open": many("Labels whose figure has no interval.", text("A label.")),
    })),
    "fronts": many("Pareto fronts: quality against speed, memory, cost, energy.", record(
        "A front.", {
            "quality": text("Name of the figure of quality."),
            "against": text("Name of the other figure."),
            "labels": many("On the front, best by the other figure first.", text("A label.")),
            "dominated": many("Not on the front.", record("A variant.", {
                "label": text("Its label."),
                "by": text("Label of one that is at least as good by both and better by one."),
                "sure": flag("Whether intervals decide that."),
            })),
        },
    )),
    "kinds": many("Places at each kind of task, by the dataset's labels.", record("A kind.", {
        "figure": _FIGURE,
        "kind": text("The kind of task."),
        "values": by_name("The figure of each label.", same_as("estimate", "A figure.")),
        "places": _PLACES,
    })),
    "disagreements": many("Where the first by one figure is not by another.", record("One.", {
        "label": text("The only first by `figure`."),
        "figure": _FIGURE,
        "other": text("Name of the figure by which it is decidedly not the first."),
        "better": text("Label of the first by that."),
        "kind": text("Kind of task that `other` is of; empty where it is of all."),
    })),
}  # fmt: skip
BEST = empty_or(record("Which variant is best; empty where there are not two to compare.", _PARTS))


def best_of(what: str, **more: Schema) -> Schema:
    """Declare the same part where its rows are not those of a comparison: `what` they are."""
    row = record("A row, with the figures that rank.", {
        "label": text("Its label."),
        "status": choice("Always this: it was measured.", "DONE"),
        "figures": by_name("By the names of a comparison.", number("In its units.")),
        "intervals": by_name(
            "Ends of the 95 % intervals.", many("Lower and upper end.", number("An end."))
        ),
    })  # fmt: skip
    rows = many(what, row)
    whole = f"Which is best, and by what; empty where there are not two to compare. {what}"
    return empty_or(record(whole, {**_PARTS, "rows": rows, **more}))


# Fields of a row.
OF_ROW: dict[str, Schema] = {
    "intervals": by_name(
        "Ends of the 95 % intervals of its figures; missing where none are known.",
        many("Lower and upper end.", number("An end.")),
    ),
    "kinds": by_name(
        "Figures by kind of task (the dataset's labels); missing where there are none.",
        by_name("By kind.", _ENDS),
    ),
    "usd_per_million_tokens": number(
        "Cost of a million output tokens at full speed; missing without a price.", "USD"
    ),
    "scores": by_name("Other scores of its answers.", number("Of 100.")),
    "likelihood": record("What `harness perplexity` found of it; missing where it was not asked.", {
        "folder": text("Folder of the measurement."),
        "texts": text("Texts it is of."),
        "label": text("Label of the subject there."),
        "figures": by_name("By name.", _ENDS),
        "kinds": by_name("Perplexity by category of the texts.", _ENDS),
        "less": by_name("Its loss less another subject's, by label, in nats per token.", _ENDS),
    }),
    "doubts": many("What makes its figures shaky; missing where nothing does.", anything(
        "As in result.json."
    )),
}  # fmt: skip
