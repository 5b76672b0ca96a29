"""Which ids are a prompt, and which a text that continues it? Cut as lm-eval cuts a pair.

Prompt and continuation are tokenised together, for a token may reach across; as many ids as the
prompt has by itself are the prompt's, the rest are the continuation's. White space that ends the
prompt belongs to the continuation: in most vocabularies a word's token begins with its space. (The
rule: EleutherAI/lm-evaluation-harness 0.4.13, `_encode_pair` in lm_eval/api/model.py.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from harness.kernel.types import Sample
from sut.prompts.encode import Encoder


class Pair(NamedTuple):
    """A prompt and what continues it."""

    prompt_ids: Sequence[int]
    answer_ids: Sequence[int]

    @property
    def length(self) -> int:
        return len(self.prompt_ids) + len(self.answer_ids)

    def fits(self, context: int | None) -> bool:
        return context is None or self.length <= context


def continued(
    encoder: Encoder, asked: Sequence[tuple[Sample, Sequence[str]]]
) -> Iterator[list[Pair]]:
    """Yield, for each (sample, texts), its prompt and each of the texts as ids."""
    with closing(encoder.template):
        for sample, texts in asked:
            prompt, is_opened = encoder.text_of(sample)
            kept = prompt.rstrip()
            yield [_pair(encoder, kept, prompt[len(kept) :] + one, is_opened) for one in texts]


def _pair(encoder: Encoder, prompt: str, text: str, is_opened: bool) -> Pair:
    """Return the ids. Where `is_opened` the tokenizer opens the text as it does (BOS)."""
    if not prompt:
        return Pair(encoder.start, encoder.bare(text))
    encode = encoder.opened if is_opened else encoder.bare
    prompt_ids = encode(prompt)
    return Pair(prompt_ids, encode(prompt + text)[len(prompt_ids) :])
