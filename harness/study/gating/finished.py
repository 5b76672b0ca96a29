"""Which finished run is held against which? Each candidate's run on a task beside the reference's
run on the same task; every pair is named, and what has none.

A second run of the reference on a task, in other batches or with other seeds, is the control: so
the folder of a gate can be judged again by another metric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from accuracy.gate.outputs import Outputs
from accuracy.gate.readings import Criteria
from accuracy.tasks import of_name
from harness.kernel.errors import BadInput
from harness.kernel.types import short_name
from harness.result.read import ACCURACY_PART, SETTINGS, read_json
from harness.study.comparison.compare import labels
from harness.study.gating.asked import scorer_of
from harness.study.gating.outputs import check_same, differing_terms, read
from harness.study.gating.part import Part, check_reference

_OF_CONTROL = {"draws"}  # in which the reference itself may differ, run once more
Deployment = tuple[str, str, int]  # model, variant, which of those with both


def parts_of(
    own: Sequence[str], folders: Sequence[Path], asked: Criteria, is_any: bool
) -> list[Part]:
    """Return a part for each task of the reference. `own` are its folders, or the variant whose
    runs among `folders` are meant. `is_any`: folders that hold no accuracy run are left out, and
    named. Raises BadInput.
    """
    is_named = any(map(is_run_folder, own))
    of_reference = [Path(name) for name in own] if is_named else []
    known = {path.resolve() for path in of_reference} if is_any else set()
    others = [folder for folder in folders if folder.resolve() not in known]
    left_out = [folder for folder in others if is_any and not _is_accuracy_run(folder)]
    references = [read(folder, asked.metric) for folder in of_reference]
    runs = [read(folder, asked.metric) for folder in others if folder not in left_out]
    if not is_named:
        references, runs = _of_variant(own[0], runs)
    notes = [f"left out: {one} holds no accuracy run" for one in left_out if one.is_dir()]
    return _paired(references, runs, asked, notes)


def is_run_folder(name: str) -> bool:
    """Tell whether a folder is meant; one that is named like a variant is meant with ./ before."""
    from harness.kernel.types import is_address
    from sut.precision.table import TABLE

    return name not in TABLE and not is_address(name) and ("/" in name or Path(name).is_dir())


def _is_accuracy_run(folder: Path) -> bool:
    """Tell whether a folder looks like an accuracy run, or a submission with one in it."""
    if (folder / ACCURACY_PART).is_dir() or not folder.exists():
        return True
    if not (folder / SETTINGS).is_file():
        return False
    try:
        saved: Any = read_json(folder / SETTINGS)
        return bool(saved["run"]["mode"] == "accuracy")
    except (OSError, ValueError, KeyError, TypeError, BadInput):
        return True  # reading it tells what is wrong


def _of_variant(variant: str, runs: Sequence[Outputs]) -> tuple[list[Outputs], list[Outputs]]:
    """Return the runs of the reference and the others. Raises BadInput."""
    references = [run for run in runs if run.variant == variant]
    if not references:
        known = ", ".join(dict.fromkeys(run.variant for run in runs)) or "none"
        found = f"no run of {variant} is among those given, which are of: {known}"
        raise BadInput(
            f"gate --reference {variant}", found, "expected a run of it on each task",
            "Name the reference: --reference FOLDER, or a variant of these.",
        )  # fmt: skip
    return references, [run for run in runs if run.variant != variant]


# ---- pairs


def _paired(
    references: Sequence[Outputs], runs: Sequence[Outputs], asked: Criteria, notes: list[str]
) -> list[Part]:
    if not runs:
        fine = "expected runs of other variants"
        raise BadInput("gate", "all runs are the reference's", fine, "Add the candidates' runs.")
    _check_one_deployment(references)
    groups = _by_task(references)
    firsts = [first for first, *_ in groups]
    beside = [_reference_of(run, firsts) for run in runs]
    deployments = list(_deployments(runs, beside))
    own = labels([(one.model, one.variant) for one in (firsts[0], *_first_of(deployments, runs))])
    parts = []
    for number, (first, *again) in enumerate(groups):
        mine = {
            of: run for of, run, at in zip(deployments, runs, beside, strict=True) if at == number
        }
        if not mine:
            raise _nobody(first)
        candidates = []
        for label, of in zip(own[1:], dict.fromkeys(deployments), strict=True):
            found = mine.get(of) or _missing(runs[deployments.index(of)], first)
            candidates.append(replace(found, label=label))
        reference = replace(first, label=own[0])
        scorer = _scorer(asked, [first, *again, *mine.values()])
        name = _task(first) if scorer or len(groups) > 1 or first.task else ""
        control = replace(again[0], label=own[0]) if again else None
        parts.append(Part(name, reference, candidates, scorer, control))
    return _with_notes(parts, notes)


def _scorer(asked: Criteria, runs: Sequence[Outputs]) -> str:
    """Return the scorer that decides: of a task the first one that had something to compare in all
    runs, as the likelihoods of choices are not known of every server. Raises BadInput.
    """
    task = runs[0].task.get("name")
    first = scorer_of(asked, task)
    if not task or not first or asked.metric:
        return first
    known = [{row["scorer"] for row in run.marks} for run in runs]
    names = (name for name in of_name(task).scorers if all(name in own for own in known))
    return next(names, first)


def _first_of(deployments: Sequence[Deployment], runs: Sequence[Outputs]) -> Iterator[Outputs]:
    for of in dict.fromkeys(deployments):
        yield runs[deployments.index(of)]


def _task(run: Outputs) -> str:
    return str(run.task.get("name") or short_name(run.dataset))


def _check_one_deployment(references: Sequence[Outputs]) -> None:
    for run in references:
        check_reference(run)
    known = list(dict.fromkeys((run.model, run.variant) for run in references))
    if len(known) > 1:
        found = " and ".join(f"{model} in {variant}" for model, variant in known)
        fine = "expected the reference's run on each task"
        raise BadInput("gate --reference", f"they are runs of {found}", fine, "Name one of them.")


def _by_task(references: Sequence[Outputs]) -> list[list[Outputs]]:
    """Return the reference's run on each task, and its control if there is one. Raises
    BadInput.
    """
    groups: list[list[Outputs]] = []
    for run in references:
        same = [own for own in groups if _is_same_task(own[0], run)]
        if not same:
            groups.append([run])
        elif len(same[0]) == 1:
            same[0].append(run)
        else:
            named = ", ".join(one.run for one in (*same[0], run))
            found = f"the reference has three runs on {_task(run)}: {named}"
            fine = "expected one, or two to measure the noise"
            raise BadInput("gate", found, fine, "Leave one out.")
    return groups


def _is_same_task(one: Outputs, other: Outputs) -> bool:
    return _task(one) == _task(other) and set(differing_terms(one, other)) <= _OF_CONTROL


def _reference_of(run: Outputs, references: Sequence[Outputs]) -> int:
    """Return which of the references a run is held against: the one on its task, of several that
    which was asked the same way. Raises BadInput, naming each difference.
    """
    fitting = [i for i, own in enumerate(references) if _task(own) == _task(run)]
    if not fitting and len(references) > 1:
        known = ", ".join(map(_task, references))
        found = f"{run.run} answers {_task(run)}, the reference's runs answer {known}"
        todo = "Add the reference's run on it, or leave this one out."
        raise BadInput("gate", found, "expected the same tasks on both sides", todo)
    best = min(fitting or [0], key=lambda i: len(differing_terms(references[i], run)))
    check_same(references[best], run)
    return best


def _deployments(runs: Sequence[Outputs], beside: Sequence[int]) -> Iterator[Deployment]:
    """Yield what each run is a run of; two runs of the same on one task are two candidates."""
    seen = Counter[tuple[Any, ...]]()
    for run, at in zip(runs, beside, strict=True):
        place = (run.model, run.variant, at)
        yield run.model, run.variant, seen[place]
        seen[place] += 1


def _nobody(first: Outputs) -> BadInput:
    found = f"no candidate has a run on {_task(first)} ({first.run})"
    todo = "Leave the reference's run on it out, or add a candidate's."
    return BadInput("gate", found, "expected the same tasks on both sides", todo)


def _missing(of: Outputs, first: Outputs) -> Outputs:
    """Return what stands for a run that was not given."""
    problem = f"no run of it on {_task(first)} is among those given"
    none = np.empty(0, np.int64)
    return replace(
        of, run="", problem=problem, index=none, ids=[], texts=[], tokens=none, marks=(), notes=()
    )


def _with_notes(parts: list[Part], notes: list[str]) -> list[Part]:
    """Name every pair, where there are several tasks."""
    if len(parts) > 1:
        for part in parts:
            notes += _pairs(part)
    return [parts[0]._replace(notes=notes), *parts[1:]]


def _pairs(part: Part) -> Iterator[str]:
    assert isinstance(part.reference, Outputs)
    for run in part.candidates:
        if isinstance(run, Outputs) and run.run:
            yield f"{part.name}: {run.label} {run.run} beside {part.reference.run}"
