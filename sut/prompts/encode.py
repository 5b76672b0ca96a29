"""Which ids does the model get for a prompt? Its text through the chat template, if there is one,
and the tokenizer.

Special tokens: a template writes its own, so the tokenizer adds none to it. Without a template the
tokenizer opens the text as it does (BOS); what it would close the text with is left out, for the
answer continues the text. Words in a prompt that are the name of a special token become that token,
as transformers does it.

`prompts_sha256` is a fingerprint of all these ids: answers of two runs can be compared where both
were asked the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from harness.kernel.errors import SetupFailed
from harness.kernel.types import Sample
from sut.prompts.pieces import pieces_ids, pieces_text, transcript
from sut.prompts.specials import around, plain_text, special_ids
from sut.prompts.template import DATE, ChatTemplate, counted
from sut.prompts.vocabulary import check_ids

_MANY_UNKNOWN = 0.01  # of the prompts' tokens


class Room(NamedTuple):
    """What the model takes: `context` tokens (None: any number), ids below `rows` (None: not known
    yet); whether prompts that are longer are cut.
    """

    context: int | None
    rows: int | None
    truncate: bool = False


class Prompts(NamedTuple):
    """Ids by the index of their sample; facts of the run and notes about them."""

    ids: dict[int, list[int]]
    facts: dict[str, Any]
    notes: list[str]


NONE = Prompts({}, {}, [])


def encode(tokenizer: Any, samples: Sequence[Sample], room: Room) -> Prompts:
    """Tokenise the prompt of every sample; refuse (or cut at the front, if `room.truncate`) those
    that leave no room for the answer. Raises SetupFailed naming the sample.
    """
    encoder = Encoder(tokenizer)
    ids, truncated = dict[int, list[int]](), list[int]()
    with closing(encoder.template):
        for sample in samples:
            made = encoder.ids_of(sample)
            check_ids(f"sample {sample.index}", made, room.rows, tokenizer)
            ids[sample.index] = _fitting(sample, made, room)
            if len(ids[sample.index]) < len(made):
                truncated.append(sample.index)
    facts = encoder.facts() | {"prompts_sha256": fingerprint(ids), "truncated_samples": truncated}
    return Prompts(ids, facts, encoder.notes())


def fingerprint(ids: Mapping[int, Sequence[int]]) -> str:
    """Return the first 16 digits of a hash over (index, ids), in the order of the indices."""
    digest = hashlib.sha256()
    for index in sorted(ids):
        digest.update(f"{index}:{','.join(map(str, ids[index]))}\n".encode())
    return digest.hexdigest()[:16]


class Encoder:
    """Prompts to ids, and what was noticed on the way."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.template = ChatTemplate(tokenizer)
        self._after = [] if self.template.is_there else around(tokenizer).after
        self._special = special_ids(tokenizer)
        self._start_id, self._end_id = tokenizer.bos_token_id, tokenizer.eos_token_id
        self._unknown_id = tokenizer.unk_token_id
        self._usual_specials: int | None = None
        self._with_specials: list[str] = []
        self._closed: list[str] = []
        self._opened_twice: list[str] = []
        self._tokens = self._unknown = 0

    def ids_of(self, sample: Sample) -> list[int]:
        """Return the ids of a sample's prompt, the turns before it or its pieces included. Raises
        SetupFailed for one that becomes nothing.
        """
        name = f"sample {sample.index}"
        if sample.pieces:
            return pieces_ids(sample.pieces, self.bare, self._start_id)
        if sample.is_plain:
            return self.ids(sample.prompt, name, is_plain=True)
        if not sample.history:
            return self.ids(sample.prompt, name)
        if not self.template.is_there:
            return self.ids(transcript(sample.history, sample.prompt), name)
        ids = self.bare(self.template.conversation(sample.history, sample.prompt, name))
        self._look_at(ids, name)
        return ids

    def ids(self, prompt: str, name: str, is_plain: bool = False) -> list[int]:
        """Return the ids of a prompt; one that `is_plain` goes without the chat template. Raises
        SetupFailed for one that becomes nothing.
        """
        made = self._made(prompt, name, is_plain)
        self._look_at(made, name)
        return made

    def _made(self, prompt: str, name: str, is_plain: bool = False) -> list[int]:
        if self.template.is_there and not is_plain:
            text = self.template.prompt(prompt, name)
            ids = self.bare(text)
        else:
            ids = self.opened(prompt)
            if prompt.strip() and not set(ids) - self._special and not self.bare(prompt):
                found = "the tokenizer makes no token of its text"
                raise SetupFailed(name, found, "expected at least one", "Leave the sample out.")
        ids = ids or self.start
        if not ids:
            fine = "an answer needs a token to begin with"
            raise SetupFailed(name, "its prompt has no tokens", fine, "Leave the sample out.")
        return ids

    def text_of(self, sample: Sample) -> tuple[str, bool]:
        """Return the text that a sample's prompt becomes, and whether the tokenizer opens it: a
        chat template does that itself. Raises SetupFailed for one that the template refuses.
        """
        name = f"sample {sample.index}"
        if sample.pieces:
            return pieces_text(sample.pieces), True
        if sample.is_plain:
            return sample.prompt, True
        if not self.template.is_there:
            return transcript(sample.history, sample.prompt), True
        if sample.history:
            return self.template.conversation(sample.history, sample.prompt, name), False
        return self.template.prompt(sample.prompt, name), False

    @property
    def start(self) -> list[int]:
        """Return what stands for a prompt without text: BOS, if there is one."""
        return [] if self._start_id is None else [self._start_id]

    def opened(self, text: str) -> list[int]:
        """Return the ids of a text as the tokenizer opens it; what it would close it with is left
        out.
        """
        ids: list[int] = self._tokenizer(text, verbose=False)["input_ids"]
        has_end = self._after and ids[-len(self._after) :] == self._after
        return ids[: -len(self._after)] if has_end else ids

    def bare(self, text: str) -> list[int]:
        """Return the ids of a text without any around it."""
        made = self._tokenizer(text, add_special_tokens=False, verbose=False)
        ids: list[int] = made["input_ids"]
        return ids

    def _look_at(self, ids: Sequence[int], name: str) -> None:
        specials = sum(map(self._special.__contains__, ids))
        if specials > self._usual(name):
            self._with_specials.append(name)
        if ids[-1] == self._end_id:
            self._closed.append(name)
        if len(ids) > 1 and ids[0] == ids[1] == self._start_id:
            self._opened_twice.append(name)
        self._tokens += len(ids)
        self._unknown += ids.count(self._unknown_id)

    def _usual(self, name: str) -> int:
        """Return how many special tokens stand around a prompt without any."""
        if self._usual_specials is None:
            changed = list(self.template.changed)
            ids = self._made(plain_text(self._tokenizer)[0], name)
            self.template.changed = changed
            self._usual_specials = sum(map(self._special.__contains__, ids))
        return self._usual_specials

    def facts(self) -> dict[str, Any]:
        """Return what the run says of its prompts."""
        text = self._tokenizer.chat_template
        digest = hashlib.sha256(str(text).encode()).hexdigest()[:16]
        return {
            "chat_template": self.template.is_there,
            "chat_template_sha256": digest if self.template.is_there else None,
            "template_date": f"{DATE:%Y-%m-%d}" if self.template.asks_for_date else None,
            "end_ids_left_out": self._after,
            "unknown_tokens": self._unknown,
        }

    def notes(self) -> list[str]:
        """Say what a reader of the answers must know."""
        said = list(self.template.notes())
        if self._after:
            tokens = " ".join(self._tokenizer.convert_ids_to_tokens(self._after))
            said.append(
                f"its tokenizer closes each text with {tokens}: left out of the prompts, which the"
                " answers continue"
            )
        if self._closed:
            end = self._tokenizer.eos_token
            said.append(f"{_they(self._closed, 'end')} with {end}: the answers begin after an end")
        if self._opened_twice:
            start = self._tokenizer.bos_token
            said.append(f"{_they(self._opened_twice, 'begin')} with {start} twice")
        if self._with_specials:
            said.append(
                f"{_they(self._with_specials, 'contain')} the name of a special token, which"
                " becomes that token"
            )
        if self._unknown > _MANY_UNKNOWN * self._tokens:
            share = 100 * self._unknown / self._tokens
            unknown = self._tokenizer.unk_token
            said.append(f"{share:.3g} % of the prompts' tokens are {unknown}: text it cannot read")
        return said


def _they(names: Sequence[str], verb: str) -> str:
    return f"{counted(names)} {verb}{'s' if len(names) == 1 else ''}"


def _fitting(sample: Sample, ids: list[int], room: Room) -> list[int]:
    """Return as many of the last ids as leave room for the answer. Raises SetupFailed."""
    if room.context is None or len(ids) + sample.max_new_tokens <= room.context:
        return ids
    kept = room.context - sample.max_new_tokens
    if room.truncate and kept > 0:
        return ids[-kept:]
    raise _too_long(sample, len(ids), room.context)


def _too_long(sample: Sample, tokens: int, context: int) -> SetupFailed:
    found = f"its prompt has {tokens} tokens and the answer may take {sample.max_new_tokens}"
    fine = f"the model's context is {context} tokens"
    todo = "Shorten the prompt, lower --max-new-tokens, or pass --truncate."
    return SetupFailed(f"sample {sample.index}", found, fine, todo)
