"""Who joins the running batch, and who is next? In-flight batching: requests join and leave at
every decode step.

Policy only: no tensor is touched here (that is `sut.engine.slots`), so the policy is tested with a
runner of three lines. A step is

    admit      waiting requests, first come first served, while rows are free and the step's prompt
               budget lasts
    prefill    the joining prompts, with a piece of a long one where the runner packs them
               (`sut.engine.prefill.admission`); the first tokens of whole prompts leave
    decode     one token for each request that was running before; their tokens leave
    retire     finished requests; the last row moves into the hole, so running rows stay [0, n)

A prompt longer than the budget is fed piece by piece, a piece per step, so that it does not stall
the others; until its last piece it sits in the row behind the running ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Protocol

from harness.kernel.errors import RunBroke
from harness.kernel.protocols import Sink
from harness.kernel.types import Finish, Output
from sut.engine.prefill import admission
from sut.engine.prefill.admission import Part
from sut.engine.sampling.stops import START, Stops

PREFILL_TOKENS = 512  # of prompts in a step
NOT_FINITE = -1  # a runner's token where the logits are no numbers


class Request:
    """One sample on its way: store little, derive the rest."""

    __slots__ = (
        "fed", "ids", "is_over", "launched", "max_new_tokens", "name", "prompt_ids", "sample_id",
        "state", "stops",
    )  # fmt: skip

    def __init__(
        self,
        sample_id: int,
        prompt_ids: Sequence[int],
        max_new_tokens: int,
        name: int | None = None,
        stops: Stops | None = None,
    ) -> None:
        """`name` is what an error calls the sample: its index in the dataset. Texts that end the
        answer are `stops`.
        """
        self.sample_id = sample_id
        self.name = sample_id if name is None else name
        self.prompt_ids = prompt_ids
        self.max_new_tokens = max_new_tokens
        self.ids: list[int] = []
        self.fed = 0  # prompt tokens that the cache holds
        self.launched = 0  # tokens that the device has been asked for (`sut.engine.ahead`)
        self.is_over = False  # nothing more is heard of it (the same)
        self.stops, self.state = stops, START

    @property
    def position(self) -> int:
        """Where the newest token goes: it has been chosen, but not yet been fed to the model."""
        return len(self.prompt_ids) + len(self.ids) - 1

    def take(self, token: int) -> None:
        """Append the next token. Raises RunBroke where its logits were no numbers."""
        if token == NOT_FINITE:
            raise RunBroke(
                f"sample {self.name}",
                f"the logits of its token {len(self.ids) + 1} are not finite (NaN or infinite)",
                "its activations may exceed the range of their type",
                "Choose another variant, such as bf16 or fp32.",
            )
        self.ids.append(token)

    def stops_here(self) -> bool:
        """Say whether its newest token, which is asked about once, completes a stop text."""
        if self.stops is None:
            return False
        self.state, is_over = self.stops.after(self.state, self.ids)
        return is_over


class Runner(Protocol):
    """Rows of a key-value cache and a model that fills them. Rows in use are always [0, n)."""

    max_rows: int
    max_len: int  # tokens of a row, prompt and answer

    def prefill(self, first_row: int, pieces: Sequence[Sequence[int]], start: int) -> list[int]:
        """Fill rows from `first_row` on, the first from position `start` on and the others from 0
        on; return the token that follows each piece, NOT_FINITE where its logits are no numbers.

        Others come with a start only where the runner says that it `packs`.
        """
        ...

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> list[int]:
        """Feed row i its token at its position and return the next token of each row."""
        ...

    def move(self, source: int, target: int) -> None:
        """Copy a row over another."""
        ...


class Engine:
    """At most `runner.max_rows` rows; at most `prefill_tokens` prompt tokens per step."""

    def __init__(
        self,
        runner: Runner,
        sink: Sink,
        eos_ids: Collection[int],
        prefill_tokens: int = PREFILL_TOKENS,
    ) -> None:
        self._runner, self._sink = runner, sink
        self._eos_ids = frozenset(eos_ids)
        self._prefill_tokens = prefill_tokens
        self._packs = getattr(runner, "packs", False)
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []  # position = row
        self._long: Request | None = None  # in the row behind them

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._running or self._long)

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        return len(self._running) + (self._long is not None)

    @property
    def is_feeding(self) -> bool:
        """Say whether a prompt has been fed in part."""
        return self._long is not None

    @property
    def num_held(self) -> int:
        """How many tokens the cache holds for requests that are not done."""
        return sum(r.position for r in self._running) + (self._long.fed if self._long else 0)

    def add(self, request: Request) -> None:
        self._waiting.append(request)

    def drop(self, request: Request) -> None:
        """Give a request up between two steps: its row is free, and nothing is heard of it."""
        if request in self._waiting:
            self._waiting.remove(request)
        elif request is self._long:
            self._long = None
        elif request in self._running:
            self._close_gap(self._running.index(request))

    def step(self) -> None:
        running = len(self._running)
        if self._has_prompts:
            self._prefill()
        if running:
            self._decode(running)
        self._retire()

    @property
    def _has_prompts(self) -> bool:
        """Is there a prompt to be fed, and a row for it?"""
        has_room = len(self._running) < self._runner.max_rows
        return self._long is not None or (bool(self._waiting) and has_room)

    def _prefill(self) -> None:
        for parts in self._admit():
            self._feed(parts)

    def _admit(self) -> list[list[Part]]:
        """Take prompts, or parts of them, from those that wait: what each call is fed."""
        admitted = admission.packed if self._packs else admission.padded
        free_rows = self._runner.max_rows - len(self._running)
        return admitted(self._long, self._waiting, free_rows, self._prefill_tokens)

    def _feed(self, parts: Sequence[Part]) -> None:
        """Fill the rows behind the running ones; whole prompts run from now on."""
        joining = [part.request for part in parts]
        following = self._first_tokens(joining, [part.piece for part in parts], joining[0].fed)
        self._long = None
        for (request, end), token in zip(parts, following, strict=True):
            request.fed = end
            if end < len(request.prompt_ids):
                self._long = request
            else:
                self._join(request, token)

    def _join(self, request: Request, token: int) -> None:
        """Let a request run whose prompt is whole; its first token leaves."""
        request.take(token)
        self._running.append(request)
        self._sink.first_token(request.sample_id, token)

    def _first_tokens(
        self, joining: Sequence[Request], pieces: Sequence[Sequence[int]], start: int
    ) -> list[int]:
        """Feed a piece of each prompt and return the tokens that follow."""
        return self._runner.prefill(len(self._running), pieces, start)

    def _next_tokens(self, batch: Sequence[Request]) -> list[int]:
        """Feed each request's newest token and return the next ones."""
        return self._runner.decode([r.ids[-1] for r in batch], [r.position for r in batch])

    def _decode(self, count: int) -> None:
        batch = self._running[:count]
        for request, token in zip(batch, self._next_tokens(batch), strict=True):
            request.take(token)
            self._sink.tokens(request.sample_id, (token,))

    def _retire(self) -> None:
        for row in reversed(range(len(self._running))):
            finish = self._finish(self._running[row])
            if finish is not None:
                self._complete(self._running[row], finish)
                self._close_gap(row)

    def _close_gap(self, row: int) -> None:
        last = len(self._running) - 1
        if row != last:
            self._runner.move(last, row)
            self._running[row] = self._running[last]
        self._running.pop()
        if self._long is not None:
            self._runner.move(last + 1, last)

    def _complete(self, request: Request, finish: Finish) -> None:
        self._sink.complete(
            Output(request.sample_id, finish, request.ids, reported_tokens=len(request.ids))
        )

    def _finish(self, request: Request) -> Finish | None:
        if request.ids[-1] in self._eos_ids:
            return "eos"
        if request.stops_here():
            return "stop"
        return "length" if len(request.ids) >= request.max_new_tokens else None


class StaticEngine(Engine):
    """For a model whose state cannot be cut into rows: nobody joins until the whole batch has
    finished.

    Rows that have finished are decoded along, and what comes of them is dropped.
    """

    def __init__(
        self, runner: Runner, sink: Sink, eos_ids: Collection[int], prefill_tokens: int = 0
    ) -> None:
        super().__init__(runner, sink, eos_ids, prefill_tokens)
        self._done: set[int] = set()  # rows

    @property
    def num_running(self) -> int:
        return len(self._running) - len(self._done)

    def drop(self, request: Request) -> None:
        """Give a request up; its row is decoded along until the batch is done."""
        if request in self._waiting:
            self._waiting.remove(request)
        elif request in self._running:
            self._done.add(self._running.index(request))
            self._end_batch()

    def step(self) -> None:
        running = len(self._running)
        if running:
            self._decode(running)
        else:
            self._prefill()
        self._retire()

    def _admit(self) -> list[list[Part]]:
        """Admit as many as end within a row's length: each begins where the longest prompt does."""
        joining = [self._waiting.popleft()]
        prompt, answer = len(joining[0].prompt_ids), joining[0].max_new_tokens
        while self._waiting and len(joining) < self._runner.max_rows:
            prompt = max(prompt, len(self._waiting[0].prompt_ids))
            answer = max(answer, self._waiting[0].max_new_tokens)
            if prompt + answer > self._runner.max_len:
                break
            joining.append(self._waiting.popleft())
        return [[Part(request, len(request.prompt_ids)) for request in joining]]

    def _decode(self, count: int) -> None:
        tokens = self._next_tokens(self._running)
        for row, (request, token) in enumerate(zip(self._running, tokens, strict=True)):
            if row not in self._done:
                request.take(token)
                self._sink.tokens(request.sample_id, (token,))

    def _retire(self) -> None:
        for row, request in enumerate(self._running):
            finish = None if row in self._done else self._finish(request)
            if finish is not None:
                self._complete(request, finish)
                self._done.add(row)
        self._end_batch()

    def _end_batch(self) -> None:
        if len(self._done) == len(self._running):
            self._running, self._done = [], set()
