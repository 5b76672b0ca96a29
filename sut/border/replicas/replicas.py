"""Several copies of one system under test side by side, each in a process of its own: one queue,
and every sample goes to the copy with the least work ahead.

All copies load at once. One that dies, stops or falls silent breaks the run: a figure of three
replicas under the name of four would be wrong. What all of them had completed is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.kernel.errors import HarnessError, RunBroke
from harness.kernel.machine import waits
from harness.kernel.protocols import Clock, Hear, Sink
from harness.kernel.types import AfterInFlight, MemoryUse, Output, Query, Sample, SutFacts
from sut.border.isolated import Isolated, answers, rows_of_choices
from sut.border.replicas import summed
from sut.border.replicas.places import Place
from sut.border.replicas.routing import Router, balance, most_open, work_of

_RELEASED = AfterInFlight(1)  # the query it belongs to has been released


class Plan(NamedTuple):
    """How replicas are made: `options` go to each, `device` to those that take one; `rows` is how
    many samples each works on at once where it does not tell, and one that says nothing for
    `patience_s` while it has work is stuck.
    """

    factory: str
    options: Mapping[str, Any]
    places: Sequence[Place]
    log_file: Path
    environment: Mapping[str, str]
    rows: int
    patience_s: float


class Replicas:
    """Raises SetupFailed if one cannot start or load, RunBroke later."""

    def __init__(self, clock: Clock, plan: Plan) -> None:
        self.name = plan.factory
        self._clock, self._plan = clock, plan
        self._all: list[Isolated] = []
        self._router = Router([])
        self._load_number = 0
        self._is_asked = self._was_flushed = False
        try:
            for number in range(len(plan.places)):
                self._all.append(self._launched(number))
            answers(self._all)
        except BaseException:
            self.close()
            raise

    def _launched(self, number: int) -> Isolated:
        plan, place = self._plan, self._plan.places[number]
        return Isolated(
            self._clock,
            plan.factory,
            plan.options,
            plan.log_file,
            {**plan.environment, **place.environment},
            who=f"replica {number + 1} of {len(plan.places)} ({place.words})",
            cores=place.cores,
            waits_for_start=False,
        )

    @property
    def pids(self) -> list[int]:
        return [one.pid for one in self._all]

    # ---- the SUT

    def load(self, samples: Sequence[Sample], sink: Sink) -> None:
        self._load_number += 1
        self._is_asked = self._was_flushed = False
        self._ears = [_Ear(self, number, sink) for number in range(len(self._all))]
        for one, ear in zip(self._all, self._ears, strict=True):
            one.ask_to_load(samples, ear)
        answers(self._all)
        told = self._ask_all("facts")
        summed.refuse_shared(told, self._plan.places)
        rows = [facts.get("max_batch") or self._plan.rows for facts in told]
        self._router = Router(list(map(most_open, rows)), work_of(samples))
        for one in self._all:
            one.go()
        self._look_again(self._load_number, [self._clock.now_ns()] * len(self._all))

    def issue(self, query: Query) -> None:
        self._router.add(query)
        self._give_out()

    def _give_out(self) -> None:
        """Give the replicas what they have room for, each one message per query."""
        self._is_asked = False
        for number, query_id, samples in self._router.ready():
            self._all[number].issue(Query(query_id, samples, _RELEASED))
        if self._was_flushed and not self._router.waiting:
            self._was_flushed = False
            for one in self._all:
                one.flush()

    def ended(self, number: int, sample_id: int, tokens: int | None) -> None:
        """Hear that a replica is done with a sample: there may be room for another. It is given out
        once everything has been heard that came with this.
        """
        self._router.ended(number, sample_id, tokens)
        if self._router.waiting and not self._is_asked:
            self._is_asked = True
            self._clock.call_at(self._clock.now_ns(), partial(self._go_on, self._load_number))

    def _go_on(self, load_number: int) -> None:
        if load_number == self._load_number:
            self._give_out()

    @property
    def router(self) -> Router:
        return self._router

    def flush(self) -> None:
        self._was_flushed = True
        self._give_out()

    def hang_up(self) -> None:
        for one in self._all:
            one.hang_up()

    def close(self) -> None:
        self._load_number += 1
        self.hang_up()  # so that they leave together
        for one in self._all:
            one.close()

    # ---- what it says of itself

    def memory(self) -> MemoryUse:
        """Return the sums over all replicas."""
        return summed.memory([MemoryUse(**use) for use in self._ask_all("memory")])

    def facts(self) -> SutFacts:
        return summed.facts(self._ask_all("facts"), self._plan.places)

    def announce(self, mode: Literal["performance", "accuracy"]) -> None:
        """See `harness.kernel.protocols.Announced`."""

    def after(self) -> SutFacts:
        """Return how the work was divided, and what each replica held; None of one that is gone."""
        replicas = self._router.replicas
        tokens = [one.tokens for one in replicas]
        told = {
            "places": [place.words for place in self._plan.places],
            "samples": [one.given for one in replicas],
            "tokens": tokens,
            "balance": balance(tokens),
            "memory": [summed.held(one.memory()) if one.is_there else None for one in self._all],
        }
        return {"replicas": {"count": len(self._all), **told}}

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        return self._one().decode(outputs)

    def evaluate(self, pairs: Sequence[tuple[int, str]]) -> dict[str, Any] | None:
        """Ask one of them: all have the same weights."""
        return self._one().evaluate(pairs)

    def choose(
        self, asked: Sequence[tuple[int, Sequence[str]]]
    ) -> list[tuple[int, list[float], list[int]]] | None:
        """Ask each for its share, side by side: all have the same weights."""
        able = [one for one in self._all if one.is_there][: len(asked)] or [self._one()]
        for number, one in enumerate(able):
            one.ask_to_choose(asked[number :: len(able)])
        told = [rows_of_choices(rows) for rows in answers(able)]
        shares = [iter(own) for own in told if own is not None]
        if len(shares) < len(able):
            return None
        return [next(shares[place % len(able)]) for place in range(len(asked))]

    def drawn(self) -> list[tuple[int, float, int]] | None:
        """Return what each replica knows of its own answers; None where one cannot tell."""
        told = self._ask_all("drawn")
        return None if None in told else [row for rows in told for row in rows]

    def self_check(self) -> dict[str, Any] | None:
        """Return the decode steps of one of them: they are alike."""
        return self._one().self_check()

    def ping_us(self, count: int = 300) -> float:
        """Return the longest of the replicas' median round trips."""
        return max(one.ping_us(count) for one in self._all)

    def tap(self, hear: Hear | None) -> None:
        for number, one in enumerate(self._all):
            one.tap(None if hear is None else partial(hear, stream=number))

    def keep_log(self) -> None:
        for one in self._all:
            one.keep_log()

    def _one(self) -> Isolated:
        """Return a replica that can still be asked; the first where none can, to say why."""
        return next((one for one in self._all if one.is_there), self._all[0])

    def _ask_all(self, method: str) -> list[Any]:
        """Ask all of them side by side. One that is gone is asked first, to say how it ended."""
        for one in sorted(self._all, key=lambda one: one.is_there):
            one.ask(method, waits.ANSWERING)
        return answers(self._all)

    # ---- is one of them stuck?

    def _look_again(self, load_number: int, heard_ns: Sequence[int]) -> None:
        """Look now and then whether a replica that has work has said nothing for too long, while
        the others go on: the driver sees only that the whole of them is alive. Raises RunBroke.
        """
        if load_number != self._load_number:
            return
        now_ns, patience_ns = self._clock.now_ns(), int(self._plan.patience_s * 1e9)
        at_ns = list(heard_ns)
        for number, (ear, state) in enumerate(zip(self._ears, self._router.replicas, strict=True)):
            if ear.take() or not state.open:
                at_ns[number] = now_ns
            elif now_ns - at_ns[number] >= patience_ns:
                raise self._stuck(number)
        pause_ns = min(waits.Stops.LOOK_NS, max(patience_ns // 4, 1))
        self._clock.call_at(now_ns + pause_ns, partial(self._look_again, load_number, at_ns))

    def _stuck(self, number: int) -> HarnessError:
        place, count = self._plan.places[number], len(self._router.replicas[number].open)
        who = f"replica {number + 1} of {len(self._all)} ({place.words})"
        said = f"it said nothing for {self._plan.patience_s:g} s, with {count} samples at hand"
        todo = "Find out why (sut.log may say); then run again."
        return RunBroke(who, said, "", todo)


class _Ear:
    """What one replica tells, on its way to the driver."""

    def __init__(self, replicas: Replicas, number: int, sink: Sink) -> None:
        self._replicas, self._number, self._sink = replicas, number, sink
        self._was_heard = False

    def take(self) -> bool:
        """Has anything been heard since the last look?"""
        heard, self._was_heard = self._was_heard, False
        return heard

    def first_token(self, sample_id: int, token: int) -> None:
        self._was_heard = True
        self._replicas.router.heard(self._number, sample_id, 1)
        self._sink.first_token(sample_id, token)

    def tokens(self, sample_id: int, ids: Sequence[int]) -> None:
        self._was_heard = True
        self._replicas.router.heard(self._number, sample_id, len(ids))
        self._sink.tokens(sample_id, ids)

    def text(self, sample_id: int) -> None:
        self._was_heard = True
        self._replicas.router.heard(self._number, sample_id, 1)
        self._sink.text(sample_id)

    def complete(self, output: Output) -> None:
        self._was_heard = True
        told = output.reported_tokens if output.token_ids is None else len(output.token_ids)
        self._sink.complete(output)
        self._replicas.ended(self._number, output.sample_id, told)

    def fail(self, sample_id: int, reason: str) -> None:
        self._was_heard = True
        self._sink.fail(sample_id, reason)
        self._replicas.ended(self._number, sample_id, None)
