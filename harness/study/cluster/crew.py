"""Who makes the runs of a study on a Ray cluster? An actor on each node, which takes one run at a
time (`cluster.nodes`: what a seat is); this process leads them.

A node that is lost costs its run another try on whichever seat is free, three in all. Nodes that
join are used, nodes whose harness differs from ours are not: figures of two versions must not stand
side by side. Ctrl-C reaches every run that is being made, and what they measured is kept.
"""

from __future__ import annotations

import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

from harness.kernel import files
from harness.kernel.clock import monotonic_s
from harness.kernel.errors import HarnessError, RunBroke, SetupFailed, first_line
from harness.kernel.machine import installed
from harness.kernel.process import stopping
from harness.kernel.process.streams import tell
from harness.kernel.protocols import Say
from harness.study.cluster import join, nodes, quiet, tasks
from harness.study.cluster.manned import Manned, Task
from harness.study.cluster.needs import needs_of
from harness.study.executors.made import Done, Made, Outcome, Part
from harness.study.executors.work import Work, told

TRIES = 3
_PATIENCE = 3  # so many stops are polite requests
_REFRESH_S = 2.0  # between two looks at which nodes there are
_ASIDE_S = 30.0  # a node that was lost is tried again later, if Ray still counts it
_EMPTY_S = 60.0  # for a node to come where there is none
_BUSY_S = 15.0  # until it is said that others use the nodes
_TOKEN = ".ray-token"
_NOT_INSTALLED = "this harness is not installed there"


def joined(address: str, cpus: int) -> Cluster:
    """Return the crew of the cluster at an address. Raises SetupFailed."""
    return Cluster(join.join(address), cpus)


def write_token(place: Path, word: str) -> None:
    """Write the word by which a node knows that it sees the same folder."""
    files.write_text(place / _TOKEN, word)


class Cluster:
    """See `harness.study.executors.made.Crew`."""

    def __init__(self, ray: Any, cpus: int) -> None:
        self._ray, self._cpus = ray, cpus
        self._manned: dict[nodes.Seat, Manned] = {}
        self._aside: dict[str, float] = {}  # nodes that were lost, and until when they stay unused
        self._left_out: dict[str, str] = {}  # nodes that are never used, and why
        self._failed_starts = Counter[str]()
        self._waiting: deque[Task] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._given = self._place = Path()  # the study's folder as it was named, and absolute
        self._word = secrets.token_hex(16)
        self._looked_s = self._begun_s = self._seated_s = 0.0  # 0: not yet
        self._has_said_busy = False
        self._stops = self._told = 0

    # ---- a crew

    def has_room(self) -> bool:
        """See Crew."""
        if not self._looked_s:
            return not self._waiting
        free = sum(manned.task is None for manned in self._manned.values())
        return free > len(self._waiting)

    def begin(self, cell: str, work: Work, say: Say) -> None:
        """See Crew."""
        if not self._looked_s:
            self._given, self._place = work.output_dir, work.output_dir.absolute()
            write_token(self._place, self._word)
            self._begun_s = self._seated_s = monotonic_s()
        self._waiting.append(Task(cell, told(work), needs_of(work), say))
        self._refresh()

    def ended(self) -> Outcome:
        """See Crew."""
        with stopping.handled(self._on_signal):
            while not self._outcomes:
                self._refresh()
                self._assign()
                self._pass_on_stops()
                if not self._outcomes:
                    self._hear()
        return self._outcomes.popleft()

    def each(
        self, work: Callable[[Part], Done], parts: Iterable[Part]
    ) -> Iterator[tuple[int, Done]]:
        """See Crew."""
        self._free_nodes()
        yield from tasks.each(self._ray, work, parts)

    def close(self) -> None:
        """See Crew."""
        self._free_nodes()
        quiet.leave()

    def _free_nodes(self) -> None:
        """Give all processors back; the next run that begins takes them again."""
        for manned in self._manned.values():
            manned.close()
        self._manned.clear()
        if self._looked_s:
            (self._place / _TOKEN).unlink(missing_ok=True)
            self._looked_s = 0.0

    def _end(self, task: Task, made: Made | BaseException) -> None:
        self._outcomes.append(Outcome(task.cell, made))

    # ---- Ctrl-C

    def _on_signal(self, *_: object) -> None:
        self._stops += 1
        if self._stops > _PATIENCE:
            raise stopping.Stopped

    def _pass_on_stops(self) -> None:
        """Let the runs hear a stop; what has not begun never does."""
        if self._stops > self._told:
            self._told = self._stops
            for manned in self._busy():
                manned.stop()
        while self._stops and self._waiting:
            self._end(self._waiting.popleft(), stopping.Stopped())

    # ---- seats

    def _busy(self) -> list[Manned]:
        return [manned for manned in self._manned.values() if manned.task is not None]

    def _refresh(self) -> None:
        """See now and then which nodes there are: man new seats, give up those that are gone."""
        now_s = monotonic_s()
        if self._looked_s and now_s - self._looked_s < _REFRESH_S:
            return
        self._looked_s = now_s
        there = nodes.seats(self._ray.nodes(), self._cpus)
        alive = {seat.node for seat in there}
        for seat in [seat for seat in self._manned if seat.node not in alive]:
            self._lose(self._manned[seat], "Ray counts it as dead")
        for seat in there:
            is_aside = now_s < self._aside.get(seat.node, 0.0) or seat.node in self._left_out
            if seat not in self._manned and not is_aside and not self._stops:
                self._manned[seat] = self._man(seat)
        if self._manned:
            self._seated_s = now_s
        elif self._left_out or now_s - self._seated_s > _EMPTY_S:
            raise self._nobody()

    def _man(self, seat: nodes.Seat) -> Manned:
        share = (seat.number, seat.cpus) if self._cpus else None
        place = str(self._place), str(self._place / _TOKEN)
        return Manned(self._ray, seat, (*place, self._word, share))

    def _nobody(self) -> HarnessError:
        """Say why no run can be made any more."""
        if self._left_out:
            found = f"no node can be used: {'; '.join(self._left_out.values())}"
            fine = "expected the harness as it is here on every node"
            return SetupFailed("--executor ray", found, fine, "Install it there.")
        found = f"the cluster has had no node with processors for {_EMPTY_S:g} s"
        todo = f"Go on later with: python -m harness resume {self._place}"
        return RunBroke("--executor ray", found, "what was measured is kept", todo)

    def _assign(self) -> None:
        """Give what waits to seats that are free; end a run that no seat can make."""
        for task in list(self._waiting):
            free = [s for s, m in self._manned.items() if m.is_ready and m.task is None]
            if (seat := nodes.smallest(task.needs, free)) is not None:
                self._waiting.remove(task)
                self._manned[seat].begin(task)
                self._say_who_works(task)
            elif self._manned and nodes.smallest(task.needs, self._manned) is None:
                self._waiting.remove(task)
                self._end(task, _misfit(task, list(self._manned)))

    def _say_who_works(self, task: Task) -> None:
        names = sorted(manned.seat.name for manned in self._busy())
        runs = f"{len(names)} run{'s' * (len(names) > 1)}"
        task.say(f"{runs} on {', '.join(names)}")

    # ---- what comes from the seats

    def _hear(self) -> None:
        """Wait a moment for an answer of one of them."""
        asked = {m.question: m for m in self._manned.values() if m.task or not m.is_ready}
        if not asked:
            Event().wait(0.5)
            return
        done, _ = self._ray.wait(list(asked), num_returns=1, timeout=1.0)
        if not done:
            self._say_if_busy()
            return
        manned = asked[done[0]]
        try:
            told = self._ray.get(done[0])
        except self._ray.exceptions.RayError as fault:
            self._lose(manned, _why(fault))
            return
        if not manned.is_ready:
            self._welcome(manned, told["versions"])
        elif told is None:
            manned.ask()
        else:
            self._take(manned, told)

    def _welcome(self, manned: Manned, theirs: dict[str, str]) -> None:
        """Use a node whose harness is ours."""
        manned.is_ready = True
        if other := installed.differing(theirs):
            self._leave_out(manned.seat, f"it has {other}")

    def _leave_out(self, seat: nodes.Seat, why: str) -> None:
        """Use a node no more, whatever Ray says of it."""
        tell(f"note: the node {seat.address} is not used: {why}")
        self._left_out[seat.node] = f"{seat.address}: {why}"
        for other in [other for other in self._manned if other.node == seat.node]:
            self._manned.pop(other).close()
        self._looked_s = -_REFRESH_S  # look at once whether any node is left

    def _take(self, manned: Manned, told: dict[str, Any]) -> None:
        """Bring a run back."""
        task = manned.task
        assert task is not None
        try:
            made = manned.made(told, self._given)
        except self._ray.exceptions.RayError as fault:
            self._lose(manned, _why(fault))
            return
        except (Exception, KeyboardInterrupt) as fault:
            manned.task = None
            self._end(task, fault)
            return
        manned.task = None
        self._end(task, made)

    def _lose(self, manned: Manned, why: str) -> None:
        """Give up a seat. Its run is made elsewhere, unless that was tried often enough."""
        seat, task = manned.seat, manned.task
        self._manned.pop(seat, None)
        self._aside[seat.node] = monotonic_s() + _ASIDE_S
        manned.close()
        self._failed_starts[seat.node] += not manned.is_ready
        if self._failed_starts[seat.node] >= TRIES or why == _NOT_INSTALLED:
            self._leave_out(seat, why)
        if task is None:
            return
        task.lost += 1
        again = task.lost < TRIES and not self._stops
        then = "; it is made again" if again else ""
        tell(f"note: the node {seat.name} was lost while it made the run {task.cell!r}{then}")
        if again:
            self._waiting.appendleft(task)
        elif self._stops:
            self._end(task, stopping.Stopped())
        else:
            found = f"its node was lost {task.lost} times, the last was {seat.name} ({why})"
            self._end(task, RunBroke(f"the run {task.cell!r}", found, "", ""))

    def _say_if_busy(self) -> None:
        """Say once that nothing begins since others use the nodes."""
        is_idle = all(not manned.is_ready for manned in self._manned.values())
        if is_idle and not self._has_said_busy and monotonic_s() - self._begun_s > _BUSY_S:
            self._has_said_busy = True
            names = ", ".join(sorted(seat.name for seat in self._manned))
            tell(f"note: waiting for {names}; other work of the cluster may have the processors")


def _why(fault: Exception) -> str:
    """Return why a node was lost, in a few words."""
    words = str(fault)
    return _NOT_INSTALLED if "No module named" in words else first_line(fault)


def _misfit(task: Task, seats: list[nodes.Seat]) -> SetupFailed:
    """Say what every seat of the cluster lacks for a run."""
    lacks = "; ".join(f"{seat.name}: {nodes.lacking(task.needs, seat)}" for seat in seats)
    found = f"no node has what it needs ({lacks})"
    todo = "Add a node that has it to the cluster."
    return SetupFailed(f"the run {task.cell!r}", found, "", todo)
