"""Which texts end the answers to these samples, and how does a tokenizer write them?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from harness.kernel.types import Sample
from sut.engine.sampling.stops import Stops
from sut.prompts.words import Words


def stops_of(samples: Sequence[Sample], tokenizer: Any) -> dict[int, Stops]:
    """Return what ends the answers, by the index of the sample; of those alone that may stop."""
    words, made = Words(tokenizer), dict[tuple[str, ...], Stops]()
    found = dict[int, Stops]()
    for sample in samples:
        texts = tuple(filter(None, sample.stop))
        if not texts or sample.must_fill:
            continue
        if texts not in made:
            made[texts] = Stops(texts, words.bytes, partial(_is_in, tokenizer, words))
        found[sample.index] = made[texts]
    return found


def _is_in(tokenizer: Any, words: Words, ids: Sequence[int], texts: Sequence[str]) -> bool:
    """Say whether one of the texts stands in an answer as it is decoded after the run, or is a
    special token of it, which has no text there.
    """
    text = tokenizer.decode(ids, skip_special_tokens=True)
    if any(one in text for one in texts):
        return True
    whole, plain = words.whole_text(ids), words.text(ids)
    return any(one in whole and one not in plain for one in texts)
