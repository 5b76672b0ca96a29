"""A server that speaks the OpenAI API as a SUT: what it can do is found out before the clock starts
(`sut.served.probe`), requests are made ready, and workers of ours send them on time
(`sut.served.client`).

Prompts are the ids that a local model would get, where the tokenizer is known and the server takes
ids; else the texts, which the server puts into its own chat template. In a timed part each request
begins with a salt of its own (`sut.served.salt`); in accuracy mode the answers must be the
reference's, so the prompts are sent as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from harness.kernel.answers import Hearer, Scrape, Window
from harness.kernel.protocols import Clock, Sink
from harness.kernel.types import MemoryUse, Query, Sample, SutFacts
from sut.served import counters
from sut.served.address import address
from sut.served.answers.read import answer
from sut.served.choices import Choices
from sut.served.client.calibration.capacity import workers_for
from sut.served.client.pool import Limits, Pool
from sut.served.client.remote.address import place
from sut.served.prompts import NONE
from sut.served.terms import Terms, terms


class Served:
    """`base_url` and what goes with it are the options of the same names; `model` "" stands for the
    only one that the server lists. `connections` are opened before the clock starts; `in_flight`
    requests at most are open at once (0: no limit). `sample_timeout_s` may pass between two reads
    of an answer. `load` is what is to come at most, in answers and pieces of answers per second: it
    says how many workers there are; `clients` are the machines that lend them ("host:port").

    Raises SetupFailed where there is no server, or none that will do; BadInput for an address that
    is none.
    """

    name = "served"

    def __init__(
        self,
        clock: Clock,
        *,
        base_url: str,
        model: str = "",
        endpoint: Literal["auto", "chat", "completions"] = "auto",
        tokenizer: str | None = None,
        api_key_env: str = "",
        ca_file: str = "",
        insecure: bool = False,
        shared_prefix: bool = False,
        connections: int = 32,
        in_flight: int = 0,
        sample_timeout_s: float = 120.0,
        load: tuple[float, float] = (0.0, 0.0),
        notes: Sequence[str] = (),
        clients: Sequence[str] = (),
    ) -> None:
        self._clock = clock
        self._address = address(base_url, api_key_env, ca_file, not insecure)
        self._asked = model, endpoint, tokenizer
        self._shared_prefix, self._is_timed = shared_prefix, True
        self._connections, self._load = connections, load
        stall_ns = int(sample_timeout_s * 1e9)
        total_ns = max(Limits().total_ns, stall_ns)
        self._limits = Limits(stall_ns=stall_ns, total_ns=total_ns, in_flight=in_flight)
        self._notes = list(notes)
        self._clients = [place(text, "--client") for text in clients]
        self._samples: list[Sample] = []
        self._are_plain = False
        self._prompts = NONE
        self._met: tuple[Terms, Pool] | None = None
        self._cold: dict[str, Any] = {}
        self._choices: Choices | None = None

    # ---- the SUT

    def announce(self, mode: Literal["performance", "accuracy"]) -> None:
        """See `harness.kernel.protocols.Announced`: only a timed part has salts."""
        self._is_timed = mode == "performance"

    def load(self, samples: Sequence[Sample], sink: Sink) -> None:
        """Find out what the server does, once; then make every request ready and open the
        connections.
        """
        self._are_plain = any(sample.is_plain for sample in samples)
        known = self._terms
        if list(samples) != self._samples:
            self._prompts, self._samples = known.prompts(samples), list(samples)
            known.try_longest(samples, self._prompts)
        is_cold = self._is_timed and not self._shared_prefix
        if is_cold and "head_tokens" not in self._cold:
            one_token = replace(self._samples[0], max_new_tokens=1)
            self._cold["head_tokens"] = known.head_tokens(one_token, self._prompts)
        salt = known.salt() if is_cold else None
        requests = {s.index: known.request(s, self._prompts, salt) for s in self._samples}
        self._pool.prepare(requests, salt)
        self._pool.warm(self._connections)
        self._pool.listen(sink)
        self._cold["salted"] = is_cold and not any(s.group is not None for s in self._samples)
        self._counted = counters.read(self._address)

    def dispatch(self, queries: Iterable[Query], window: Window, hearer: Hearer) -> int:
        return self._pool.dispatch(queries, window, hearer)

    def withdraw(self) -> None:
        self._pool.withdraw()

    def give_up(self) -> None:
        self._pool.give_up()

    def client(self) -> dict[str, Any]:
        return self._pool.facts()

    def issue(self, query: Query) -> None:
        self._pool.issue(query)

    def flush(self) -> None:
        """Requests never wait for a fuller batch."""

    def close(self) -> None:
        if self._met is not None:
            self._met[1].close()

    def memory(self) -> MemoryUse:
        return MemoryUse(source="a server: its memory is not known here")

    def facts(self) -> SutFacts:
        """Return what was found out before the clock; `after` has what only the part can tell."""
        notes = [*self._notes, *self._prompts.notes]
        facts = self._terms.facts() | self._prompts.facts | {"prompts": dict(self._cold)}
        if any(sample.must_fill for sample in self._samples):
            if self._terms.can_fill:
                facts["eos_ids"] = []  # one may stand anywhere in an answer
            else:
                notes.append("answers end where the model ends them: the server ignores ignore_eos")
        if self._are_plain and self._terms.found.endpoint == "chat":
            notes.append("prompts that are to be continued were sent as turns of a chat")
        if any(sample.draw for sample in self._samples) and not self._terms.shape.takes_seed:
            notes.append("the server takes no seed: another run would draw other answers")
        return facts | {"notes": notes}

    def after(self) -> SutFacts:
        """See `harness.kernel.protocols.Announced`."""
        counted = counters.between(self._counted, counters.read(self._address))
        return {"prompts": self._cold | ({"counters": counted} if counted else {})}

    def scrape(self) -> Scrape:
        """See `harness.kernel.protocols.OfServer`."""
        to = self._address
        url = f"{to.root}/metrics"
        return Scrape(url, to.host, to.port, to.ca_file, to.is_checked, to.key)

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        words = self._terms.words
        return None if words is None else words.decode(outputs)

    def choose(
        self, asked: Sequence[tuple[int, Sequence[str]]]
    ) -> list[tuple[int, list[float], list[int]]] | None:
        """See `harness.kernel.protocols.Chooser`. Return None of a server that takes no ids, or
        tells no likelihoods of them.
        """
        known = self._terms
        if known.words is None or not known.sends_ids:
            return None
        of = {sample.index: sample for sample in self._samples}
        pairs = known.words.pairs([(of[index], texts) for index, texts in asked])
        if self._choices is None:
            self._choices = Choices(self._address, known.found.model, known.found.context)
        losses = self._choices.losses([pair for own in pairs for pair in own])
        if losses is None:
            return None
        found = iter(losses)
        return [
            (index, [next(found) for _ in own], [len(pair.answer_ids) for pair in own])
            for (index, _), own in zip(asked, pairs, strict=True)
        ]

    # ---- the server

    @property
    def _terms(self) -> Terms:
        return self._meet()[0]

    @property
    def _pool(self) -> Pool:
        return self._meet()[1]

    def _meet(self) -> tuple[Terms, Pool]:
        """Find out what the server does, and start the workers; once."""
        if self._met is None:
            known = terms(self._address, *self._asked, self._are_plain)
            read = partial(answer, options=known.options)
            workers = workers_for(self._clock, *self._load)
            pool = Pool(self._clock, self._address, read, workers, self._limits, self._clients)
            self._met = known, pool
        return self._met
