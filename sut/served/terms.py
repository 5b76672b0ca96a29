"""How is this server asked? What was found out of it decides whether prompts go as ids or as texts,
by which of the API's calls, with which fields, and how its answers are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.kernel.types import NEVER, Sample
from sut.served import counters
from sut.served.address import Address
from sut.served.answers.read import Options, answer
from sut.served.client.heads import request
from sut.served.once import exchange
from sut.served.probe import Found, probe, try_one
from sut.served.probing.does import STOP, refused_fields
from sut.served.prompts import Prompts, Words, texts
from sut.served.requests import PATHS, Shape, body
from sut.served.salt import Salt, of_text, put

# What answers carry, by who counts their tokens.
_EVIDENCE = {"ids": ("ids", "counts", "text"), "text": ("text",)}
_COUNTED = ("counts", "text")


@dataclass(frozen=True, slots=True)
class Terms:
    address: Address
    found: Found
    shape: Shape
    words: Words | None  # the tokenizer, where it is known
    sends_ids: bool

    @property
    def options(self) -> Options:
        """Return how answers are read."""
        if self.words is None:
            return Options()
        return Options(self.words.ends, self.words.eos_ids)

    def prompts(self, samples: Sequence[Sample]) -> Prompts:
        """Return what is sent for each sample. Raises SetupFailed for one that does not fit."""
        if self.words is None or not self.sends_ids:
            return texts(samples)
        return self.words.prompts(samples, self.found.context, self.words.salt().length)

    def salt(self) -> Salt:
        """Return a salt that no other part has."""
        return self.words.salt() if self.words is not None and self.sends_ids else of_text()

    def body(self, sample: Sample, prompts: Prompts, salt: Salt | None) -> bytes:
        prompt = prompts.of[sample.index]
        tokens, shape = sample.max_new_tokens, self.shape
        if sample.must_fill and self.can_fill:
            shape = shape._replace(fields={**shape.fields, "ignore_eos": True})
        stop = tuple(filter(None, sample.stop)) if self.can_stop else ()
        return body(shape, prompt, tokens, salt, prompts.opens, sample.history, sample.draw, stop)

    @property
    def can_fill(self) -> bool:
        """Does the server go on after the model's own end, where it is asked to?"""
        return self._does("ignore_eos")

    @property
    def can_stop(self) -> bool:
        """Does the server end an answer at given texts?"""
        return self._does(STOP)

    def _does(self, what: str) -> bool:
        told = {row["what"]: row["found"] for row in self.found.rows}.get(what, "")
        return told.startswith(("yes", "taken;"))

    def request(self, sample: Sample, prompts: Prompts, salt: Salt | None) -> bytes:
        """Return the whole request of a sample."""
        path = PATHS[self.shape.endpoint]
        made = request(self.address, path, self.body(sample, prompts, salt))
        return made if sample.group is None else put(salt, made, sample.group)

    def try_longest(self, samples: Sequence[Sample], prompts: Prompts) -> None:
        """Ask for the longest sample once, where its tokens or the server's context are not known.
        Raises SetupFailed where the server has no room for it.
        """
        if self.sends_ids and self.found.context is not None:
            return
        longest = max(samples, key=lambda s: len(prompts.of[s.index]) + s.max_new_tokens)
        try_one(self.address, self.found, self.body(longest, prompts, None))

    def head_tokens(self, sample: Sample, prompts: Prompts) -> int:
        """Return how many tokens stand in front of a salt, as far as the server tells: what it had
        cached of a request that shares nothing else with the one before it.
        """
        salt, path = self.salt(), self.address.path + PATHS[self.shape.endpoint]
        asked = self.body(sample, prompts, salt)
        exchange(self.address, "POST", path, put(salt, asked, 0))
        before = counters.read(self.address)
        second = exchange(self.address, "POST", path, put(salt, asked, 1))
        cached = answer(second, self.options).seen.cached_tokens
        if cached == NEVER:
            counted = counters.between(before, counters.read(self.address))
            cached = int(counted.get("hits", 0))
        return max(cached, 0)

    def facts(self) -> dict[str, Any]:
        """Return what a reader should know of it."""
        found = self.found
        known: dict[str, Any] = {
            "model": found.model,
            "url": self.address.url,
            "endpoint": self.shape.endpoint,
            "server": found.server,
            "version": found.version,
            "context": found.context,
            "token_source": found.token_source,
            "evidence": list(_EVIDENCE.get(found.token_source, _COUNTED)),
            "connect_ms": found.connect_ms,
            "does": list(found.rows),
        }
        if self.words is not None:
            known["eos_ids"] = sorted(self.words.eos_ids)
        return known


def terms(
    address: Address,
    model: str,
    endpoint: Literal["auto", "chat", "completions"],
    tokenizer: str | None,
    is_plain: bool = False,
) -> Terms:
    """Find out what the server does; prompts that are to be continued are `is_plain`. Raises
    SetupFailed where there is none that will do.
    """
    words = None if tokenizer is None else Words(tokenizer)
    found = probe(address, model, endpoint, words is not None, is_plain)
    sends_ids = words is not None and found.takes_ids and found.endpoint == "completions"
    shape = Shape(found.endpoint, found.model, found.fields, found.limit)
    shape = shape._replace(takes_seed="seed" not in refused_fields(found.rows))
    return Terms(address, found, shape, words, sends_ids)
