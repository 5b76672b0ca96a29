"""In which order is written down what workers tell? In the order of the plan, whichever worker is
first to tell; turns of conversations in the order they were sent, which only the run shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.engine.dispatched.recorder import StampedRecorder
from harness.engine.turns import has_turns, numbered
from harness.kernel.answers import Answer
from harness.kernel.types import At, Query


def hearing_of(plan: Sequence[Query], recorder: StampedRecorder) -> Hearing:
    """Return who hears the workers that follow this plan."""
    return (TurnsHearing if has_turns(plan) else Hearing)(plan, recorder)


class Hearing:
    """A `Hearer`: commits queries in the order of the plan, and answers once theirs are."""

    def __init__(self, plan: Sequence[Query], recorder: StampedRecorder) -> None:
        self._plan, self.recorder = plan, recorder
        self._next = 0
        self._rows: dict[int, tuple[int, int]] = {}  # told of too early
        self._early: list[Answer] = []
        self.start_ns = 0
        self.is_over, self.reason = False, ""

    def sent(self, place: int, due_ns: int, issued_ns: int) -> None:
        """Hear of a query; of one that several workers share, the first word counts."""
        if place < self._next:
            return
        self._rows.setdefault(place, (due_ns, issued_ns))
        had = self._next
        while self._next in self._rows:
            due_ns, issued_ns = self._rows.pop(self._next)
            self.recorder.issue(self._plan[self._next], due_ns, issued_ns)
            self._next += 1
        if self._early and self._next > had:
            early, self._early = self._early, []
            for answer in early:
                self.answered(answer)

    def answered(self, answer: Answer) -> None:
        if answer.sample_id >= self.recorder.num_issued:
            self._early.append(answer)
        else:
            self.recorder.answered(answer)

    def ended(self, reason: str = "") -> None:
        """Hear of the end; the first reason counts, whatever other workers say after it."""
        self.is_over, self.reason = True, self.reason or reason

    def settle(self) -> None:
        """Commit what a worker that has died did not tell of, up to the last query that any told
        of: it was due, and it is lost.
        """
        last = max(self._rows, default=-1)
        while self._next <= last:
            if self._next in self._rows:
                due_ns, issued_ns = self._rows[self._next]
            else:
                due_ns = issued_ns = self._due_ns(self._plan[self._next])
            self.sent(self._next, due_ns, issued_ns)

    def _due_ns(self, query: Query) -> int:
        release = query.release
        if isinstance(release, At):
            return self.start_ns + release.offset_ns
        return self.recorder.gate_ns


class TurnsHearing(Hearing):
    """Numbers queries anew as they are told of; one worker has all of them, one sample each."""

    def __init__(self, plan: Sequence[Query], recorder: StampedRecorder) -> None:
        super().__init__(plan, recorder)
        self._places = {sample.id: at for at, query in enumerate(plan) for sample in query.samples}
        self._numbers: dict[int, int] = {}  # of the queries that were sent, by place

    def sent(self, place: int, due_ns: int, issued_ns: int) -> None:
        number = self._numbers[place] = self.recorder.num_issued
        self.recorder.issue(numbered(self._plan[place], number, number), due_ns, issued_ns)

    def answered(self, answer: Answer) -> None:
        number = self._numbers.get(self._places[answer.sample_id])
        if number is not None:
            self.recorder.answered(replace(answer, sample_id=number))

    def settle(self) -> None:
        """What a worker that has died did not tell of is not known."""
