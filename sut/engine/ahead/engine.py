"""How does a device never wait for its host? The next step is launched before the tokens of the
last one are read: they are on the device already, and the host needs them only to say them.

A step is

    prefill    the joining prompts are launched; their first tokens stay on the device
    launch     one token for each running row, those that have just joined among them
    leave      rows whose answer is complete with what was launched: the last row moves into the
               hole at once, for the device does everything in the order in which it was launched
    hear       the tokens of all launches but the last; they leave, and finished requests with them

Where the host is the slower of the two, steps go in turn (`pace`).

So a row that ends by its length computes nothing in vain. A row that ends by an end token has been
launched once more by the time that token is heard; nobody hears of the second. A token is told when
it is known to the host, so the stamps are those of any other engine. A prompt that arrives waits
for the two steps that are under way, not for one.

Policy only, as in `sut.engine.batching`: answers and finishes are the same, whatever the runner's
delays.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Protocol

from harness.kernel.protocols import Sink
from harness.kernel.types import Finish
from sut.engine.ahead.pace import Pace
from sut.engine.batching import PREFILL_TOKENS, Engine, Request


class Pending(Protocol):
    """Tokens that the device has been asked for."""

    def is_known(self) -> bool:
        """Say whether they are known already."""
        ...

    def tokens(self) -> list[int]:
        """Wait until they are known. NOT_FINITE where the logits were no numbers."""
        ...


class Launcher(Protocol):
    """Rows [0, n) of a cache, and on the device the newest token of each row and its position."""

    max_rows: int
    max_len: int

    def launch_prefill(
        self, first_row: int, pieces: Sequence[Sequence[int]], start: int
    ) -> Pending:
        """Fill rows from `first_row` on, the first from position `start` on and the others from 0
        on; the token that follows each piece becomes its row's newest.
        """
        ...

    def launch(self, positions: Sequence[int]) -> Pending:
        """Feed row i its newest token, which belongs at its position; the next one takes its place.
        The device knows the positions: these are for the host.
        """
        ...

    def move(self, source: int, target: int) -> None:
        """Copy a row over another, with its token and its position."""
        ...


class Launch(NamedTuple):
    """What is under way, and whom its tokens belong to: (place, request) each."""

    pending: Pending
    heard_by: list[tuple[int, Request]]
    is_first: bool  # the first tokens of these requests


class AheadEngine(Engine):
    """At most one launch is unheard between two steps."""

    _runner: Any  # a Launcher

    def __init__(
        self,
        runner: Any,
        sink: Sink,
        eos_ids: Collection[int],
        prefill_tokens: int = PREFILL_TOKENS,
    ) -> None:
        super().__init__(runner, sink, eos_ids, prefill_tokens)
        self._launches: list[Launch] = []  # the oldest first
        self._pace = Pace()
        self._num_left = 0  # requests without a row whose last token is under way

    @property
    def busy(self) -> bool:
        return super().busy or self._num_left > 0

    @property
    def num_running(self) -> int:
        return super().num_running + self._num_left

    @property
    def num_held(self) -> int:
        fed = sum(len(r.prompt_ids) + r.launched - 1 for r in self._running)
        return fed + (self._long.fed if self._long else 0)

    def drop(self, request: Request) -> None:
        """Give a request up between two steps: what is under way for it is not heard."""
        if request.is_over:
            return
        request.is_over = True
        if _has_left(request):
            self._num_left -= 1
        else:
            super().drop(request)
        self._forget_if_idle()

    def step(self) -> None:
        has_prompts, has_rows = self._has_prompts, bool(self._running)
        if has_prompts:
            self._prefill()
            self._leave()
        in_turn = self._needs_tokens() or not self._pace.goes_ahead()
        if in_turn:
            self._hear(len(self._launches))
        if self._running:
            self._launch()
            self._leave()
        if has_rows and not has_prompts and len(self._launches) > 1:
            self._pace.saw(self._launches[-2].pending.is_known())
        unheard = 1 if (has_prompts or has_rows) and not in_turn else 0
        self._hear(len(self._launches) - unheard)
        self._forget_if_idle()

    def _needs_tokens(self) -> bool:
        """Must all tokens so far be known before the next step is launched?"""
        return False

    # ---- to the device

    def _first_tokens(
        self, joining: Sequence[Request], pieces: Sequence[Sequence[int]], start: int
    ) -> list[int]:
        """Launch a piece of each prompt and return places: the tokens are heard later."""
        self._launches.append(Launch(self._launch_pieces(joining, pieces, start), [], True))
        return list(range(len(pieces)))

    def _join(self, request: Request, token: int) -> None:
        """Let a request run whose first token, at this place, is under way."""
        request.launched = 1
        self._running.append(request)
        self._launches[-1].heard_by.append((token, request))

    def _launch(self) -> None:
        pending = self._launch_tokens(self._running)
        self._launches.append(Launch(pending, list(enumerate(self._running)), False))
        for request in self._running:
            request.launched += 1

    def _launch_pieces(
        self, joining: Sequence[Request], pieces: Sequence[Sequence[int]], start: int
    ) -> Pending:
        pending: Pending = self._runner.launch_prefill(len(self._running), pieces, start)
        return pending

    def _launch_tokens(self, batch: Sequence[Request]) -> Pending:
        pending: Pending = self._runner.launch(positions(batch))
        return pending

    def _leave(self) -> None:
        """Free the rows of those whose last token is under way."""
        for row in reversed(range(len(self._running))):
            if _has_left(self._running[row]):
                self._num_left += 1
                self._close_gap(row)

    # ---- from the device

    def _hear(self, count: int) -> None:
        """Wait for the oldest launches, and tell their tokens."""
        for launch in self._launches[:count]:
            self._tell(launch)
        del self._launches[:count]

    def _tell(self, launch: Launch) -> None:
        tokens = launch.pending.tokens()
        heard = [(place, request) for place, request in launch.heard_by if not request.is_over]
        self._before_telling(launch, heard)
        for place, request in heard:
            token = tokens[place]
            request.take(token)
            if launch.is_first:
                self._sink.first_token(request.sample_id, token)
            else:
                self._sink.tokens(request.sample_id, (token,))
        for _, request in heard:
            finish = self._finish(request)
            if finish is not None:
                self._end(request, finish)

    def _before_telling(self, launch: Launch, heard: Sequence[tuple[int, Request]]) -> None:
        """A place for what is told with the tokens."""

    def _end(self, request: Request, finish: Finish) -> None:
        request.is_over = True
        if _has_left(request):
            self._num_left -= 1
        else:
            self._close_gap(self._running.index(request))
        self._complete(request, finish)

    def _forget_if_idle(self) -> None:
        if not self.busy:
            self._launches.clear()  # what is under way is nobody's


def positions(batch: Sequence[Request]) -> list[int]:
    """Return where the newest token of each goes, whether the host knows it or not."""
    return [len(r.prompt_ids) + r.launched - 1 for r in batch]


def _has_left(request: Request) -> bool:
    """Say whether its answer is complete with what was launched, so that it needs no row."""
    return request.launched >= request.max_new_tokens
