"""Which prompts are tried before a model is served? Texts of the lengths that the run will reach,
the short beside the long.

Two trials. The short one has three prompts of a few tokens and is of every load. The long one has
the lengths of the run itself: its shortest prompt, its longest text, and for every border that
answers cross a prompt that ends just before it. A border is a length at which a model may begin to
compute something else: a sliding window, a chunk of attention, the original context of LongRoPE or
of a dynamic scaling. The configuration names them under many names, so every number counts that is
no width, count or id.

Models that compute the same at every length pass both alike. Lengths are in tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from sut.engine.batching import PREFILL_TOKENS

_STEPS_SHORT, _STEPS_LONG = 3, 4
_SEED = 20261127
_MOST_CROSSED = 4  # borders, the lowest first
_NO_LENGTH = re.compile(
    r"(^|_)(id|ids|dims?|rank|heads?|layers?|experts?|groups?|num|n|d|version|seed"
    r"|hidden|vocab|intermediate|ffn|embd|width|kernel|expand|stages|scalar|topk_group)(_|$)"
    r"|(size|idx|index)$"
)
_LENGTH = re.compile(r"window|chunk|block|context|position|length|seq|ctx|span|local|mem_len")


class Span(NamedTuple):
    """Of one request of the run: tokens of its prompt, and of both prompt and answer."""

    prompt: int
    total: int

    @classmethod
    def of(cls, prompt: int, answer: int) -> Span:
        return cls(prompt, prompt + answer)


class Trial(NamedTuple):
    """Prompts that are served together, the shortest first, and the tokens that follow each.

    Prompts of more than `piece_tokens` are fed in pieces of that size, each prompt by itself.
    """

    prompts: tuple[tuple[int, ...], ...]  # B
    following: tuple[tuple[int, ...], ...]  # B, each of S tokens
    piece_tokens: int
    borders: tuple[int, ...] = ()  # that a prompt with what follows it crosses

    @property
    def longest(self) -> int:
        return len(self.prompts[-1]) + len(self.following[-1])

    def covers(self, other: Trial) -> bool:
        """Say whether whoever passes this one need not take the other."""
        return (
            len(self.prompts[0]) <= len(other.prompts[0])
            and other.longest <= self.longest
            and set(other.borders) <= set(self.borders)
        )


def short_trial(model: Any) -> Trial:
    """Return the trial of every load: three short prompts and three steps."""
    return _trial(model, (3, 7, 12), _STEPS_SHORT, piece_tokens=7)


def long_trial(model: Any, spans: Sequence[Span]) -> Trial | None:
    """Return the trial of a run's own lengths; None if the short one reaches as far."""
    longest = max((span.total for span in spans), default=0)
    if longest <= short_trial(model).longest:
        return None
    shortest = min(span.prompt for span in spans)
    crossed = [b for b in borders(model.config, longest) if _is_crossed(b, spans)][:_MOST_CROSSED]
    lengths = {shortest, longest - _STEPS_LONG, *(border - 1 for border in crossed)}
    lengths = {min(max(length, 1), longest - _STEPS_LONG) for length in lengths}
    return _trial(model, sorted(lengths), _STEPS_LONG, PREFILL_TOKENS, tuple(crossed))


def borders(config: Any, longest: int) -> list[int]:
    """Return the lengths below `longest` at which the configuration may name a border."""
    text = config.get_text_config(decoder=True)
    named = set(_numbers(config.to_dict())) | set(_numbers(text.to_dict()))
    return sorted(number for number in named if 2 <= number < longest)


def _numbers(fields: dict[str, Any]) -> Iterator[int]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _numbers(value)
        elif type(value) is int and (_LENGTH.search(name) or not _NO_LENGTH.search(name)):
            yield value


def _is_crossed(border: int, spans: Iterable[Span]) -> bool:
    return any(span.prompt <= border < span.total for span in spans)


def _trial(
    model: Any,
    lengths: Sequence[int],
    steps: int,
    piece_tokens: int,
    crossed: tuple[int, ...] = (),
) -> Trial:
    """Return texts whose ids lie in the middle of the vocabulary: the first are special, and odd in
    few bits. Drawn, not counted: whoever sees another part of a text must see other tokens.
    """
    size = model.config.get_text_config(decoder=True).vocab_size
    first, last = size // 4, max(size * 3 // 4, 1)
    drawn = Random(_SEED)
    texts = [
        tuple(drawn.randrange(first, last) for _ in range(length + steps)) for length in lengths
    ]
    prompts = tuple(text[:-steps] for text in texts)
    return Trial(prompts, tuple(text[-steps:] for text in texts), piece_tokens, crossed)
