"""What does a comparison say in words? Who leads, what is a tie, who keeps the reference's quality,
what was not measured and what may not be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.kernel.words.figure import number, size

Comparison = Mapping[str, Any]


def sentences(found: Comparison) -> list[str]:
    """Return the verdict in words, one line each."""
    verdict, rows = found["verdict"], {row["label"]: row for row in found["rows"]}
    told = [
        _lead_sentence(verdict, rows, "fastest", _speed_text, "speed_ratio"),
        _lead_sentence(verdict, rows, "smallest", _size_text, "weights_ratio"),
        _lead_sentence(verdict, rows, "best", _TEXTS[verdict["best_by"]]),
        _unranked_sentence(verdict),
        *_keeping_sentences(found),
    ]
    return list(filter(None, told))


Told = Callable[[Mapping[str, Any]], str]


def _lead_sentence(
    verdict: Mapping[str, Any],
    rows: Mapping[str, Mapping[str, Any]],
    what: str,
    text: Told,
    ratio: str = "",
) -> str:
    lead = verdict["leads"].get(what)
    if lead is None:
        return ""
    if lead["tied"]:
        return f"{what}: a tie of {_tie(lead, rows, text, bool(ratio))}"
    best, reference = lead["label"], verdict["reference"]
    words = f"{what}: {best}, {text(rows[best])}"
    if best != reference and reference in rows and ratio and rows[best][ratio]:
        words += f", {rows[best][ratio]:.2f}x of {reference}"
    if not lead["judged"]:
        return f"{words}, by the figure alone"
    return words + _ahead(lead, ratio)


def _tie(
    lead: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], text: Told, is_ratio: bool
) -> str:
    """Name everybody in it with figures, and how far apart they may be."""
    parts = [f"{lead['label']}, {text(rows[lead['label']])}"]
    for label in lead["tied"]:
        low, high = lead["others"][label]["low"], lead["others"][label]["high"]
        between = f" ({_interval(low, high, is_ratio)})" if low != high else ""
        parts.append(f"{label}, {text(rows[label])}{between}")
    return f"{'; '.join(parts[:-1])}; and {parts[-1]}" if len(parts) > 2 else " and ".join(parts)


def _ahead(lead: Mapping[str, Any], ratio: str) -> str:
    """Say how far ahead of the next one it certainly is."""
    known = {
        label: other
        for label, other in lead["others"].items()
        if other["low"] is not None and other["low"] != other["high"]
    }
    if not known:
        return ""
    equality = 1.0 if ratio else 0.0
    second = min(known, key=lambda label: abs(known[label]["value"] - equality))
    low, high = known[second]["low"], known[second]["high"]
    if ratio:
        return f"; the next, {second}, has {low:.2f}x to {high:.2f}x of that"
    less, more = sorted(map(abs, (low, high)))
    return f"; the next, {second}, is {less:.4g} to {more:.4g} {'higher' if low > 0 else 'lower'}"


def _interval(low: float, high: float, is_ratio: bool) -> str:
    return f"{low:.2f} to {high:.2f}x" if is_ratio else f"{low:+.4f} to {high:+.4f}"


def _speed_text(row: Mapping[str, Any]) -> str:
    return f"{number(row['tokens_per_s'])} tokens/s"


def _size_text(row: Mapping[str, Any]) -> str:
    return size(row["weights_bytes"])


_TEXTS: Mapping[str, Told] = {
    "eval_loss": lambda row: f"loss {row['eval_loss']:.4f}",
    "rougeL": lambda row: f"ROUGE-L {row['rougeL']:.2f}",
}


def _unranked_sentence(verdict: Mapping[str, Any]) -> str:
    if not verdict["unranked"]:
        return ""
    return "losses are not ranked: the models have different tokenizers, and a loss is per token"


def _keeping_sentences(found: Comparison) -> list[str]:
    """Say who keeps each share of the reference's ROUGE and length, and why others fail."""
    verdict = found["verdict"]
    rows = [row for row in found["rows"] if row["label"] != verdict["reference"]]
    told = []
    for share in verdict["rouge_kept"]:
        words = [_keeping_text(row, share) for row in rows if row[f"keeps_{share}"]]
        if words:
            told.append(f"{share} % of {verdict['reference']} kept: {'; '.join(words)}")
    if not told and any(row["rouge_ratio"] for row in rows):
        why = next((row["not_judged"] for row in rows if row["not_judged"]), "")
        told.append(f"no verdict on keeping the ROUGE of {verdict['reference']}: {why}")
    return told


def _keeping_text(row: Mapping[str, Any], share: str) -> str:
    """Say whether a row keeps a share, and why it does not or why nobody can tell."""
    word = row[f"keeps_{share}"]
    is_told = word == "FAIL" or (word == "UNDECIDED" and row["rouge_ratio"] is None)
    return f"{row['label']} {word}" + (f", {row['keeps_reasons'][share]}" if is_told else "")


def missing(found: Comparison) -> list[str]:
    """Name the variants without figures, and say why."""
    parts = {"not measured": found["verdict"]["failed"], "interrupted, not run": found["not_run"]}
    return [f"{what}: {', '.join(labels)}" for what, labels in parts.items() if labels]


def doubts(found: Comparison) -> list[str]:
    """Say which runs were edited after they were measured, and of which nobody can tell."""
    return list(found.get("notes", ()))


def comparable_text(found: Comparison) -> str:
    if sum(bool(row["conditions"]) for row in found["rows"]) < 2:
        return "nothing to compare with"
    if found["comparable"]:
        return "comparable: yes, the same load on the same data and machine"
    return "comparable: NO, these differ: " + "; ".join(
        f"[{i}] {what}" for i, what in enumerate(found["differences"], 1)
    )


def subject(found: Comparison) -> str:
    rows = found["rows"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    known: list[Mapping[str, str]] = [row["conditions"] for row in rows if row["conditions"]]
    load = [known[0][key] for key in ("scenario", "dataset") if known[0].get(key)] if known else []
    what = "variant" if len({row["variant"] for row in rows}) == len(rows) else "run"
    return " · ".join([", ".join(models), *load, f"{len(rows)} {what}{'s' * (len(rows) != 1)}"])
