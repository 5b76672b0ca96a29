"""What did the decode steps of a run take, by the number of rows? The time from the end of one step
to the end of the next, so that whatever happens between two steps counts too.

Steps that feed a prompt are left out, and so is the first after a pause. A step costs the watch
about a microsecond; the tokens in the cache are counted in every sixteenth alone.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

from harness.kernel.protocols import Clock

_COUNT_TOKENS_EVERY = 16  # steps


class Stepped(Protocol):
    """What an engine tells of itself between two steps (`sut.engine.batching.Engine`)."""

    @property
    def busy(self) -> bool: ...

    @property
    def num_running(self) -> int: ...

    @property
    def num_waiting(self) -> int: ...

    @property
    def num_held(self) -> int: ...

    @property
    def is_feeding(self) -> bool: ...

    def step(self) -> None: ...


@dataclass
class Taken:
    """Steps of so many rows: their times, and how many tokens the cache held now and then."""

    times_ns: array[int] = field(default_factory=lambda: array("q"))
    held_tokens: array[int] = field(default_factory=lambda: array("q"))

    @property
    def median_ns(self) -> float:
        return median(self.times_ns)

    @property
    def mean_held_tokens(self) -> float:
        return sum(self.held_tokens) / len(self.held_tokens)


class Watch:
    """Steps an engine and notes what its decode steps took, in `taken` by rows."""

    def __init__(self, clock: Clock, engine: Stepped) -> None:
        self._clock, self._engine = clock, engine
        self._ended_ns: int | None = None  # of the step before, unless there was a pause
        self.taken: dict[int, Taken] = {}

    def step(self) -> None:
        """Take a step of the engine."""
        engine = self._engine
        rows, waiting, feeding = engine.num_running, engine.num_waiting, engine.is_feeding
        engine.step()
        now_ns, before_ns = self._clock.now_ns(), self._ended_ns
        self._ended_ns = now_ns if engine.busy else None
        fed = feeding or engine.is_feeding or engine.num_waiting != waiting
        if rows and not fed and before_ns is not None:
            self._note(rows, now_ns - before_ns)

    def _note(self, rows: int, took_ns: int) -> None:
        taken = self.taken.setdefault(rows, Taken())
        if len(taken.times_ns) % _COUNT_TOKENS_EVERY == 0:
            taken.held_tokens.append(self._engine.num_held)
        taken.times_ns.append(took_ns)
