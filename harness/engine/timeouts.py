"""When has a sample been waited for long enough? When nothing comes any more: a time-out is about
lack of progress, not about the length of a queue.

With T the time-out, an open sample is given up when

    silent      it has not begun, and for T since it was issued no sample has had any event
    stuck       it has begun (its first token came), and for T nothing more has come of it
    overtaken   it has not begun, although a sample that was issued T later has

So a queue may be as deep as it likes while the SUT works on it. A SUT that hangs is found out after
T. One lost sample does not hide behind the others: in an endless stream it is overtaken, otherwise
the others end and the SUT falls silent. Nothing waits for ever (LoadGen does): after SILENCES times
T without any event the run itself ends, or a closed loop would wait T for each of its queries.

This costs nothing per event: the recorder's columns say when a sample was last heard. They are read
at `check_ns`, the earliest moment at which anything can be overdue, which is T or nearly T after
the last look while the SUT is at work. "Overtaken" is found at such a look, so up to T late;
the other two are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from harness.engine.recorder import Recorder
from harness.kernel.errors import RunBroke
from harness.kernel.types import NEVER

SILENCES = 3  # in a row: one may be a pause of the machine, two in a row a second one


class Timeouts:
    """The patience of one timed part. The driver sleeps no longer than to `check_ns`, then calls
    `look`.
    """

    def __init__(self, recorder: Recorder, timeout_ns: int, start_ns: int) -> None:
        self._recorder, self._timeout_ns = recorder, timeout_ns
        self._done_heard_ns = NEVER  # when the SUT last completed a sample
        self._done_seen = 0  # completions up to our own latest look, those we made included
        self._silences = 0  # in a row, each at least a time-out after the one before
        self._silent_ns = self._heard_before_ns = NEVER  # of the latest that counts
        self.check_ns = start_ns + timeout_ns

    def look(self, now_ns: int) -> None:
        """Give up what is overdue, and set `check_ns` to when something else can be. Raises
        RunBroke once the SUT has been silent for too long.
        """
        recorder, before_ns = self._recorder, now_ns - self._timeout_ns
        begun = recorder.begun()
        heard_ns = self._heard_ns(begun)
        silent = heard_ns <= before_ns
        seconds = f"{self._timeout_ns / 1e9:g} s"
        stuck = [i for i, last_ns in begun if last_ns <= before_ns]
        self._give_up("stuck", stuck, f"timed out: nothing more of it for {seconds}")
        if silent:
            waiting = self._waiting_since(before_ns)
            self._give_up("silent", waiting, f"timed out: no event of any sample for {seconds}")
            self._count_silence(now_ns, heard_ns, bool(waiting))
        else:
            waiting = self._waiting_since(self._overtaken_ns(before_ns))
            words = f"timed out: not begun, although a sample issued {seconds} later was"
            self._give_up("overtaken", waiting, words)
        self._done_seen = recorder.num_done
        self.check_ns = self._next_check_ns(now_ns, heard_ns)

    def _count_silence(self, now_ns: int, heard_ns: int, is_waiting: bool) -> None:
        if heard_ns != self._heard_before_ns:
            self._silences, self._silent_ns, self._heard_before_ns = 0, NEVER, heard_ns
        if not is_waiting:
            return
        if self._silent_ns == NEVER or now_ns - self._silent_ns >= self._timeout_ns:
            self._silences, self._silent_ns = self._silences + 1, now_ns
        if self._silences == SILENCES:
            patience = f"{SILENCES} times the sample time-out of {self._timeout_ns / 1e9:g} s"
            raise RunBroke("the SUT", f"it answered nothing for {patience}")

    def _heard_ns(self, begun: Sequence[tuple[int, int]]) -> int:
        """Return when the SUT last sent anything of a sample that was open then."""
        recorder = self._recorder
        if recorder.num_done > self._done_seen:  # giving up is no sign of life
            self._done_heard_ns = recorder.last_done_ns
        latest_ns = max((last_ns for _, last_ns in begun), default=NEVER)
        self._done_heard_ns = max(self._done_heard_ns, latest_ns, recorder.stray_ns)
        return self._done_heard_ns

    def _waiting_since(self, issued_ns: int) -> list[int]:
        """Return the samples that were issued by then and have not begun."""
        waiting = self._recorder.waiting()
        return [i for i, at_ns in takewhile(lambda row: row[1] <= issued_ns, waiting)]

    def _overtaken_ns(self, before_ns: int) -> int:
        """Return the moment by which everything issued and not begun was overtaken; NEVER if
        nothing was.
        """
        oldest = next(self._recorder.waiting(), None)
        if oldest is None or oldest[1] > before_ns:
            return NEVER
        newest_ns = self._recorder.newest_begun_ns(oldest[1] + self._timeout_ns)
        return NEVER if newest_ns == NEVER else newest_ns - self._timeout_ns

    def _give_up(self, kind: str, samples: Sequence[int], reason: str) -> None:
        if samples:
            timed_out = self._recorder.timed_out
            timed_out[kind] = timed_out.get(kind, 0) + len(samples)
        for i in samples:
            self._recorder.fail(i, reason)

    def _next_check_ns(self, now_ns: int, heard_ns: int) -> int:
        last_ns = [last_ns for _, last_ns in self._recorder.begun()]
        oldest = next(self._recorder.waiting(), None)
        if oldest is not None:
            last_ns.append(max(oldest[1], heard_ns))
        return min(last_ns, default=now_ns) + self._timeout_ns
