"""The same question in words that nobody has seen: as long, as hard, and not in any list of the
benchmark's prompts.

Numbers are replaced by others of as many digits, some words by others of the same meaning, the
opening of a question by another one; `rng` decides which. A prompt that offers nothing to change
has no fresh one, and neither has one whose length would change by more than a tenth (or two words):
length is time. Who recognises a question by its meaning, or knows this file, is not caught by it.
"""

from __future__ import annotations

import re
from random import Random

SPARE_WORDS, SPARE_SHARE = 2, 0.10

_VERBS = ("is", "are", "was", "were", "does", "do", "did", "makes", "happens")
_AMOUNTS = ("many", "much", "long", "far", "often", "old", "large")
_OPENINGS = (  # of about the same length; the first that fits
    *((f"What {verb}", f"What exactly {verb}") for verb in _VERBS),
    *((f"How {amount}", f"Exactly how {amount}") for amount in _AMOUNTS),
    ("How", "How exactly"), ("Why", "Why exactly"), ("Which", "Exactly which"),
    ("Who", "Who exactly"), ("Where", "Where exactly"), ("When", "When exactly"),
    ("What", "Tell me what"), ("If", "Suppose that"), ("In which", "In exactly which"),
    ("From which", "From exactly which"), ("Into which", "Into exactly which"), ("List", "Name"),
    ("Explain", "Describe"), ("Describe", "Explain"), ("Give", "State"), ("Name", "List"),
    ("Summarise", "Sum up"), ("Suggest", "Propose"), ("Translate", "Put"), ("Compare", "Contrast"),
    ("Some", "Certain"), ("Write", "Compose"),
)  # fmt: skip
_STRESS = ("exactly", "precisely", "actually", "really")
_ALIKE = (
    ("large", "big"), ("small", "little"), ("usually", "normally"), ("often", "frequently"),
    ("begin", "start"), ("begins", "starts"), ("happens", "occurs"), ("happen", "occur"),
    ("sensible", "useful"), ("important", "essential"), ("buy", "purchase"), ("buys", "purchases"),
    ("quickly", "rapidly"), ("difference", "distinction"), ("people", "persons"),
    ("person", "human being"), ("main", "chief"), ("whole", "entire"), ("reasons", "causes"),
    ("reason", "cause"), ("needs", "requires"), ("need", "require"), ("simple", "easy"),
    ("short", "brief"), ("briefly", "in short"), ("shop", "store"), ("shows", "displays"),
    ("house", "home"), ("children", "kids"), ("trip", "journey"), ("help", "aid"),
    ("while", "whilst"), ("about", "roughly"), ("near", "close to"),
)  # fmt: skip
_SWAPS = {a: b for pair in _ALIKE for a, b in (pair, pair[::-1])}


def fresh(prompt: str, rng: Random) -> str | None:
    """Return the prompt in other words and numbers; None if none is of about its length."""
    other = re.sub(r"\d+", lambda match: _other_number(match[0], rng), prompt)
    other = re.sub(
        r"[a-z]+",
        lambda match: _SWAPS.get(match[0], match[0]) if rng.random() < 0.8 else match[0],
        other,
    )
    opening = next((pair for pair in _OPENINGS if re.match(rf"{pair[0]}\b", other)), None)
    if opening and other == prompt:
        other = (
            re.sub("(?i)exactly", lambda match: _as(match[0], rng.choice(_STRESS)), opening[1])
            + other[len(opening[0]) :]
        )
    words = len(prompt.split())
    spare = max(SPARE_WORDS, SPARE_SHARE * words)
    return other if other != prompt and abs(len(other.split()) - words) <= spare else None


def _as(model: str, word: str) -> str:
    """Return the word with a capital where the model has one."""
    return word.capitalize() if model[0].isupper() else word


def _other_number(digits: str, rng: Random) -> str:
    """Return as many other digits; of a long number the first one stays, so that a year remains a
    year.
    """
    kept = 1 if len(digits) > 2 else 0
    head, tail = digits[:kept], digits[kept:]
    lowest = 10 if not kept and len(tail) == 2 and tail[0] != "0" else 0
    choice = rng.randrange(lowest, 10 ** len(tail) - 1)
    choice += choice >= int(tail)  # any but the same
    return f"{head}{choice:0{len(tail)}d}"
