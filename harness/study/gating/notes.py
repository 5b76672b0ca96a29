"""What must a reader of a gate know? Each note once, with whom it concerns: most are the same for
many runs, as all answer with the same model on the same machine.

    all 9 runs: the machine was busy: others took 52 to 71 % of the time ...
    int8 on word-problems, boxed: the weights ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from accuracy.gate import ratios
from accuracy.gate.readings import Reference
from accuracy.gate.solving import Solving
from harness.result import quiet
from harness.study.gating.part import Judged

_NO_CONTROL = (
    "no control run: how much the reference itself changes with the size of its batches is not"
    " known"
)
_BUSY = "busy"


class _Run(NamedTuple):
    """A run that was read, and what its result says of it."""

    task: str
    label: str
    notes: Sequence[str]
    busy_share: float | None


def gathered(judged: Sequence[Judged]) -> list[str]:
    """Return what is to be known of the tasks, then of the runs."""
    return [*_of_tasks(judged), *_of_runs([run for each in judged for run in _runs(each)])]


def _of_tasks(judged: Sequence[Judged]) -> Iterator[str]:
    tasks: dict[str, list[str]] = {}
    for each in judged:
        for note in (*_cautions(each.beside), *([] if each.control else [_NO_CONTROL])):
            tasks.setdefault(note, []).append(each.name)
    for note, names in tasks.items():
        yield note if len(names) == len(judged) else f"{', '.join(names)}: {note}"


def _runs(judged: Judged) -> Iterator[_Run]:
    of = judged.beside.outputs
    yield _Run(judged.name, of.label, of.notes, of.busy_share)
    for row in filter(None, (judged.control, *judged.rows)):
        yield _Run(judged.name, row["label"], row["notes"], row["busy_share"])


def _of_runs(runs: Sequence[_Run]) -> Iterator[str]:
    concerned: dict[str, list[_Run]] = {}
    for run in runs:
        for note in dict.fromkeys(_said(run)):
            concerned.setdefault(note, []).append(run)
    for note, those in concerned.items():
        shares = [run.busy_share for run in those if run.busy_share is not None]
        yield f"{_whom(those, runs)}: {quiet.sentence(shares) if note == _BUSY else note}"


def _said(run: _Run) -> list[str]:
    """Return its notes; in the place of the one that the machine was busy, which has another share
    in every run, stands _BUSY.
    """
    busy = None if run.busy_share is None else quiet.sentence([run.busy_share])
    return [_BUSY if note == busy else note for note in run.notes]


def _whom(those: Sequence[_Run], runs: Sequence[_Run]) -> str:
    """Return "all 9 runs", "fp32, int8", "all runs of boxed" or "fp32; int8 on subjects, boxed"."""
    if len(those) == len(runs) > 1:
        return f"all {len(runs)} runs"
    tasks = dict.fromkeys(run.task for run in those)
    is_of_one = len({run.task for run in runs}) == 1
    if not is_of_one and len(those) == sum(run.task in tasks for run in runs):
        return f"all runs of {', '.join(tasks)}"
    labels: dict[str, list[str]] = {}  # tasks -> labels
    for label in dict.fromkeys(run.label for run in those):
        of = [run.task for run in those if run.label == label]
        is_everywhere = len(of) == sum(run.label == label for run in runs)
        labels.setdefault("" if is_everywhere else f" on {', '.join(of)}", []).append(label)
    return "; ".join(f"{', '.join(names)}{where}" for where, names in labels.items())


def _cautions(beside: Reference | Solving) -> Iterator[str]:
    outputs, target = beside.outputs, beside.criteria.published
    n = len(outputs.index)
    if isinstance(beside, Solving):
        yield from beside.notes
        return
    if n < ratios.FEW:
        few = f"{n} samples are few: with fewer than {ratios.FEW}"
        yield f"{few}, the intervals are narrower than stated"
    if 0 < (answers := len(beside.answered)) < n:
        yield (
            f"{n - answers} of {n} samples have no answer in the dataset and are left out of"
            " that comparison"
        )
    if words := beside.covered.words:
        yield words
    if target is not None:
        yield f"the figures of {beside.criteria.target} only count on MLPerf's own data"
        if target.unjudged:
            yield f"MLPerf asks for {', '.join(target.unjudged)} too, which is not judged here"
