"""How many tokens came, and when? From the best that the server tells (see TOKEN_SOURCES).

    ids         exact. Both sides count them, so another figure of the server is a failure
    logprobs    one entry is one token; ids only where the server writes them as "token_id:17"
    usage       a count with every chunk (`continuous_usage_stats`, llama.cpp's
                `timings_per_token`): what it grew by came with that chunk
    tokenizer   a token came with the piece that holds its last character
    text        pieces of text, and the server's total where it tells one

Tokens of one chunk share its stamp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from harness.kernel.types import NEVER

Ends = Callable[[str], Sequence[int]]  # where each token of a text ends, in characters
_ID = "token_id:"
_MOST = 1 << 20  # tokens in one chunk: no server has so long an answer


class Part(msgspec.Struct, gc=False):  # made for every chunk: three times as fast as a tuple
    """What one chunk brought."""

    at_ns: int
    text: str = ""  # of the visible answer, tool calls included
    hidden: str = ""  # reasoning
    ids: list[int] | None = None
    entries: list[str | None] | None = None  # the tokens that have log-probabilities
    so_far: int = NEVER  # the server's count of all tokens up to here


class Counted(NamedTuple):
    """The tokens of an answer. `ids` None: only their number, or not even that, is known."""

    source: str
    ids: Sequence[int] | None
    stamps_ns: Sequence[int]
    total: int | None  # what is to be told beside the ids; None: they are to be counted


def counted(parts: Sequence[Part], total: int, ends: Ends | None) -> Counted:
    """Return the tokens of all parts. `total` is the server's own last figure, NEVER if none."""
    if any(part.ids for part in parts):
        return _by_ids(parts, total)
    return (
        _by_logprobs(parts, total)
        or _by_usage(parts, total)
        or _by_tokenizer(parts, total, ends)
        or _by_text(parts, total)
    )


def _by_ids(parts: Sequence[Part], total: int) -> Counted:
    ids: list[int] = []
    stamps: list[int] = []
    for part in parts:
        if part.ids:
            ids += part.ids
            stamps += [part.at_ns] * len(part.ids)
    return Counted("ids", ids, stamps, None if total == NEVER else total)


def _by_logprobs(parts: Sequence[Part], total: int) -> Counted | None:
    """Some servers leave the end token out of them; if more differs, they are no count."""
    with_entries = [part for part in parts if part.entries]
    tokens = [token for part in with_entries for token in part.entries or ()]
    stamps = [part.at_ns for part in with_entries for _ in part.entries or ()]
    if not tokens or (total != NEVER and not 0 <= total - len(tokens) <= 1):
        return None
    ids = _written_ids(tokens)
    told = len(tokens) if total == NEVER and ids is None else total
    return Counted("logprobs", ids, stamps, None if told == NEVER else told)


def _written_ids(tokens: Sequence[str | None]) -> list[int] | None:
    if not all(token and token.startswith(_ID) for token in tokens):
        return None
    digits = [(token or "").removeprefix(_ID) for token in tokens]
    if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in digits):
        return None
    return [int(text) for text in digits]


def _by_usage(parts: Sequence[Part], total: int) -> Counted | None:
    """A count that comes once, at the end, says nothing of when."""
    first = next((part for part in parts if part.text or part.hidden), None)
    if first is None or first.so_far < 1:
        return None
    stamps: list[int] = []
    for part in parts:
        if NEVER < part.so_far < len(stamps):
            return None
        stamps += [part.at_ns] * min(part.so_far - len(stamps), _MOST)
    is_all = total in (NEVER, len(stamps))
    return Counted("usage", None, stamps, len(stamps)) if is_all else None


def _by_tokenizer(parts: Sequence[Part], total: int, ends: Ends | None) -> Counted | None:
    if ends is None:
        return None
    pieces = [(part.at_ns, part.hidden + part.text) for part in parts]
    places = ends("".join(text for _, text in pieces))
    stamps: list[int] = []
    shown = 0
    for at_ns, text in pieces:
        shown += len(text)
        while len(stamps) < len(places) and places[len(stamps)] <= shown:
            stamps.append(at_ns)
    return Counted("tokenizer", None, stamps, len(stamps) if total == NEVER else total)


def _by_text(parts: Sequence[Part], total: int) -> Counted:
    stamps = [part.at_ns for part in parts if part.text or part.hidden]
    return Counted("text", None, stamps, None if total == NEVER else total)
