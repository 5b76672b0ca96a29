"""A model behind an address, to be asked for the losses of texts.

The texts are cut into ids and windows here, exactly as for a model that is loaded here, so that the
figures of both compare. The server is asked for each window once (`sut.served.likelihood`); a
request that it has no room for is sent again when it says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.kernel.clock import RealClock
from harness.kernel.errors import RunBroke, SetupFailed
from sut.likelihood import distributions, partly
from sut.likelihood.job import Columns, Job
from sut.likelihood.local import beside
from sut.likelihood.passages import Passage
from sut.likelihood.windows import windows
from sut.likelihood.writing import Writer
from sut.prompts import tokenizer
from sut.served import likelihood
from sut.served.address import address
from sut.served.answers import classes
from sut.served.likelihood import Named

_BY_TEXT = "the server names the likeliest tokens by their text, which several may have"
_EXTRA = 2  # tokens of a server's context that are not input: the last of a window, and an answer


class Served:
    """See `sut.likelihood.worker.Scorer`. Options: `url`, `name` ("" = the only model there),
    `tokenizer` (a folder or a hub id), `named`, `key_variable`, `ca_file`, `is_checked`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.clock = RealClock()
        self._options = options
        own = {name: options[name] for name in ("key_variable", "ca_file", "is_checked")}
        self._server = address(options["url"], **own)
        self._ask = likelihood.asking(self._server, self._pause)
        self._named = options.get("named") or likelihood.NAMED

    def open(self) -> None:
        self.tokenizer = tokenizer.load(self._options["tokenizer"])
        self._model = likelihood.ask_model(self._server, self._options["name"])
        most = self._model.most_tokens
        self.context = None if most is None else max(1, most - _EXTRA)

    def check_rows(self, passages: Sequence[Passage], names: Sequence[str]) -> None:
        """Leave it to the server, which refuses ids that it has no row for."""

    def prepare(self, passages: Sequence[Passage], context: int | None) -> None:
        """Find out how it is asked, with the shortest text. Raises SetupFailed."""
        shortest = min(passages, key=lambda p: len(p.ids)).ids
        ids = shortest if context is None else shortest[: context + 1]
        self._way = likelihood.find(self._ask, self._model.name, ids, self._named)
        self._check_tokenizer(ids, self._told(ids))

    def described(self) -> dict[str, Any]:
        told = {"served": self._model.name, "way": self._way.kind, "named": self._way.named}
        return told if self._way.names_ids else told | {"no_divergence": _BY_TEXT}

    def peak_above_weights_bytes(self) -> None:
        return None

    @property
    def writers(self) -> int:
        return 0

    def columns(
        self,
        job: Job,
        passages: Sequence[Passage],
        texts: Sequence[Any],
        settings: Any,
        writer: Writer,
    ) -> Iterator[tuple[int, Columns]]:
        """Yield the columns of texts, beside the reference's distributions where these are kept."""
        for i, text in enumerate(texts):
            told = self._text(text, settings)
            if job.against is None or not self._way.names_ids:
                own = np.asarray(text.ids[text.first :])
                losses = -told.log_probs.astype(np.float32)
                yield i, {"nll_nats": losses, "correct": told.top == own}
                continue
            kept = distributions.load(Path(job.against) / "distributions" / passages[i].file)
            found = partly.compare(kept, told)
            yield i, beside(found.divergence) | {"rest": found.rest.astype(np.float32)}

    # ---- requests

    def _text(self, text: Any, settings: Any) -> Named:
        """Return what the server tells of a text's scored tokens, window by window."""
        context = settings.context or len(text.ids)
        cut = windows(len(text.ids), context, settings.stride, text.first, f"text {text.name}")
        told = []
        for window in cut:
            found = self._told(text.ids[window.start : window.end])
            told.append(found.after(window.scored - window.start - 1))
        return likelihood.joined(told)

    def _told(self, ids: Sequence[int]) -> Named:
        """Return what the server tells of ids. Raises RunBroke."""
        exchange = self._ask(self._way.request(self._model.name, ids))
        failure, words = classes.of_head(exchange)
        if failure:
            fine, todo = (
                "what was scored is kept",
                "See the server's log, then go on with --resume.",
            )
            raise RunBroke(f"the server at {self._server.url}", words, fine, todo)
        try:
            return likelihood.read(self._way, exchange, ids)
        except likelihood.Lacking as lacking:
            found = f"{lacking}, unlike before"
            raise RunBroke(f"the server at {self._server.url}", found, "", "") from None

    def _pause(self, for_ns: int) -> None:
        until_ns = self.clock.now_ns() + for_ns
        while self.clock.wait(until_ns) < until_ns:
            pass

    # ---- tokens

    def _check_tokenizer(self, ids: Sequence[int], told: Named) -> None:
        """Refuse a tokenizer whose ids mean other text at the server. Raises SetupFailed."""
        own = _plain("".join(self.tokenizer.batch_decode([[id] for id in ids[1:]])))
        if own in _plain(told.pieces):
            return
        found = f"the server reads {told.pieces[:60]!r} where {own[:40]!r} was sent"
        raise SetupFailed(
            f"the tokenizer {self._options['tokenizer']}",
            found,
            "expected that of the served model",
            "Name it with --tokenizer.",
        )


def _plain(text: str) -> str:
    """Return the letters and digits of ASCII: what no tokenizer writes in another way."""
    return "".join(letter for letter in text if letter.isascii() and letter.isalnum())
