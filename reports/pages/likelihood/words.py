"""What does a measurement of perplexity say, in words and figures? Shared by the screen and the
page.

A subject is a model in a variant, as it stands in perplexity.json. A figure is a plain number with
its interval beside it (`perplexity`, `perplexity_low`, `perplexity_high`) or `value`, `low`, `high`
in a mapping or a list. What is missing stays out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from harness.kernel.types import short_name
from harness.kernel.words.figure import number, short_count
from harness.kernel.words.variant import named, precision_of
from reports.blocks import between

Summary = Mapping[str, Any]
Subject = Mapping[str, Any]


class Measured(NamedTuple):
    """A figure and its interval, which may not be known."""

    value: float
    low: float | None = None
    high: float | None = None


def small(nats: float) -> str:
    return f"{nats:#.2g}" if 0 < abs(nats) < 0.0995 else f"{nats:#.3g}" if nats else "0"


def three_places(value: float) -> str:
    return f"{value:.3f}"


PARAMETERS_NOTE = (
    "Parameters: tied matrices count once, even where a file stores the output head as a copy of"
    " the embedding; those of an adapter are included. Trainable: all parameters of a model, but"
    " only the adapter's of a LoRA."
)


def trainable(subject: Subject) -> str:
    """Return how many parameters of a LoRA are trained; empty for a model, which trains all."""
    count = subject.get("trainable_parameters")
    return short_count(count) if count and count != subject.get("parameters") else ""


def scored(summary: Summary) -> list[str]:
    """State which tokens the figures are of and what stands before them, once for those alike."""
    of: dict[str, list[str]] = {}
    for text, subject in done(summary):
        if subject.get("scored"):
            reach = ", as far as its window reaches" if subject.get("in_windows") else ""
            line = f"{subject['scored']}, each given all of its text before it{reach}"
            of.setdefault(f"{line}; before the text: {subject['given']}", []).append(text)
    lines = []
    for line, names in of.items():
        whose = f" ({', '.join(names)})" if len(of) > 1 else ""
        lines.append(f"Scored{whose}: {line}.")
    return lines


def figure(value: float) -> str:
    """Write four significant digits, and equally many decimals for numbers of one size: 8.323,
    27.41, 312.0.
    """
    return (
        f"{value:.{3 if abs(value) < 9.9995 else 2 if abs(value) < 99.995 else 1}f}"
        if abs(value) < 1000
        else number(value)
    )


def measured(figures: Mapping[str, Any] | None, key: str) -> Measured | None:
    """Return a figure with its interval; None where there is no finite value."""
    found = (figures or {}).get(key)
    if isinstance(found, Mapping):
        found = [found.get("value"), found.get("low"), found.get("high")]
    elif not isinstance(found, list):
        found = [found, *((figures or {}).get(f"{key}_{end}") for end in ("low", "high"))]
    value, low, high = ([_finite(end) for end in found] + [None] * 3)[:3]
    return None if value is None else Measured(value, low, high)


def _finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def shown(found: Measured | None, text: Callable[[float], str]) -> tuple[str, str]:
    """Return (the figure, its interval), each empty where it is not known."""
    if found is None:
        return "", ""
    return text(found.value), between(found.low, found.high, text)


# ---- words


def label(subject: Subject, among: Sequence[Subject]) -> str:
    """Return what tells a subject from the others: its variant, its model, or both."""
    models = {other["model"] for other in among}
    variants = {variant(other) for other in among}
    parts = [name(subject)] if len(models) > 1 or len(variants) == 1 else []
    return " ".join([*parts, variant(subject)] if len(variants) > 1 or len(models) == 1 else parts)


def variant(subject: Subject) -> str:
    """Return the variant, with what its name does not tell."""
    return named(str(subject["variant"]), precision_of(subject))


def name(subject: Subject) -> str:
    """Return the model without the folders before it."""
    return short_name(str(subject["model"]))


def labels(summary: Summary) -> list[str]:
    found = [label(subject, summary["subjects"]) for subject in summary["subjects"]]
    return [
        f"{text} ({found[:i].count(text) + 1})" if found.count(text) > 1 else text
        for i, text in enumerate(found)
    ]


def done(summary: Summary) -> list[tuple[str, Subject]]:
    """Return the subjects with figures, labelled: those that scored all texts; if none did, what
    there is.
    """
    named = zip(labels(summary), summary["subjects"], strict=True)
    known = [
        (text, subject) for text, subject in named if measured(subject.get("figures"), "perplexity")
    ]
    return [
        (text, subject) for text, subject in known if subject.get("status", "DONE") == "DONE"
    ] or known


def comparable(summary: Summary) -> bool:
    return bool(summary.get("comparable", {}).get("by_perplexity", True))


def measure(summary: Summary) -> tuple[str, str]:
    """(key, name) of the figure by which the subjects may be compared."""
    return (
        ("perplexity", "perplexity") if comparable(summary) else ("bits_per_byte", "bits per byte")
    )


def title(summary: Summary) -> str:
    data = summary.get("dataset") or {}
    models = list(dict.fromkeys(map(name, summary["subjects"])))
    counts = [
        f"{data[key]:,} {key}" for key in ("texts", "tokens") if isinstance(data.get(key), int)
    ]
    return " · ".join(filter(None, [", ".join(models), str(data.get("name") or ""), *counts]))


def conditions(summary: Summary) -> str:
    """Say in one line how every text was read."""
    settings = summary.get("settings") or {}
    first: Subject = next(iter(summary["subjects"]), {})
    parts = []
    for key in ("bos", "context", "window", "stride"):
        if (value := settings.get(key, first.get(key))) is not None:
            parts.append(f"{'BOS' if key == 'bos' else key} {_either(value)}")
    return ", ".join(parts)


def _either(value: Any) -> str:
    """Write a value, or several where the models differ: each has one of them."""
    values = value if isinstance(value, list) else [value]
    words = [f"{one:,} tokens" if isinstance(one, int) else str(one) for one in values]
    return " or ".join(words) + (" (by model)" if len(words) > 1 else "")


def missing(summary: Summary) -> list[str]:
    """Name the subjects that lack figures, and say why."""
    named = list(zip(labels(summary), summary["subjects"], strict=True))
    lost = [
        f"{text}:"
        f" {subject['status']}{': ' + str(subject['problem']) if subject.get('problem') else ''}"
        for text, subject in named
        if subject.get("status", "DONE") != "DONE"
    ]
    refused = [
        f"{text}: no divergence, {why}"
        for text, s in named
        if (why := (s.get("divergence") or {}).get("refused"))
    ]
    not_run = summary.get("not_run") or ()
    return [*lost, *refused, *([f"not measured: {', '.join(not_run)}"] if not_run else [])]


def reference(subject: Subject, summary: Summary) -> str:
    """Return the label of what the divergence is measured from; only its variant where the model is
    the same.
    """
    found = subject.get("divergence") or {}
    model, its = (
        str(found.get("reference_model") or subject["model"]),
        str(found.get("reference")),
    )
    there = [(text, o) for text, o in done(summary) if (o["model"], o["variant"]) == (model, its)]
    if not there:
        return its
    text, other = there[0]
    return variant(other) if model == subject["model"] else text
