"""How are subjects scored on the nodes of a cluster? Each with the one that it is compared with, on
one node, so that what is compared was computed by one machine; its folder then comes back.

A subject whose node is lost is scored again elsewhere, and one that fails is a row that says why
(`harness.study.cluster.crew`).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.engine.pieces import reason
from harness.kernel import files
from harness.kernel.errors import HarnessError, RunBroke
from harness.kernel.foreign.tables import read_table
from harness.kernel.process import board
from harness.kernel.protocols import Say
from harness.likelihood.scores import is_kept
from harness.likelihood.settings import Settings, Subject, subjects
from harness.likelihood.subject import failed, read_row
from harness.live.tally import Tally
from harness.study import executors
from harness.study.cluster.crew import Cluster, joined
from harness.study.executors.made import Made
from harness.study.executors.work import Scoring

Row = dict[str, Any]


def spread(place: Path, made: Settings, say: Say) -> tuple[list[Row], bool]:
    """Score what is left; return the rows of the subjects that ended, and whether the user wants
    no more. Raises SetupFailed where the cluster does not answer.
    """
    series = subjects(made)
    kept = [s for s in series if is_kept(place / s.folder, read_row(place, s), False)]
    left = [subject for subject in series if subject not in kept]
    where = executors.named(made.executor)
    with board.clean(), closing(joined(where.address, where.cpus)) as crew:
        work = _Work(place, made, crew, Tally("perplexity", len(series), len(kept)), say)
        interrupted = work.do(series, left)
    ended = {subject.folder for subject in kept} | work.ended
    return [read_row(place, s) for s in series if s.folder in ended], interrupted


class _Work:
    """What is being scored. `ended` are the folders of the subjects that have a row."""

    def __init__(self, place: Path, made: Settings, crew: Cluster, tally: Tally, say: Say) -> None:
        self._place, self._made, self._crew = place, made, crew
        self._tally, self._say = tally, say
        self.ended = set[str]()

    def do(self, series: Sequence[Subject], left: Sequence[Subject]) -> bool:
        """Score the subjects that are left; return whether the user wants no more."""
        waiting, running = list(left), dict[str, Subject]()
        is_last = False
        try:
            while running or (waiting and not is_last):
                while waiting and not is_last and self._crew.has_room():
                    subject = waiting.pop(0)
                    running[subject.folder] = subject
                    self._begin(series, subject)
                outcome = self._crew.ended()
                is_last |= self._take(running.pop(outcome.cell), outcome.made)
        except KeyboardInterrupt:
            return True
        return is_last

    def _begin(self, series: Sequence[Subject], subject: Subject) -> None:
        self._tally.began(subject.label)
        against = "" if subject.against is None else series[subject.against].folder
        work = Scoring(
            output_dir=self._place,
            measurement=self._made,
            subject=subject.folder,
            against=against,
        )
        self._crew.begin(subject.folder, work, self._say)

    def _take(self, subject: Subject, made: Made | BaseException) -> bool:
        """Keep what came of a subject; return whether the user wants no more."""
        if isinstance(made, KeyboardInterrupt):  # it was stopped before it began
            return True
        try:
            if isinstance(made, BaseException):
                raise made
            bring(self._place, made.folder, subject)
        except Exception as fault:
            self._fail(subject, fault)
        self.ended.add(subject.folder)
        self._tally.ended(subject.label, read_row(self._place, subject)["status"] == "ERROR")
        return isinstance(made, Made) and made.is_last

    def _fail(self, subject: Subject, fault: Exception) -> None:
        """Keep a row that says why a subject was not scored."""
        error = fault
        if not isinstance(error, HarnessError):
            error = RunBroke(f"scoring {subject.label}", reason(fault), "", "Go on with --resume.")
        folder = files.subfolder(self._place, subject.folder)
        files.write_json(folder / "subject.json", failed(read_row(self._place, subject), error))


def bring(place: Path, folder: Path, subject: Subject) -> None:
    """Move what a node made in `folder` to its place. Raises RunBroke where it read other texts."""
    ours, theirs = (read_table(at / "texts.parquet") for at in (place, folder))
    if not ours.equals(theirs):
        fine = "expected one dataset, the same on every node"
        todo = "Copy it to the nodes, then go on with --resume."
        raise RunBroke(f"scoring {subject.label}", "it read other texts than we", fine, todo)
    shutil.rmtree(place / subject.folder, ignore_errors=True)
    files.move(folder / subject.folder, place / subject.folder)
    shutil.rmtree(folder, ignore_errors=True)
