"""Which subject is better, and what is size worth? A measurement's verdicts, one sentence each.

Nothing is judged here: perplexity.json says of every pair, place and step what its interval decides
(better, worse, tie, same, open), and a sentence goes no further. What is not decided is called a
tie, and what is missing for a verdict is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reports.pages.likelihood.words import (
    Measured,
    Subject,
    Summary,
    comparable,
    done,
    figure,
    labels,
    measured,
    reference,
    shown,
    small,
    three_places,
)

_MOST_NAMED = 4  # of those behind the best
_DECISIVE = ("better", "worse")
Row = Mapping[str, Any]


def sentences(summary: Summary) -> list[str]:
    """Return the verdict in words, one line each."""
    distances = [_distance(text, subject, summary) for text, subject in done(summary)]
    return list(filter(None, [*_ranking(summary, any(distances)), *distances, *_sizes(summary)]))


# ---- who is better


def _ranking(summary: Summary, are_compared: bool) -> list[str]:
    """Compare one model's variants with its reference, line by line, if divergences are known;
    all others are ranked.
    """
    subjects = done(summary)
    if not subjects:
        return []
    ranked = summary.get("ranking") or ()
    if are_compared and len({subject["model"] for _, subject in subjects}) == 1:
        return [_figures(*subjects[0])]
    if len(ranked) < 2:
        return [_figures(*one) for one in subjects]
    lines = []
    if not comparable(summary):
        reason = (
            summary["comparable"].get("reason") or "the models split text into different tokens"
        )
        lines.append(f"no ranking by perplexity: {reason}")
    return [*lines, _order(ranked, _names(summary), subjects[0][1]["figures"].get("texts"))]


def _names(summary: Summary) -> dict[str, str]:
    """Return the label in perplexity.json -> the label that is shown."""
    pairs = zip(summary["subjects"], labels(summary), strict=True)
    return {str(subject.get("label", text)): text for subject, text in pairs}


def _order(ranked: Sequence[Row], names: Mapping[str, str], num_texts: int | None) -> str:
    first, *others = ranked
    tops, rest = [row for row in others if row["place"] == 1], [r for r in others if r["place"] > 1]
    best = f"{_name(first, names)}, {_measure(first)}"
    decisions = {row["decision"] for row in tops}
    if not tops:
        line = f"best: {best}"
    elif decisions == {"open"}:
        line = f"{num_texts} texts are too few to tell them apart (five are needed): {best}"
    elif decisions == {"same"}:
        same = _listed([_name(row, names) for row in (first, *tops)])
        line = f"no difference: {same} give every token the same loss, {_measure(first)}"
        return f"{line}{_behind('; then ', rest, names)}"
    else:
        line = f"tied for best: {best}"
    return f"{line}{_behind('; ', tops, names)}{_behind('; then ', rest, names)}"


def _behind(before: str, rows: Sequence[Row], names: Mapping[str, str]) -> str:
    """Name the next ones, each with how far it is behind the first."""
    if not rows:
        return ""
    told = [f"{_name(row, names)} {_distance_to_first(row)}" for row in rows[:_MOST_NAMED]]
    more = f" and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
    return f"{before}{', '.join(told)}{more}"


def _distance_to_first(row: Row) -> str:
    if row["decision"] == "same":
        return "the same on every token"
    if ratio := measured(row, "ratio"):
        value, around = times(ratio)
        return f"{value}{around}"
    behind = measured(row, "behind")
    if behind is None:
        return ""
    between = "" if behind.low is None else f" ({behind.low:+.4f} to {behind.high:+.4f})"
    return f"{behind.value:+.4f} bits per byte{between}"


def times(ratio: Measured) -> tuple[str, str]:
    """Return a ratio and its interval, to as many places as show on which side of 1 each end
    lies.
    """
    ends = [end for end in (ratio.low, ratio.high) if end is not None]
    places = next((n for n in range(3, 7) if all(_keeps_side(end, n) for end in ends)), 6)
    value, *around = (f"{end:.{places}f}" for end in (ratio.value, *ends))
    return f"{value}x", f" ({' to '.join(around)})" if around else ""


def _keeps_side(end: float, places: int) -> bool:
    return end == 1 or round(end, places) != 1


def _name(row: Row, names: Mapping[str, str]) -> str:
    return names.get(row["model"], str(row["model"]))


def _measure(row: Row) -> str:
    value, between = shown(measured(row, "figure"), figure)
    return f"{row['by'].replace('_', ' ')} {value}{f' ({between})' if between else ''}"


def _figure(subject: Subject, key: str) -> str:
    value, between = shown(measured(subject["figures"], key), figure)
    return f"{key.replace('_', ' ')} {value}{f' ({between})' if between else ''}" if value else ""


def _figures(text: str, subject: Subject) -> str:
    figures = [_figure(subject, key) for key in ("perplexity", "bits_per_byte")]
    return f"{text}: {', '.join(filter(None, figures))}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _distance(text: str, subject: Subject, summary: Summary) -> str:
    """Say how far a variant is from its reference."""
    found = subject.get("divergence") or {}
    mean, top = (measured(found, key) for key in ("mean_kld", "same_top_p"))
    ratio = _paired_ratio(subject, summary) or measured(found, "mean_ppl_ratio")
    parts = []
    if ratio:
        parts.append(f"perplexity {_of_reference(ratio, reference(subject, summary))}")
    if mean:
        parts.append(f"KL {small(mean.value)} nats")
    if top:
        parts.append(f"same top token {100 * top.value:.1f} %")
    return f"{text}: {', '.join(parts)}" if parts else ""


def _paired_ratio(subject: Subject, summary: Summary) -> Measured | None:
    """Return the ratio of its perplexity to its reference's, as the ranking compares the two."""
    found = subject.get("divergence") or {}
    origin = (found.get("reference_model") or subject["model"], found.get("reference"))
    others = (o for o in summary["subjects"] if (o["model"], o["variant"]) == origin)
    names = [one.get("label") for one in (subject, next(others, {}))]
    for pair in summary.get("pairs") or ():
        less = measured(pair, "eval_loss")
        if less is not None and [pair["first"], pair["second"]] in (names, names[::-1]):
            is_first = pair["first"] == names[0]
            value, *ends = less if is_first else _turned(less)
            low, high = (None if end is None else math.exp(end) for end in ends)
            return Measured(math.exp(value), low, high)
    return None


def _of_reference(ratio: Measured, of: str) -> str:
    value, around = times(ratio)
    is_tie = ratio.low is not None and ratio.high is not None and ratio.low <= 1 <= ratio.high
    return f"{value} of {of}{around}{', a tie' if is_tie else ''}"


# ---- what size is worth


def _sizes(summary: Summary) -> list[str]:
    scaling = summary.get("scaling") or {}
    families, names = scaling.get("families") or (), _names(summary)
    lines = [line for family in families for line in _family(family, scaling, names)]
    if why := scaling.get("why_none"):
        lines.append(f"nothing can be said about size: {why}")
    elif families and scaling["alone"]:
        alone = _listed([names.get(label, label) for label in scaling["alone"]])
        lines.append(f"not compared by size, because of another tokenizer or architecture: {alone}")
    return lines


def _family(family: Row, scaling: Row, names: Mapping[str, str]) -> list[str]:
    made = family["steps"]
    lines = [step(one, scaling["unit"], names) for one in made]
    law = exponent(family["law"], scaling) if family.get("law") else ""
    parts = [law or f"no scaling law: {family['no_law']}"]
    if len(made) > 1:
        answer = family["diminishing"]["answer"]
        told = answer in ("yes", "no")
        parts.append(
            f"diminishing returns: {answer}" if told else "whether returns diminish is undecided"
        )
    return [*lines, "; ".join(parts)]


def step(made: Row, unit: str, names: Mapping[str, str]) -> str:
    """Say what a doubling saves from one size to the next, and on how many texts."""
    gain = measured(made, "gain")
    smaller, larger = (
        _listed([names.get(model, model) for model in made[key]])
        for key in ("smaller_models", "larger_models")
    )
    better = f"the larger is better on {made['texts_better']} of {made['texts']} texts"
    between = f"from {smaller} to {larger}"
    if gain is None:
        return ""
    is_worse = made["decision"] == "worse"
    value, around = shown(_turned(gain) if is_worse else gain, three_places)
    does = "costs" if is_worse else "saves"
    tie = ", a tie" if made["decision"] in ("tie", "same") else ""
    inside = f" ({around}{tie})" if around else ""
    return f"{between}, each doubling of the parameters {does} {value} {unit}{inside}; {better}"


def _turned(found: Measured) -> Measured:
    """Return the same with the opposite sign."""
    low, high = (None if end is None else -end for end in (found.high, found.low))
    return Measured(-found.value, low, high)


def exponent(law: Row, scaling: Row) -> str:
    """State the law of a family that follows one, with both uncertainties of its exponent."""
    power, texts = shown(measured(law, "exponent"), three_places)
    models = shown(measured(law, "exponent_models"), three_places)[1]
    floor = measured(law, "floor")
    unit = "bits per byte" if scaling.get("by") == "bits_per_byte" else "nats"
    above = f" above a floor of {floor.value:.3g} {unit}" if floor and floor.value > 0 else ""
    doubts = f"over texts {texts}; over models {models}"
    return f"loss falls as the parameters grow, exponent {power} ({doubts}){above}"
