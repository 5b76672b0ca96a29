"""How do requests with settings of their own share a device that is never waited for? Their choice
is made on the device as well (`plan`), but for penalties, which depend on the tokens so far.

While a request with penalties runs, steps go in turn: all tokens are heard, the host chooses, and
the device is told. A batch of greedy requests pays nothing for any of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sut.engine.ahead.engine import AheadEngine, Launch, Pending, positions
from sut.engine.ahead.launcher import Choose, OnTheWay, greedy
from sut.engine.ahead.plan import Plan
from sut.engine.batching import NOT_FINITE, Engine, Request
from sut.engine.sampling import engines
from sut.engine.sampling.engines import AskingEngine, are_whole
from sut.engine.sampling.thoughts import Thought
from sut.engine.sampling.wanted import Asking


class Known(NamedTuple):
    """Tokens that the host has chosen."""

    chosen: list[int]

    def is_known(self) -> bool:
        return True

    def tokens(self) -> list[int]:
        return self.chosen


class Planned(NamedTuple):
    """A launch whose tokens were chosen by a plan."""

    pending: OnTheWay
    plan: Plan

    def is_known(self) -> bool:
        return self.pending.is_known()

    def tokens(self) -> list[int]:
        return self.pending.tokens()

    def thoughts(self) -> dict[int, Thought]:
        return self.plan.thoughts(self.pending.told())


class AheadAskingEngine(AheadEngine, AskingEngine):
    """Takes `Asking` requests."""

    _host_chose = False  # the newest tokens of some rows, which the device does not know yet

    def _needs_tokens(self) -> bool:
        return self._host_chose or _penalises(self._running)

    def _launch_pieces(
        self, joining: Sequence[Any], pieces: Sequence[Sequence[int]], start: int
    ) -> Pending:
        if _penalises(joining):
            self._host_chose = True
            return Known(AskingEngine._first_tokens(self, joining, pieces, start))
        self._say_who_begins(joining)
        plan = _plan(joining, are_whole(joining, pieces))
        pending = self._runner.launch_prefill(len(self._running), pieces, start, _choice_of(plan))
        return pending if plan is None else Planned(pending, plan)

    def _launch_tokens(self, batch: Sequence[Any]) -> Pending:
        if _penalises(batch):
            self._host_chose = True
            return Known(AskingEngine._next_tokens(self, batch))
        if self._host_chose:
            self._host_chose = False
            self._runner.begin([r.ids[-1] for r in batch], positions(batch))
        plan = _plan(batch, [True] * len(batch))
        pending = self._runner.launch(positions(batch), _choice_of(plan))
        return pending if plan is None else Planned(pending, plan)

    def _before_telling(self, launch: Launch, heard: Sequence[tuple[int, Request]]) -> None:
        if not isinstance(launch.pending, Planned):
            return
        thoughts, tokens = launch.pending.thoughts(), launch.pending.tokens()
        for place, request in heard:
            if place in thoughts and tokens[place] != NOT_FINITE:
                self._sink.thought(request.sample_id, thoughts[place])


def asking(engine: type[Engine]) -> type[AskingEngine]:
    """Return the engine that takes `Asking` requests in the same way."""
    return AheadAskingEngine if issubclass(engine, AheadEngine) else engines.asking(engine)


def _plan(requests: Sequence[Asking], is_heard: Sequence[bool]) -> Plan | None:
    """Return None where the most likely tokens are all that is asked for."""
    rows = [i for i, request in enumerate(requests) if is_heard[i] and request.may_ask]
    return Plan(rows, [requests[i] for i in rows]) if rows else None


def _choice_of(plan: Plan | None) -> Choose:
    return greedy if plan is None else plan


def _penalises(requests: Sequence[Any]) -> bool:
    return any(request.wanted.penalises for request in requests)
