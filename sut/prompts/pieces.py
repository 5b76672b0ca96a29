"""What is a prompt of a wanted length, and one with turns before it, made of?

A piece is a text and the number of its tokens that are wanted; it has at least as many words. Where
nobody has a tokenizer, three words stand for four tokens, as in English prose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

WORDS_PER_TOKEN = 0.75

Pieces = Sequence[tuple[str, int]]


def pieces_ids(
    pieces: Pieces, encode: Callable[[str], list[int]], start_id: int | None
) -> list[int]:
    """Return ids, the start of the text included: as many as are wanted of all pieces together."""
    found = [] if start_id is None else [start_id]
    for text, tokens in pieces:
        ids = encode(text)
        while ids and len(ids) < tokens:
            ids = ids + ids
        found += ids[:tokens]
    return found[: max(sum(tokens for _, tokens in pieces), 1)]


def pieces_text(pieces: Pieces) -> str:
    """Return a text of about as many tokens."""
    words = list[str]()
    for text, tokens in pieces:
        words += text.split()[: max(round(WORDS_PER_TOKEN * tokens), 1)]
    return " ".join(words)


def transcript(history: Sequence[tuple[str, str]], prompt: str) -> str:
    """Return the turns of a conversation as one text, for models without a chat template."""
    return "\n\n".join([*(text for _, text in history), prompt])
