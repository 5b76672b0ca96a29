"""What does the server get for a prompt: ids of our own making, as a local model gets them, or the
text, which it puts into its own chat template?
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

from harness.kernel.types import Sample
from sut.model.find import resolve
from sut.prompts import tokenizer
from sut.prompts.continuing import Pair, continued
from sut.prompts.encode import Encoder, Room, encode
from sut.prompts.pieces import pieces_text
from sut.served.requests import Prompt
from sut.served.salt import Salt, of_ids


class Prompts(NamedTuple):
    """Prompts by the index of their sample; facts of the run and notes about them."""

    of: dict[int, Prompt]
    facts: dict[str, Any]
    notes: list[str]
    opens: int = 0  # ids that stay in front of a salt


NONE = Prompts({}, {}, [])


class Words:
    """The tokenizer of the served model, as the user names it: a folder, an alias or a hub id.

    Raises SetupFailed where there is none.
    """

    def __init__(self, name: str) -> None:
        self._path = resolve(name, lambda text: None).path
        self._tokenizer = tokenizer.load(self._path)

    def prompts(self, samples: Sequence[Sample], context: int | None, salt_ids: int) -> Prompts:
        """Return the ids that a local model would get. Raises SetupFailed for a prompt that leaves
        no room for its answer.
        """
        room = None if context is None else context - salt_ids
        encoded = encode(self._tokenizer, samples, Room(room, None))
        start = self._tokenizer.bos_token_id
        opens = int(start is not None and all(ids[:1] == [start] for ids in encoded.ids.values()))
        facts = encoded.facts | {"tokenizer_sha256": self.fingerprint}
        return Prompts(dict(encoded.ids), facts, encoded.notes, opens)

    def pairs(self, asked: Sequence[tuple[Sample, Sequence[str]]]) -> list[list[Pair]]:
        """Return, for each (sample, texts that continue it), the ids of each."""
        return list(continued(self._encoder, asked))

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(self._tokenizer)

    def ends(self, text: str) -> list[int]:
        """Return where each token of a text ends, in characters."""
        made = self._tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        return [end for _, end in made["offset_mapping"]]

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str]:
        """Return the texts of ids, special tokens left out."""
        texts: list[str] = self._tokenizer.batch_decode(outputs, skip_special_tokens=True)
        return texts

    def salt(self) -> Salt:
        """Return a salt of ids that mean something plain."""
        return of_ids(self._tokenizer.vocab_size, self._tokenizer.all_special_ids)

    @cached_property
    def fingerprint(self) -> str:
        return tokenizer.fingerprint(self._tokenizer)

    @cached_property
    def eos_ids(self) -> frozenset[int]:
        """Return the ids that end an answer, as the files beside the tokenizer say."""
        from transformers import AutoConfig, GenerationConfig

        owners = [self._tokenizer]
        for kind in (AutoConfig, GenerationConfig):
            with suppress(OSError, ValueError):
                owners.append(kind.from_pretrained(self._path))
        return tokenizer.eos_ids(*owners)


def texts(samples: Sequence[Sample]) -> Prompts:
    """Return the prompts as they are."""
    found = {s.index: pieces_text(s.pieces) if s.pieces else s.prompt for s in samples}
    about = "no tokenizer is known: prompts of a wanted length are texts of about so many tokens"
    return Prompts(dict(found), {}, [about] if any(s.pieces for s in samples) else [])
