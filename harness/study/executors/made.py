"""What comes of a run, wherever it was made, and who makes several of them?

A crew takes runs by the name of their cell and hands back what came of each. One that makes a run
at a time makes it while it is waited for. Everything happens in the thread that calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from harness.kernel.protocols import Say
from harness.options.settings import RunConfig

Part = TypeVar("Part")
Done = TypeVar("Done")


class Made(NamedTuple):
    """A run that was made: its result.json, its folder, and whether the user wants no more."""

    result: dict[str, Any]
    folder: Path
    is_last: bool


Executor = Callable[[RunConfig, Say], Made]


class Outcome(NamedTuple):
    """What came of the run of a cell: a run, or why there is none."""

    cell: str
    made: Made | BaseException


class Crew(Protocol):
    """Who makes the runs of a study."""

    def has_room(self) -> bool:
        """Say whether one more run could begin now."""
        ...

    def begin(self, cell: str, config: RunConfig, say: Say) -> None:
        """Take a run, which is made in `config.output_dir`."""
        ...

    def ended(self) -> Outcome:
        """Wait for the next run that ends. Raises KeyboardInterrupt where the user wants no more
        and nothing is left to be kept, HarnessError where no run can be made any more.
        """
        ...

    def each(
        self, work: Callable[[Part], Done], parts: Iterable[Part]
    ) -> Iterator[tuple[int, Done]]:
        """Do `work`, a function of a module, with each part; yield (number of the part, what came
        of it) in any order. For work that is not timed, while no run is being made.
        """
        ...

    def close(self) -> None:
        """Let go of whatever makes the runs."""
        ...


class OneByOne:
    """Makes each run while it is waited for, in this process or in a child of it."""

    def __init__(self, execute: Executor) -> None:
        self._execute = execute
        self._next: tuple[str, RunConfig, Say] | None = None

    def has_room(self) -> bool:
        """See Crew."""
        return self._next is None

    def begin(self, cell: str, config: RunConfig, say: Say) -> None:
        """See Crew."""
        self._next = cell, config, say

    def ended(self) -> Outcome:
        """See Crew."""
        assert self._next is not None
        cell, config, say = self._next
        self._next = None
        try:
            return Outcome(cell, self._execute(config, say))
        except Exception as fault:
            return Outcome(cell, fault)

    def each(
        self, work: Callable[[Part], Done], parts: Iterable[Part]
    ) -> Iterator[tuple[int, Done]]:
        """See Crew."""
        yield from enumerate(map(work, parts))

    def close(self) -> None:
        """See Crew."""
