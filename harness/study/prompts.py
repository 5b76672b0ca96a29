"""Were runs of one tokenizer over the same samples asked the same? By the fingerprints of their
prompts' ids.

Models with tokenizers of their own have prompts of their own, and their speeds may be compared.
Where the tokenizer is the same, other ids come from another chat template, another date in it, cut
prompts, or rules of the tokenizer (start tokens, normalizer).
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
