"""Who ends a step of a search that cannot hold any more? Whoever is called while the driver waits.

It looks a few times a second and copies what is open, so that a look takes microseconds.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.engine.driver import Stop
from harness.engine.recorder import Recorder
from harness.kernel.protocols import Clock
from harness.kernel.types import RunSettings
from scenarios.peak.watch import Watch

_LOOK_NS = 250_000_000


class Watching:
    """An `on_idle` of the driver that looks, and passes the call on."""

    def __init__(
        self,
        watch: Watch,
        settings: RunSettings,
        stop: Stop,
        clock: Clock,
        then: Callable[[Recorder], None] | None,
    ) -> None:
        self._watch, self._stop, self._clock, self._then = watch, stop, clock, then
        self._whole, self._next_ns = not settings.use_tokens, 0

    def __call__(self, recorder: Recorder) -> None:
        if self._then is not None:
            self._then(recorder)
        now_ns = self._clock.now_ns()
        if now_ns < self._next_ns or self._stop.suffices:
            return
        self._next_ns = now_ns + _LOOK_NS
        due_ns, left_ns = recorder.times_from(self._watch.begin, self._whole)
        if self._watch.look(now_ns, due_ns, left_ns):
            self._stop.suffice()
