"""Where do prompts of a wanted length come from? From the words of a dataset, read on from a place
that is drawn; blocks that several prompts share have one place each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.kernel.errors import BadInput
from harness.kernel.types import Sample

MOST_TOKENS = 30_000_000  # in all prompts of a run: 200 MB of text
_BLOCK_SEED = 0x5EED
_WORD_OF_A_BLOCK = "part"


class Words:
    """The words of all prompts of a dataset, one after the other and round again."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._words = [word for sample in samples for word in sample.prompt.split()]

    def text(self, place: int, count: int) -> str:
        """Return so many words from a place on."""
        words, n = self._words, len(self._words)
        first = place % n
        found = words[first : first + count]
        while len(found) < count:
            found += words[: count - len(found)]
        return " ".join(found)

    def block(self, number: int, tokens: int) -> str:
        """Return the text of a block: always the same, and unlike that of any other."""
        place = np.random.RandomState([_BLOCK_SEED, number & 0xFFFF_FFFF]).randint(1 << 31)
        return f"{_WORD_OF_A_BLOCK} {number} {self.text(int(place), tokens)}"


def with_lengths(
    sample: Sample, words: Words, place: int, tokens: int, blocks: Sequence[int], block_tokens: int
) -> Sample:
    """Return the sample with a prompt of so many tokens, made of `blocks` as far as they go."""
    pieces, left = list[tuple[str, int]](), tokens
    for number in blocks:
        if left <= 0:
            break
        size = min(block_tokens, left)
        pieces.append((words.block(number, block_tokens), size))
        left -= size
    if left > 0:
        pieces.append((words.text(place, left), left))
    return replace(sample, prompt=_shown(pieces, tokens), pieces=tuple(pieces))


def _shown(pieces: Sequence[tuple[str, int]], tokens: int) -> str:
    """Return what stands for the prompt where it is shown: its beginning, and its length."""
    return f"{pieces[0][0][:80]}... ({tokens:,} tokens)"


def check_size(tokens: int, doing: str) -> None:
    """Refuse prompts that do not fit into memory. Raises BadInput."""
    if tokens > MOST_TOKENS:
        found = f"its prompts have {tokens:,} tokens together"
        fine = f"at most {MOST_TOKENS:,} are made ready before the clock starts"
        raise BadInput(doing, found, fine, "Choose a shorter window, or fewer samples.")
