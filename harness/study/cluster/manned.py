"""A seat with an actor on it, and what it is asked. Every question is a reference of Ray's, which
is answered while others are waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.kernel.errors import HarnessError
from harness.study.cluster import carry
from harness.study.cluster.hand import Hand
from harness.study.cluster.nodes import Seat
from harness.study.executors.child import made_of
from harness.study.executors.made import Made

_LOOK_S = 1.0  # a question after a run is open for so long
_PIECE_S = 300.0  # for some megabytes over a slow network


class Task:
    """A run to be made, and how often its node was lost."""

    def __init__(self, cell: str, settings: str, needs: Any, say: Any) -> None:
        self.cell, self.settings, self.needs, self.say = cell, settings, needs, say
        self.lost = 0


class Manned:
    """`question` is open at Ray; it answers who is there (`is_ready` False), or what came of
    `task`. Raises Ray's own errors where the node is gone.
    """

    def __init__(self, ray: Any, seat: Seat, arguments: Sequence[Any]) -> None:
        self._ray, self.seat = ray, seat
        self.is_ready = False
        self.task: Task | None = None
        affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        self._actor = (
            ray.remote(Hand)
            .options(
                num_cpus=seat.cpus,
                num_gpus=seat.gpus,
                max_restarts=0,
                scheduling_strategy=affinity(seat.node, soft=False),
            )
            .remote(*arguments)
        )
        self.question = self._actor.facts.remote()

    def begin(self, task: Task) -> None:
        """Have a run made."""
        self.task = task
        self._actor.begin.remote(task.settings)
        self.ask()

    def ask(self) -> None:
        """Ask what came of the run."""
        self.question = self._actor.look.remote(_LOOK_S)

    def stop(self) -> None:
        """Let the run hear a Ctrl-C."""
        self._actor.stop.remote()

    def made(self, told: dict[str, Any], place: Path) -> Made:
        """Return the run that was made, whose folder is in `place` now. Raises what the run
        raised, and RunBroke if a file of it is not what it was on its node.
        """
        try:
            there = made_of(told["answer"], told["code"], told["was_stopped"])
        except HarnessError as error:
            doing, *facts = error.facts
            raise type(error)(f"{doing} (on the node {self.seat.name})", *facts) from None
        folder = place / there.folder.name
        wanted = [carry.Listed(*row) for row in told["files"]]
        if not told["is_shared"]:
            carry.fetch(folder, wanted, self._piece)
        carry.check(folder, wanted)
        return there._replace(folder=folder)

    def _piece(self, file: str, offset: int) -> bytes:
        found: bytes = self._ray.get(self._actor.piece.remote(file, offset), timeout=_PIECE_S)
        return found

    def close(self) -> None:
        """Let the node go; what it was making is killed."""
        with suppress(Exception):  # of Ray's, where it is gone already
            self._ray.kill(self._actor)
