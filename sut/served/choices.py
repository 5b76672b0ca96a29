"""How likely does a server find given continuations of prompts? Asked as perplexity asks
(`sut.served.likelihood`), each continuation with its prompt in a request of its own, several at a
time. A server with a prefix cache computes a prompt once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from harness.kernel.errors import RunBroke, SetupFailed
from sut.prompts.continuing import Pair
from sut.served import likelihood
from sut.served.address import Address
from sut.served.answers import classes
from sut.served.likelihood import Way

_AT_ONCE = 16  # requests
_NAMED = 1  # of the likeliest tokens of a position: nobody reads them
_UNUSED = 1  # token that a request asks for, and that the context has to have room for
_NEVER = math.inf  # of what the server cannot be asked


class Choices:
    """A server that answers for a model with `context` tokens (None: it does not say)."""

    def __init__(self, server: Address, model: str, context: int | None) -> None:
        self._server, self._model, self._context = server, model, context
        self._ask = likelihood.asking(server, _pause)
        self._way: Way | None = None
        self._tells = True

    def losses(self, pairs: Sequence[Pair]) -> list[float] | None:
        """Return the negative log likelihood (nats) of each pair's answer, infinite where it has
        no tokens or does not fit; None where the server tells none. Raises RunBroke, SetupFailed.
        """
        asked = [pair for pair in pairs if self._can_ask(pair)]
        if not asked:
            return [_NEVER] * len(pairs)
        if self._way is None and self._tells:
            self._way = self._found(asked[0])
        if self._way is None:
            return None
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(self._loss, asked)
            return [next(found) if self._can_ask(pair) else _NEVER for pair in pairs]

    def _can_ask(self, pair: Pair) -> bool:
        has_ids = bool(pair.prompt_ids) and bool(pair.answer_ids)
        return has_ids and (self._context is None or pair.length + _UNUSED <= self._context)

    def _found(self, pair: Pair) -> Way | None:
        """Return how this server is asked; None where it tells nothing of prompts."""
        try:
            return likelihood.find(self._ask, self._model, _ids(pair), _NAMED)
        except SetupFailed:
            self._tells = False
            return None

    def _loss(self, pair: Pair) -> float:
        assert self._way is not None
        ids = _ids(pair)
        exchange = self._ask(self._way.request(self._model, ids))
        failure, words = classes.of_head(exchange)
        if failure:
            raise self._broke(words)
        try:
            told = likelihood.read(self._way, exchange, ids)
        except likelihood.Lacking as lacking:
            raise self._broke(f"{lacking}, unlike before") from None
        return -float(told.after(len(pair.prompt_ids) - 1).log_probs.sum())

    def _broke(self, found: str) -> RunBroke:
        return RunBroke(f"the server at {self._server.url}", found, "", "See the server's log.")


def _pause(for_ns: int) -> None:
    """Wait, on whichever thread: a clock has one of its own."""
    Event().wait(for_ns / 1e9)


def _ids(pair: Pair) -> list[int]:
    return [*pair.prompt_ids, *pair.answer_ids]
