"""Are runs what their names say: the same prompts, one model's weights, and other ones of each
variant? By the fingerprints in their facts; a run without them says nothing.

Models with tokenizers of their own have prompts of their own, and their speeds may be compared.
Where the tokenizer is the same, other ids come from another chat template, another date in it, cut
prompts, or rules of the tokenizer (start tokens, normalizer).

Runs of one model read the same weight files. Two variants whose tensors are all the same are one
variant under two names, and the one says nothing about the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

# What decides which samples a run asks, and how long its prompts may be.
_SAMPLES = ("dataset", "samples", "samples drawn", "samples loaded", "new tokens", "seeds")
_CAUSES = {
    "chat_template_sha256": "the chat template",
    "template_date": "the date that it was told",
    "truncated_samples": "the prompts that were cut",
}


def other_prompts(rows: Sequence[Row]) -> list[str]:
    """Say of each group of rows that should have one fingerprint, and has several, who has which
    and what made it so.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.get("prompts") is not None:
            groups.setdefault(_asked(row), []).append(row)
    return [said for group in groups.values() if (said := _several(group))]


def _asked(row: Row) -> tuple[str, ...]:
    conditions = row["conditions"]
    return str(row["tokenizer"]), *(conditions.get(name, "") for name in _SAMPLES)


def _several(rows: Sequence[Row]) -> str:
    who: dict[str, list[str]] = {}
    for row in rows:
        who.setdefault(row["prompts"]["prompts_sha256"], []).append(row["label"])
    if len(who) < 2:
        return ""
    told = "; ".join(f"{digest} ({', '.join(labels)})" for digest, labels in who.items())
    causes = [
        words
        for name, words in _CAUSES.items()
        if any(row["prompts"].get(name) != rows[0]["prompts"].get(name) for row in rows)
    ]
    why = ", ".join(causes) or "rules of the tokenizer, such as its start token"
    return f"prompts: {told}: the same samples became other token ids; what differs: {why}"


def other_weights(rows: Sequence[Row]) -> list[str]:
    """Say of each model that several rows name whether they read the same files, and which of its
    variants have the same tensors.
    """
    models: dict[str, list[Row]] = {}
    for row in rows:
        if row.get("weights") is not None:
            models.setdefault(row["weights"]["model"], []).append(row)
    found: list[str] = []
    for model, group in models.items():
        files = _by_digest(group, "files_digest")
        if len(files) > 1:
            told = "; ".join(f"{digest} ({_labels(same)})" for digest, same in files.items())
            found.append(f"weight files of {model}: {told}: these are other weights of one name")
        for same in _by_digest(group, "tensors_digest").values():
            if len({row["variant"] for row in same}) > 1:
                found.append(f"weights: {_labels(same)} {ONE_MODEL}")
    return found


ONE_MODEL = "have the same tensors: they are one variant under several names"


def _by_digest(rows: Sequence[Row], name: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if digest := row["weights"].get(name):
            groups.setdefault(digest, []).append(row)
    return groups


def _labels(rows: Sequence[Row]) -> str:
    return ", ".join(row["label"] for row in rows)
