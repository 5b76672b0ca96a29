"""What becomes of each request, step by step? Messages in, messages out: no process, no socket.

A step is a pass over prompts whose log-probabilities are wanted, where any wait, and a step of the
engine. A request of the first kind goes on to the engine when its prompt is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from harness.kernel.types import Output
from sut.engine.batching import NOT_FINITE
from sut.engine.sampling.engines import AskingEngine
from sut.engine.sampling.thoughts import Thought
from sut.engine.sampling.wanted import Asking, Wanted
from sut.serving import checks
from sut.serving.messages import (
    Done,
    End,
    Event,
    Info,
    Prompt,
    Refused,
    Request,
    Scored,
    State,
    Tokens,
)
from sut.serving.prompts import PromptScorer, Told, Wish

_UNKNOWN = -1


class Model(Protocol):
    """What is served: `sut.serving.model.ServedModel`."""

    @property
    def eos_ids(self) -> frozenset[int]: ...

    @property
    def cache_tokens(self) -> int: ...

    def engine(self, sink: Desk) -> AskingEngine: ...

    def scorer(self) -> PromptScorer: ...

    def info(self) -> Info: ...


class _Open:
    """A request on its way."""

    __slots__ = ("arrived_ns", "begun_ns", "request")

    def __init__(self, request: Asking, arrived_ns: int) -> None:
        self.request, self.arrived_ns, self.begun_ns = request, arrived_ns, _UNKNOWN

    @property
    def queue_ns(self) -> int:
        return _UNKNOWN if self.begun_ns == _UNKNOWN else self.begun_ns - self.arrived_ns


class Desk:
    """Is the engine's sink as well: what it hears becomes messages. `now_ns` reads the clock."""

    def __init__(self, model: Model, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self.info = model.info()
        self._eos_ids = model.eos_ids
        self._cache_tokens = model.cache_tokens
        self._engine = model.engine(self)
        self._scorer = model.scorer()
        self._open: dict[int, _Open] = {}
        self._thoughts: dict[int, Thought] = {}
        self._events: list[Event] = []

    # ---- from the server

    def ask(self, asked: Request) -> None:
        """Take a request, or refuse it."""
        found = checks.fault(asked, self.info)
        if asked.id in self._open:
            found = checks.Fault(f"Request {asked.id} is still open.", "id")
        if found is not None:
            self.refuse(asked.id, found)
            return
        request = _request(asked, self._eos_ids)
        self._open[asked.id] = _Open(request, self._now_ns())
        if asked.prompt_logprobs is None:
            self._engine.add(request)
        else:
            self._scorer.add(Wish(request, asked.prompt_logprobs))

    def refuse(self, request_id: int, found: checks.Fault) -> None:
        self._events.append(Refused(request_id, *found))

    def cancel(self, request_id: int) -> None:
        """Give a request up, if it is open."""
        one = self._open.get(request_id)
        if one is None:
            return
        self._engine.drop(one.request)
        self._scorer.drop(one.request)
        self._end(request_id, "cancelled")

    # ---- to the server

    @property
    def busy(self) -> bool:
        return bool(self._open)

    def step(self) -> None:
        if len(self._scorer):
            self._score()
        if self._engine.busy:
            self._engine.step()

    def take(self) -> list[Event]:
        """Return what is to be said since the last time."""
        events, self._events = self._events, []
        return events

    def state(self) -> State:
        held = self._engine.num_held / self._cache_tokens if self._cache_tokens else 0.0
        waiting = self._engine.num_waiting + len(self._scorer)
        return State(self._engine.num_running, waiting, held)

    # ---- prompts

    def _score(self) -> None:
        for told in self._scorer.score(self.begins):
            self._hear_of_prompt(told)

    def _hear_of_prompt(self, told: Told) -> None:
        request_id = told.request.sample_id
        if told.prompt is None:
            self._end(request_id, "error")
            return
        self._events.append(Prompt(request_id, [Scored(*one) for one in told.prompt]))
        if not told.ends_here:
            self._engine.add(told.request)
            return
        if told.following is not None:
            self._say_last(told.request, told.following)
        self._end(request_id, told.request.finish(self._eos_ids) or "length")

    def _say_last(self, request: Asking, following: Thought) -> None:
        request.take(following.token)
        if request.wanted.logprobs is not None:
            self.thought(request.sample_id, following)
        self.first_token(request.sample_id, following.token)

    # ---- the engine's sink

    def begins(self, sample_id: int) -> None:
        one = self._open[sample_id]
        if one.begun_ns == _UNKNOWN:
            one.begun_ns = self._now_ns()

    def thought(self, sample_id: int, thought: Thought) -> None:
        self._thoughts[sample_id] = thought

    def first_token(self, sample_id: int, token: int) -> None:
        self.tokens(sample_id, (token,))

    def tokens(self, sample_id: int, ids: Sequence[int]) -> None:
        if NOT_FINITE in ids:
            return  # it ends with this step
        thought = self._thoughts.pop(sample_id, None)
        scored = [] if thought is None else [Scored(*thought)]
        self._events.append(Tokens(sample_id, list(ids), scored))

    def complete(self, output: Output) -> None:
        self._end(output.sample_id, output.finish)

    def text(self, sample_id: int) -> None:
        raise AssertionError("the engine tells ids")

    def fail(self, sample_id: int, reason: str) -> None:
        raise AssertionError("the engine ends a request that it cannot answer")

    def _end(self, request_id: int, end: End) -> None:
        one = self._open.pop(request_id)
        count = len(one.request.ids) - one.request.is_broken
        self._events.append(Done(request_id, end, count, one.queue_ns))


def _request(asked: Request, eos_ids: frozenset[int]) -> Asking:
    ends = frozenset(asked.stop_token_ids) | (frozenset() if asked.ignore_eos else eos_ids)
    wanted = Wanted(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        seed=asked.seed,
        logit_bias=asked.logit_bias,
        repetition_penalty=asked.repetition_penalty,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        logprobs=asked.logprobs,
        ends=ends,
        min_tokens=asked.min_tokens,
    )
    return Asking(asked.id, asked.prompt_ids, asked.max_tokens, wanted)
