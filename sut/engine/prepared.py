"""What is done to a loaded model before it serves or scores? Its plain pass is recorded, its layers
are packed, and the way is found that keeps its answers its own.

The plain pass is that of the model as it was loaded, so packing is tried with the rest. A layer
whose weight somebody reads in a trial is not packed (Mamba looks at its head's type, DoRA at the
weights under an adapter).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.kernel.errors import SetupFailed
from harness.kernel.protocols import Clock
from sut.engine import agreement
from sut.engine.graphs.capture import NewCapture
from sut.engine.packing import pack, unpack
from sut.engine.serving import Way, choose
from sut.engine.static import WholeRunner
from sut.engine.trial import Span, Trial, long_trial
from sut.model import findings

_UNPACKED = "its layers are not packed: packed ones give other logits"


class Prepared:
    """A model and the way of serving it. `notes` grow as there is something to tell; `trial_s` is
    what the trials took, all together.
    """

    def __init__(
        self,
        clock: Clock,
        model: Any,
        spans: Sequence[Span],
        notes: list[str],
        new_capture: NewCapture | None = None,
    ) -> None:
        """Pack the layers of a model that shall be fed texts of these lengths. Raises SetupFailed
        for one that is not causal, or whose logits are no numbers.
        """
        self._new_capture = new_capture
        self._clock, self._model, self._notes = clock, model, notes
        self.trial_s = 0.0
        self._start_ns = clock.now_ns()
        self._wanted = agreement.expected_of(model, spans)
        self._count()
        self.packed_layers = 0 if findings.of(model).reads_weights else pack(model)

    def for_scoring(self) -> None:
        """Try packed layers in whole passes, which is how texts are scored."""
        self._start_ns = self._clock.now_ns()
        short = self._wanted[0]
        runner = WholeRunner(self._model, short.trial.longest)
        self._unpack(only_read=agreement.difference(runner, short) is None)
        self._count()

    def for_serving(self, pad_id: int, max_rows: int | None) -> Way:
        """Return the way of serving it. Raises SetupFailed where there is none."""
        self._start_ns = self._clock.now_ns()
        try:
            way = choose(self._model, self._wanted, pad_id, max_rows, self._new_capture)
        except SetupFailed:
            self._unpack(only_read=False)
            self._record_each_step()
            way = choose(self._model, self._wanted, pad_id, max_rows, self._new_capture)
        self._unpack(only_read=True)
        if way.note and way.note not in self._notes:
            self._notes.append(way.note)
        self._count()
        return way

    def is_tried(self, spans: Sequence[Span]) -> bool:
        """Say whether the trials so far reach these lengths."""
        longer = long_trial(self._model, spans)
        return longer is None or any(one.trial.covers(longer) for one in self._wanted[1:])

    def reach(self, spans: Sequence[Span]) -> None:
        """Record the plain pass over longer texts as well."""
        self._start_ns = self._clock.now_ns()
        longer: Trial | None = long_trial(self._model, spans)
        if longer is not None:
            wanted = agreement.expected(self._model, longer, few_layers=True)
            self._wanted.append(wanted)
        self._count()

    def _record_each_step(self) -> None:
        """Record the plain pass anew: it may be another one for each length of the text."""
        self._wanted = [
            agreement.expected(self._model, one.trial, one.few_layers, each_step=True)
            for one in self._wanted
        ]

    def _unpack(self, only_read: bool) -> None:
        unpacked = unpack(self._model, only_read)
        self.packed_layers -= unpacked
        if unpacked and not only_read:
            self._notes.append(_UNPACKED)

    def _count(self) -> None:
        self.trial_s += (self._clock.now_ns() - self._start_ns) / 1e9
