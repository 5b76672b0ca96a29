"""What do the requests of a run ask of the engine? Greedy answers, or answers that are drawn where
samples say so (`Sample.draw`), in the same batches.

A run without draws has the plain engine, as if this file were not there. Of drawn answers the
log-probabilities are kept as the model gave them, before temperature and top-p: the sum of an
answer says which of several the model itself finds most likely.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from harness.kernel.protocols import Sink
from harness.kernel.types import Output, QuerySample, Sample
from sut.engine.batching import Engine, Request
from sut.engine.sampling.stops import Stops
from sut.engine.sampling.wanted import Asking, Wanted


class Drawing:
    """The requests of one load. `ends` are the ids that end an answer; none where all must fill.
    `stops` are the texts that end one, by the index of the sample.
    """

    def __init__(
        self, samples: Sequence[Sample], ends: Collection[int], stops: Mapping[int, Stops]
    ) -> None:
        self._stops = stops
        self._samples = {sample.index: sample for sample in samples}
        self._ends = frozenset(ends)
        self._draws = any(sample.draw for sample in samples)
        self._index = dict[int, int]()  # of the sample, by the id of the request
        self._heard = _Heard()

    def engine(self, stepped: Any, sink: Sink, most_tokens: int) -> Engine:
        """Return the engine that takes these requests; `stepped` is how a runner is stepped
        (`sut.engine.ahead.stepping`), `most_tokens` what a step feeds of prompts.
        """
        kind: type[Engine] = stepped.engine
        if not self._draws:
            return kind(stepped.runner, sink, self._ends, most_tokens)
        from sut.engine.ahead.asking import asking

        self._heard = _Heard(sink)
        return asking(kind)(stepped.runner, self._heard, self._ends, most_tokens)

    def request(self, asked: QuerySample, prompt_ids: Sequence[int]) -> Request:
        """Return the request for one use of a sample."""
        sample, stops = self._samples[asked.index], self._stops.get(asked.index)
        if not self._draws:
            return Request(asked.id, prompt_ids, sample.max_new_tokens, asked.index, stops)
        self._index[asked.id] = asked.index
        drawn = _Drawn(asked, prompt_ids, sample.max_new_tokens, _wanted(sample, self._ends))
        drawn.stops = stops
        return drawn

    def drawn(self) -> list[tuple[int, float, int]]:
        """Return (index, negative log likelihood in nats, tokens) of each drawn answer."""
        sums = self._heard.sums
        return [(self._index[one], nll_nats, n) for one, (nll_nats, n) in sums.items()]


class _Drawn(Asking):
    """A request of a run: logits that are no numbers break the run, not this request alone."""

    __slots__ = ()

    def __init__(
        self, asked: QuerySample, prompt_ids: Sequence[int], max_new_tokens: int, wanted: Wanted
    ) -> None:
        super().__init__(asked.id, prompt_ids, max_new_tokens, wanted)
        self.name = asked.index

    def take(self, token: int) -> None:
        Request.take(self, token)


def _wanted(sample: Sample, ends: frozenset[int]) -> Wanted:
    draw = sample.draw
    if draw is None:
        return Wanted(ends=ends)
    return Wanted(draw.temperature, draw.top_p, seed=draw.seed, logprobs=0, ends=ends)


class _Heard:
    """Tells a sink what it hears, and adds up how likely the tokens of each answer were."""

    def __init__(self, sink: Sink | None = None) -> None:
        self._sink: Any = sink
        self.sums = dict[int, tuple[float, int]]()  # nats and tokens, by the id of the request

    def thought(self, sample_id: int, thought: Any) -> None:
        nll_nats, tokens = self.sums.get(sample_id, (0.0, 0))
        self.sums[sample_id] = nll_nats - thought.logprob, tokens + 1

    def begins(self, sample_id: int) -> None:
        """Nothing of a run depends on it."""

    def first_token(self, sample_id: int, token: int) -> None:
        self._sink.first_token(sample_id, token)

    def tokens(self, sample_id: int, ids: Sequence[int]) -> None:
        self._sink.tokens(sample_id, ids)

    def text(self, sample_id: int) -> None:
        self._sink.text(sample_id)

    def complete(self, output: Output) -> None:
        self._sink.complete(output)

    def fail(self, sample_id: int, reason: str) -> None:
        self._sink.fail(sample_id, reason)
