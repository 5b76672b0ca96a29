"""Who joins the running batch, and who is next? In-flight batching: requests join and leave at every decode step.

Policy only: no tensor is touched here (that is `sut.slots`), so the policy is tested with a runner of three lines. A step is

    admit      waiting requests, first come first served, while rows are free and the step's prompt budget lasts
    prefill    the joining prompts together; their first tokens leave
    decode     one token for each request that was running before; their tokens leave
    retire     finished requests; the last row moves into the hole, so running rows stay [0, n)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Protocol

from harness.protocols import Sink
from harness.types import Finish, Output


class Request:
    """One sample on its way: store little, derive the rest."""

    __slots__ = ("ids", "max_new_tokens", "prompt_ids", "sample_id")

    def __init__(self, sample_id: int, prompt_ids: Sequence[int], max_new_tokens: int) -> None:
        self.sample_id = sample_id
        self.prompt_ids = prompt_ids
        self.max_new_tokens = max_new_tokens
        self.ids: list[int] = []

    @property
    def position(self) -> int:
        """Where the newest token goes: it has been chosen, but not yet been fed to the model."""
        return len(self.prompt_ids) + len(self.ids) - 1


class Runner(Protocol):
    """Rows of a key-value cache and a model that fills them. Rows in use are always [0, n)."""

    max_rows: int

    def prefill(self, first_row: int, prompts: Sequence[Sequence[int]]) -> list[int]:
        """Fill rows from `first_row` on and return each prompt's next token."""
        ...

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> list[int]:
        """Feed row i its token at its position and return the next token of each row."""
        ...

    def move(self, source: int, target: int) -> None:
        """Copy a row over another."""
        ...


class Engine:
    """`max_batch` rows at most; at most `prefill_tokens` prompt tokens join per step (but always one request)."""

    def __init__(self, runner: Runner, sink: Sink, eos_ids: Collection[int], prefill_tokens: int = 512) -> None:
        self._runner, self._sink = runner, sink
        self._eos_ids = frozenset(eos_ids)
        self._prefill_tokens = prefill_tokens
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []  # position = row

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._running)

    def add(self, request: Request) -> None:
        self._waiting.append(request)

    def step(self) -> None:
        running = len(self._running)
        joining = self._admit()
        if joining:
            self._running += joining
            for request, token in zip(joining, self._runner.prefill(running, [r.prompt_ids for r in joining]), strict=True):
                request.ids.append(token)
                self._sink.first_token(request.sample_id, token)
        if running:
            batch = self._running[:running]
            tokens = self._runner.decode([r.ids[-1] for r in batch], [r.position for r in batch])
            for request, token in zip(batch, tokens, strict=True):
                request.ids.append(token)
                self._sink.tokens(request.sample_id, (token,))
        self._retire()

    def _admit(self) -> list[Request]:
        joining: list[Request] = []
        longest, free = 0, self._runner.max_rows - len(self._running)
        while self._waiting and len(joining) < free:
            longest = max(longest, len(self._waiting[0].prompt_ids))
            if joining and longest * (len(joining) + 1) > self._prefill_tokens:  # padded to the longest
                break
            joining.append(self._waiting.popleft())
        return joining

    def _retire(self) -> None:
        for row in reversed(range(len(self._running))):
            request = self._running[row]
            finish = self._finish(request)
            if finish is None:
                continue
            last = len(self._running) - 1
            if row != last:
                self._runner.move(last, row)
                self._running[row] = self._running[last]
            self._running.pop()
            self._sink.complete(Output(request.sample_id, finish, request.ids, reported_tokens=len(request.ids)))

    def _finish(self, request: Request) -> Finish | None:
        if request.ids[-1] in self._eos_ids:
            return "eos"
        return "length" if len(request.ids) >= request.max_new_tokens else None
