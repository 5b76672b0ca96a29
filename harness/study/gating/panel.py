"""Who judges the runs of a gate, and when? The control and the candidates are measured by the one
loop over the cells of a study, as many side by side as its crew makes; each is then held against
the reference.

A run that is made on this machine is judged as soon as it has ended. Where a cluster makes several
at a time, all are judged when the last one has ended: nothing disturbs a run that is timed, and the
nodes are free to score (`harness.study.scoring`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from accuracy.gate.outputs import Outputs
from accuracy.gate.readings import Row
from harness.engine.pieces import reason as reason_of
from harness.kernel.process import stopping
from harness.kernel.protocols import Say
from harness.kernel.types import short_name
from harness.kernel.words.variant import named
from harness.options.settings import RunConfig
from harness.study import loop
from harness.study.cells import deployment
from harness.study.gating.job import Source, no_figures
from harness.study.gating.outputs import check_same, twin
from harness.study.study import Cell, Ended

_UNSCORED: Row = {
    "needed": None, "n": 0, "rows_in_batch": None, "empty": None, "identical": None,
    "tokens_per_s": None, "tokens_per_sample": None, "peak_bytes": None, "busy_share": None,
    "divergence_median": None, "divergence": [], "readings": {}, "labels": [], "worst": [],
    "notes": [],
}  # fmt: skip


class Beside(Protocol):
    """The reference with its scores; `row` says what a candidate keeps of them."""

    outputs: Outputs

    def lacks(self, candidate: Outputs) -> str:
        """Say what of a candidate cannot be held against it; empty if all can."""
        ...

    def row(self, candidate: Outputs) -> Row:
        """Return everything that is known of a candidate."""
        ...


class Other(NamedTuple):
    """What is held against the reference of its task: a finished run, or the settings of one.
    `cell` is its name in the study, and `words` say that it begins.
    """

    cell: str
    label: str
    what: Outputs | RunConfig
    words: str
    beside: Beside
    task: str = ""
    is_control: bool = False  # the reference itself, whose draws may be others

    @property
    def problem(self) -> str:
        """Say why nothing can be held against its reference; empty if it can."""
        problem = self.beside.outputs.problem
        return f"the reference cannot be judged: {problem}" if problem else ""


class Panel:
    """Judges others beside their references. `rows` are those that were judged, by the name of the
    cell; `told` hears of each at once. `metric` is asked for beside those of a task.
    """

    def __init__(
        self, others: Sequence[Other], source: Source, metric: str | None, say: Say,
        told: Callable[[Row], None],
    ) -> None:  # fmt: skip
        self._source, self._metric, self._say, self._told = source, metric, say, told
        self._others = {other.cell: other for other in others}
        self._begun, self._ended = set[str](), dict[str, Ended]()
        self.rows: dict[str, Row] = {}

    def judge(self) -> bool:
        """Measure what has to be measured and judge everything; return whether the user wants no
        more.
        """
        for other in self._others.values():
            if other.problem:
                self._keep(other, failed(other.label, other.what, other.problem))
        if self._source.study is None:
            for other in self._left:
                self._say(other.words)
                assert isinstance(other.what, Outputs)
                self._keep(other, self._row(other, other.what))
            return False
        return self._measured() | self._judge_what_ended()

    @property
    def _left(self) -> list[Other]:
        return [other for other in self._others.values() if other.cell not in self.rows]

    def _measured(self) -> bool:
        """Measure the cells that have not ended; return whether the user wants no more."""
        study = self._source.study
        assert study is not None
        cells = [
            Cell(other.cell, other.what)
            for other in self._left
            if isinstance(other.what, RunConfig)
        ]
        interrupted = loop.measure(study, cells, self._say, no_figures, self).interrupted
        for cell in self._others:
            if cell in self._begun and cell not in self._ended:
                other = self._others[cell]
                reason = "interrupted before it was measured"
                self._keep(other, failed(other.label, other.what, reason))
        return interrupted

    # ---- a watcher of `harness.study.loop`

    def began(self, cell: Cell) -> None:
        """See Watcher."""
        self._begun.add(cell.name)
        self._source.began(cell.name)
        self._say(self._others[cell.name].words)

    def ended(self, cell: Cell, row: Ended) -> None:
        """See Watcher."""
        self._ended[cell.name] = row
        if cell.name in self._begun:
            self._source.ended(cell.name, is_failed=not row.run)
        if not self._source.is_spread:
            self._judge_cell(cell.name)

    # ---- judging

    def _judge_what_ended(self) -> bool:
        """Judge the runs that wait for it, in the order of the gate; return whether the user wants
        no more.
        """
        try:
            for cell in self._others:
                if cell in self._ended and cell not in self.rows:
                    self._judge_cell(cell)
        except KeyboardInterrupt:
            return True
        return False

    def _judge_cell(self, cell: str) -> None:
        """Keep the row of a cell that has ended; it says why, where the run cannot be read."""
        other, ended = self._others[cell], self._ended[cell]
        if not ended.run:
            self._keep(other, failed(other.label, other.what, ended.reason, ended.failure))
            return
        try:
            outputs = self._source.read(ended, self._metric)
        except Exception as fault:  # whatever breaks in one candidate, the others are judged
            stopping.check()
            reason, failure = reason_of(fault), type(fault).__name__
            self._keep(other, failed(other.label, other.what, reason, failure))
            return
        self._keep(other, self._row(other, outputs))

    def _row(self, other: Other, outputs: Outputs) -> Row:
        """Hold a run against the reference. Raises BadInput if they cannot be compared."""
        label = named(other.label, outputs.precision)
        outputs = replace(outputs, label=label)
        if outputs.problem:
            return failed(label, outputs, outputs.problem)
        reference = other.beside.outputs
        check_same(reference, outputs, ("draws",) if other.is_control else ())
        if same := twin(reference, outputs):
            return failed(label, outputs, same)
        if lack := other.beside.lacks(outputs):
            return failed(label, outputs, lack)
        return other.beside.row(outputs)

    def _keep(self, other: Other, row: Row) -> None:
        if other.task:
            row = {"task": other.task, **row}
        self.rows[other.cell] = row
        self._told(row)


def failed(label: str, what: Outputs | RunConfig, reason: str, failure: str = "") -> Row:
    """The row of what was not scored: UNDECIDED, whoever is to blame."""
    where = what.run if isinstance(what, Outputs) else ""
    variant = what.variant if isinstance(what, Outputs) else deployment(what)
    known = {"label": label, "model": short_name(what.model), "variant": variant, "run": where}
    return (
        known
        | {"status": "UNDECIDED", "official": "UNDECIDED", "reason": reason, "failure": failure}
        | _UNSCORED
    )
