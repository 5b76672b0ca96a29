"""What does a measurement of perplexity say, in words and figures? Shared by the screen and the
page.

A subject is a model in a variant, as it stands in perplexity.json. A figure is a plain number with
its interval beside it (`perplexity`, `perplexity_low`, `perplexity_high`) or `value`, `low`, `high`
in a mapping or a list. What is missing stays out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from harness.types import short_name
from reports.terminal import number, size

Summary = Mapping[str, Any]
Subject = Mapping[str, Any]


class Measured(NamedTuple):
    """A figure and its interval, which may not be known."""

    value: float
    low: float | None = None
    high: float | None = None


class Column(NamedTuple):
    """A figure of the table: its key, its name, how its value is shown, and the part of the subject
    that has it.
    """

    key: str
    name: str
    text: Callable[[float], str]
    of: str = "figures"


def _loss(nats: float) -> str:
    return f"{nats:.4f}"


def _small(nats: float) -> str:
    return f"{nats:#.2g}" if 0 < abs(nats) < 0.0995 else f"{nats:#.3g}" if nats else "0"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _points(points: float) -> str:
    return f"{points:+.3f}"


def three_places(value: float) -> str:
    return f"{value:.3f}"


def parameters(count: float) -> str:
    """7.16k, 135M, 1.71B: as models are named."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * unit:
            return f"{count / unit:.3g}{letter}"
    return f"{count:.0f}"


def figure(value: float) -> str:
    """Four significant digits, and as many behind the point for all of a size: 8.323, 27.41,
    312.0.
    """
    return (
        f"{value:.{3 if abs(value) < 9.9995 else 2 if abs(value) < 99.995 else 1}f}"
        if abs(value) < 1000
        else number(value)
    )


QUALITY = (
    Column("perplexity", "perplexity", figure),
    Column("bits_per_byte", "bits/byte", figure),
    Column("eval_loss", "loss, nats", _loss),
    Column("token_accuracy", "tokens right, %", _percent),
)
DISTANCE = (
    Column("mean_kld", "KL mean", _small, "divergence"),
    Column("p99_kld", "KL p99", _small, "divergence"),
    Column("same_top_p", "same top, %", _percent, "divergence"),
)
COST = (Column("tokens_per_s", "tokens/s", number), Column("weights_bytes", "weights", size))
DIVERGENCE = (
    Column("mean_ppl_q", "Mean PPL(Q)", figure),
    Column("mean_ppl_base", "Mean PPL(base)", figure),
    Column("cor_ln_ppl", "Cor(ln(PPL(Q)), ln(PPL(base)))", _loss),
    Column("mean_ln_ppl_ratio", "Mean ln(PPL(Q)/PPL(base))", _loss),
    Column("mean_ppl_ratio", "Mean PPL(Q)/PPL(base)", _loss),
    Column("mean_ppl_difference", "Mean PPL(Q)-PPL(base)", _loss),
    Column("mean_kld", "Mean KLD", _small),
    Column("mean_kld_at_least", "  at least", _small),
    Column("maximum_kld", "Maximum KLD", _small),
    Column("p99_9_kld", "99.9% KLD", _small),
    Column("p99_kld", "99.0% KLD", _small),
    Column("p95_kld", "95.0% KLD", _small),
    Column("p90_kld", "90.0% KLD", _small),
    Column("median_kld", "Median KLD", _small),
    Column("mean_dp", "Mean Δp, points", _points),
    Column("rms_dp", "RMS Δp, points", _small),
    Column("same_top_p", "Same top p, %", _percent),
)


def measured(figures: Mapping[str, Any] | None, key: str) -> Measured | None:
    """None where there is no finite value."""
    found = (figures or {}).get(key)
    if isinstance(found, Mapping):
        found = [found.get("value"), found.get("low"), found.get("high")]
    elif not isinstance(found, list):
        found = [found, *((figures or {}).get(f"{key}_{end}") for end in ("low", "high"))]
    value, low, high = ([_finite(end) for end in found] + [None] * 3)[:3]
    return None if value is None else Measured(value, low, high)


def _finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def cell(subject: Subject, column: Column) -> tuple[str, str]:
    """(the figure, its interval), each empty where it is not known."""
    return shown(measured(subject.get(column.of), column.key), column.text)


def shown(found: Measured | None, text: Callable[[float], str]) -> tuple[str, str]:
    if found is None:
        return "", ""
    return text(found.value), (
        "" if found.low is None or found.high is None else _between(found.low, found.high, text)
    )


def _between(low: float, high: float, text: Callable[[float], str]) -> str:
    """Both ends to the same place, the finer one's, unless they are orders of magnitude apart."""
    ends = [text(low), text(high)]
    few, many = sorted(len(end.partition(".")[2]) for end in ends)
    if text in (figure, _small) and (many - few == 1 or "0" in ends):
        ends = [f"{end:,.{many}f}" for end in (low, high)]
    return " to ".join(ends)


# ---- words


def label(subject: Subject, among: Sequence[Subject]) -> str:
    """What tells a subject from the others: its variant, its model, or both."""
    models, variants = ({other[key] for other in among} for key in ("model", "variant"))
    parts = [name(subject)] if len(models) > 1 or len(variants) == 1 else []
    return " ".join(
        [*parts, str(subject["variant"])] if len(variants) > 1 or len(models) == 1 else parts
    )


def name(subject: Subject) -> str:
    """The model without the folders before it."""
    return short_name(str(subject["model"]))


def labels(summary: Summary) -> list[str]:
    found = [label(subject, summary["subjects"]) for subject in summary["subjects"]]
    return [
        f"{text} ({found[:i].count(text) + 1})" if found.count(text) > 1 else text
        for i, text in enumerate(found)
    ]


def done(summary: Summary) -> list[tuple[str, Subject]]:
    """Subjects with figures, labelled: those that scored all texts; if there is none, what there
    is.
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
    """How every text was read, in one line."""
    settings = summary.get("settings") or {}
    first: Subject = next(iter(summary["subjects"]), {})
    parts = []
    for key in ("bos", "context", "window", "stride"):
        if (value := settings.get(key, first.get(key))) is not None:
            parts.append(f"{'BOS' if key == 'bos' else key} {_either(value)}")
    return ", ".join(parts)


def _either(value: Any) -> str:
    """A value, or several where the models differ: each has one of them."""
    values = value if isinstance(value, list) else [value]
    words = [f"{one:,} tokens" if isinstance(one, int) else str(one) for one in values]
    return " or ".join(words) + (" (by model)" if len(words) > 1 else "")


def sentences(summary: Summary) -> list[str]:
    """The verdict in words, one line each."""
    return [
        *_ranking(summary),
        *(line for text, subject in done(summary) if (line := _distance(text, subject, summary))),
        *filter(None, [_law(summary)]),
    ]


def missing(summary: Summary) -> list[str]:
    """Which subjects have no figures or not all of them, and why."""
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


def _ranking(summary: Summary) -> list[str]:
    subjects = done(summary)
    if not subjects:
        return []
    if len({subject["model"] for _, subject in subjects}) == 1:
        text, subject = subjects[0]  # its variants are held against it below
        return [
            f"{text}: "
            + ", ".join(
                filter(None, [_figure(subject, "perplexity"), _figure(subject, "bits_per_byte")])
            )
        ]
    key, _ = measure(summary)
    ranked = sorted(
        (found.value, text, subject)
        for text, subject in subjects
        if (found := measured(subject["figures"], key))
    )
    lines = []
    if not comparable(summary):
        reason = summary["comparable"].get("reason") or "the models cut text differently"
        lines.append(f"no ranking by perplexity: {reason}")
    if len(ranked) > 1:
        (least, best, subject), (most, worst, _) = ranked[0], ranked[-1]
        lines.append(
            f"best: {best}, {_figure(subject, key)}; worst: {worst}, {figure(most)}"
            f" ({most / least:.2f}x)"
        )
    return lines


def _figure(subject: Subject, key: str) -> str:
    value, between = shown(measured(subject["figures"], key), figure)
    return f"{key.replace('_', ' ')} {value}{f' ({between})' if between else ''}" if value else ""


def _distance(text: str, subject: Subject, summary: Summary) -> str:
    found = subject.get("divergence") or {}
    ratio, mean, top = (
        measured(found, key) for key in ("mean_ppl_ratio", "mean_kld", "same_top_p")
    )
    parts = [
        (
            f"perplexity {ratio.value:.3f}x of {reference(subject, summary)}{_around(ratio)}"
            if ratio
            else ""
        ),
        f"KL {_small(mean.value)} nats" if mean else "",
        f"same top token {100 * top.value:.1f} %" if top else "",
    ]
    return f"{text}: {', '.join(filter(None, parts))}" if any(parts) else ""


def _around(ratio: Measured) -> str:
    return (
        "" if ratio.low is None or ratio.high is None else f" ({ratio.low:.3f} to {ratio.high:.3f})"
    )


def reference(subject: Subject, summary: Summary) -> str:
    """The label of what the divergence is measured from; its variant alone where the model is the
    same.
    """
    found = subject.get("divergence") or {}
    model, variant = (
        str(found.get("reference_model") or subject["model"]),
        str(found.get("reference")),
    )
    if model == subject["model"]:
        return variant
    return next(
        (t for t, other in done(summary) if (other["model"], other["variant"]) == (model, variant)),
        variant,
    )


def _law(summary: Summary) -> str:
    scaling = summary.get("scaling") or {}
    if refused := scaling.get("refused"):
        return (
            f"no law of size: {refused}"
            if len({name(subject) for subject in summary["subjects"]}) > 1
            else ""
        )
    answer = answered(scaling)
    return "; ".join(
        filter(None, [_exponent(scaling), f"diminishing returns: {answer}" if answer else ""])
    )


def _exponent(scaling: Mapping[str, Any]) -> str:
    exponent, floor = measured(scaling, "exponent"), measured(scaling, "floor")
    if exponent is None:
        return ""
    power, texts = shown(exponent, three_places)
    models = (
        shown(measured(scaling, "exponent_models"), three_places)[1] if direction(scaling) else ""
    )
    doubts = [
        f"over texts {texts}" if texts else "",
        f"over models {models}" if models else "over models: cannot be told",
    ]
    unit = "bits per byte" if scaling.get("by") == "bits_per_byte" else "nats"
    above = f" above a floor of {floor.value:.3g} {unit}" if floor and floor.value > 0 else ""
    return (
        f"{_trend(scaling, exponent.value)}, exponent {power}"
        f" ({'; '.join(filter(None, doubts))}){above}"
    )


def direction(scaling: Mapping[str, Any]) -> int:
    """1 if loss falls with size as far as the models can tell, -1 if it grows, 0 where their
    interval spans both.
    """
    found = measured(scaling, "exponent_models")
    if found is None or found.low is None or found.high is None:
        return 0
    return (found.low > 0) - (found.high < 0)


def _trend(scaling: Mapping[str, Any], exponent: float) -> str:
    """A law only where the models bear it out; else what was seen of these."""
    if told := direction(scaling):
        return f"loss {'falls' if told > 0 else 'grows'} with the parameters"
    losses = [
        found.value
        for row in scaling.get("measured") or ()
        if (found := measured({"loss": row}, "loss"))
    ]
    these = f"the bigger of these {len(losses)} models" if losses else "the bigger models"
    if exponent <= 0:
        return f"loss was not lower for {these}"
    every = all(b < a for a, b in pairwise(losses))
    return f"loss was {'' if every else 'mostly '}lower for {these}"


def answered(scaling: Mapping[str, Any]) -> str:
    """Whether returns diminish: yes, no, cannot tell."""
    return str((scaling.get("diminishing") or {}).get("answer") or "")
