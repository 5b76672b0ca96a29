"""How are log-probabilities told? In four shapes, two for each API.

    completions   logprobs: lists of tokens, their values, the most likely ones, places in the text
    chat          logprobs.content: an object per token
    both          prompt_logprobs (vLLM's): null for the first token, then an object by id, in which
                  the token itself comes first

lm-eval takes a token for the model's own choice if its value is the largest of the most likely
ones. So a value is one number wherever it stands, and of two tokens with the same text the more
likely one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any

from sut.prompts.words import Words
from sut.serving.messages import Scored

Name = Callable[[int], str]
_LEAST = -9999.0  # what JSON has instead of minus infinity, as in vLLM


def named(words: Words, as_ids: bool) -> Name:
    """Return how tokens are called: by their text, or by number (`return_tokens_as_token_ids`)."""
    return (lambda number: f"token_id:{number}") if as_ids else words.name


def of_completion(
    name: Name, words: Words, first: Sequence[int], scored: Iterable[Scored], offset: int
) -> dict[str, Any]:
    """Return the lists of a completion. `first` is the token that nothing predicts, if it is told;
    the text of all of them begins at `offset`.
    """
    tokens = [name(number) for number in first]
    values: list[float | None] = [None for _ in first]
    tops: list[dict[str, float] | None] = [None for _ in first]
    lengths = [len(words.token(number)) for number in first]
    for one in scored:
        tokens.append(name(one.token))
        values.append(_finite(one.logprob))
        tops.append(_by_name(name, one))
        lengths.append(len(words.token(one.token)))
    *offsets, _ = accumulate(lengths, initial=offset)
    return {
        "tokens": tokens,
        "token_logprobs": values,
        "top_logprobs": tops,
        "text_offset": offsets,
    }


def of_chat(name: Name, words: Words, scored: Iterable[Scored]) -> dict[str, Any]:
    """Return the objects of a chat's answer."""

    def told(number: int, value: float) -> dict[str, Any]:
        return {
            "token": name(number),
            "logprob": _finite(value),
            "bytes": list(words.bytes(number)),
        }

    content = []
    for one in scored:
        top = zip(one.top_ids, one.top_logprobs, strict=True)
        entry = told(one.token, one.logprob)
        content.append(entry | {"top_logprobs": [told(number, value) for number, value in top]})
    return {"content": content}


def of_prompt(name: Name, scored: Iterable[Scored]) -> list[dict[str, Any] | None]:
    """Return vLLM's objects of a prompt's tokens."""
    return [None, *(_by_id(name, one) for one in scored)]


def _by_name(name: Name, one: Scored) -> dict[str, float]:
    found: dict[str, float] = {}
    pairs = [*zip(one.top_ids, one.top_logprobs, strict=True), (one.token, one.logprob)]
    for number, value in pairs:
        found.setdefault(name(number), _finite(value))
    return found


def _by_id(name: Name, one: Scored) -> dict[str, Any]:
    def told(number: int, value: float, rank: int) -> dict[str, Any]:
        return {"logprob": _finite(value), "rank": rank, "decoded_token": name(number)}

    found = {str(one.token): told(one.token, one.logprob, one.rank)}
    top = zip(one.top_ids, one.top_logprobs, strict=True)
    for rank, (number, value) in enumerate(top, start=1):
        found.setdefault(str(number), told(number, value, rank))
    return found


def _finite(value: float) -> float:
    return max(value, _LEAST)
