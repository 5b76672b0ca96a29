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

from harness.kernel.answers import Hearer, Window
from harness.kernel.privacy import secrets
from harness.kernel.protocols import Clock, Sink
from harness.kernel.types import NEVER, MemoryUse, Query, Sample, SutFacts
from sut.served import counters
from sut.served.address import address
from sut.served.answers.read import Options, answer
from sut.served.client.heads import request
from sut.served.client.pool import Limits, Pool
from sut.served.once import exchange
from sut.served.probe import probe
from sut.served.prompts import Prompts, Words, texts
from sut.served.requests import PATHS, Endpoint, Shape, body
from sut.served.salt import Salt, of_text, put

# What answers carry, by who counts their tokens.
_EVIDENCE = {"ids": ["ids", "counts", "text"], "text": ["text"]}
_COUNTED = ["counts", "text"]


class Served:
    """`base_url` and what goes with it are the options of the same names; `model` "" stands for the
    only one that the server lists. `connections` are opened before the clock starts, `in_flight`
    requests at most are open at once (0: no limit).

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
        workers: int = 1,
        notes: Sequence[str] = (),
    ) -> None:
        self._clock = clock
        self._address = address(base_url, api_key_env, ca_file, not insecure)
        secrets.also(self._address.key)
        self._model, self._endpoint = model, endpoint
        self._tokenizer_name, self._words = tokenizer, None
        self._shared_prefix, self._is_timed = shared_prefix, True
        self._connections, self._workers = connections, workers
        self._limits = Limits(in_flight=in_flight)
        self._notes = list(notes)
        self._samples: list[Sample] = []
        self._pool: Pool | None = None

    # ---- the SUT

    def announce(self, mode: Literal["performance", "accuracy"]) -> None:
        """See `harness.kernel.protocols.Announced`: only a timed part has salts."""
        self._is_timed = mode == "performance"

    def load(self, samples: Sequence[Sample], sink: Sink) -> None:
        """Find out what the server does, once; then make every request ready and open the
        connections.
        """
        if self._pool is None:
            self._meet(samples)
        if list(samples) != self._samples:
            self._prompts, self._samples = self._encoded(samples), list(samples)
        salt = self._salt()
        path = PATHS[self._shape.endpoint]
        requests = {
            sample.index: request(self._address, path, self._body(sample, salt))
            for sample in self._samples
        }
        self._pool.prepare(requests, salt)
        self._pool.warm(self._connections)
        self._pool.listen(sink)
        self._before = counters.read(self._address)
        self._is_salted = salt is not None

    def dispatch(self, queries: Iterable[Query], window: Window, hearer: Hearer) -> int:
        return self._pool.dispatch(queries, window, hearer)

    def withdraw(self) -> None:
        self._pool.withdraw()

    def give_up(self) -> None:
        self._pool.give_up()

    def issue(self, query: Query) -> None:
        self._pool.issue(query)

    def flush(self) -> None:
        """Requests never wait for a fuller batch."""

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()

    def memory(self) -> MemoryUse:
        return MemoryUse(source="a server: its memory is not known here")

    def facts(self) -> SutFacts:
        """Return what was found out before the clock; `after` has what only the part can tell."""
        found = self._found
        return {
            "model": found.model,
            "url": self._address.url,
            "endpoint": self._shape.endpoint,
            "server": found.server,
            "version": found.version,
            "context": found.context,
            "token_source": found.token_source,
            "evidence": _EVIDENCE.get(found.token_source, _COUNTED),
            "does": found.rows,
            "prompts": self._kept_cold(),
            "notes": [*self._notes, *self._prompts.notes],
            **self._prompts.facts,
            **({"eos_ids": sorted(self._words.eos_ids)} if self._words else {}),
        }

    def after(self) -> SutFacts:
        """See `harness.kernel.protocols.Announced`."""
        counted = counters.between(self._before, counters.read(self._address))
        return {"prompts": self._kept_cold() | ({"counters": counted} if counted else {})}

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        return None if self._words is None else self._words.decode(outputs)

    def _kept_cold(self) -> dict[str, Any]:
        return {"salted": self._is_salted, "head_tokens": self._head_tokens}

    # ---- before the clock

    def _meet(self, samples: Sequence[Sample]) -> None:
        """Find out what the server does, and start the workers."""
        if self._tokenizer_name is not None:
            self._words = Words(self._tokenizer_name)
        ends = None if self._words is None else self._words.ends
        self._found = probe(self._address, self._model, self._endpoint)
        self._sends_ids = self._words is not None and self._found.takes_ids
        endpoint: Endpoint = "completions" if self._sends_ids else self._found.endpoint
        self._shape = Shape(endpoint, self._found.model, self._found.fields, self._found.limit)
        eos_ids = frozenset() if self._words is None else self._words.eos_ids
        self._options = Options(ends, eos_ids)
        read = partial(answer, options=self._options)
        self._prompts, self._samples = self._encoded(samples), list(samples)
        self._head_tokens = self._opening()
        self._pool = Pool(self._clock, self._address, read, self._workers, self._limits)

    def _encoded(self, samples: Sequence[Sample]) -> Prompts:
        if not self._sends_ids:
            return texts(samples)
        return self._words.prompts(samples, self._found.context, self._words.salt().length)

    def _salt(self) -> Salt | None:
        if self._shared_prefix or not self._is_timed:
            return None
        return self._words.salt() if self._sends_ids else of_text()

    def _body(self, sample: Sample, salt: Salt | None) -> bytes:
        prompt, opens = self._prompts.of[sample.index], self._prompts.opens
        return body(self._shape, prompt, sample.max_new_tokens, salt, opens)

    def _opening(self) -> int:
        """Return how many tokens stand in front of a salt, as far as the server tells: what it had
        cached of a request that shares nothing else with the one before it.
        """
        salt, path = self._salt(), self._address.path + PATHS[self._shape.endpoint]
        if salt is None:
            return 0
        asked = self._body(replace(self._samples[0], max_new_tokens=1), salt)
        for number in range(2):
            before = counters.read(self._address)
            found = exchange(self._address, "POST", path, put(salt, asked, number))
            cached = answer(found, self._options).seen.cached_tokens
        if cached == NEVER:
            counted = counters.between(before, counters.read(self._address))
            cached = int(counted.get("hits", 0))
        return max(cached, 0)
