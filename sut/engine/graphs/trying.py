"""Do captured decode steps give the logits of the steps they were captured from?

Each trial is served by graphs and held against the model's own plain pass, and against what the
model's own classes made of the same rows step by step. Where a batch may have more rows than the
trial has prompts there is one more, so that a bucket is filled up; rows leave and join, so that a
number which a graph took along shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.kernel.errors import first_line
from sut.engine import agreement
from sut.engine.agreement import Attempt, Expected
from sut.engine.graphs.capture import NewCapture
from sut.engine.graphs.runner import GraphRunner
from sut.engine.lean import lean_step

_NOT_CAPTURED = "its decode steps are not captured"


def why_not(
    model: Any,
    is_lean: bool,
    wanted: Sequence[Expected],
    own: Sequence[Attempt],
    max_rows: int | None,
    new_capture: NewCapture,
) -> str:
    """Return why the decode steps shall stay eager; empty where graphs of them agree."""
    for one, eager in zip(wanted, own, strict=True):
        with one.layers_of(model):
            found = _of_trial(model, is_lean, one, eager, _rows(one, max_rows), new_capture)
        if found:
            return found
    return ""


def _rows(wanted: Expected, max_rows: int | None) -> int:
    """Return the rows of a cache in which the prompts are batched as the eager steps had them."""
    count = len(wanted.trial.prompts)
    most = count + 1 if max_rows is None else max_rows
    return count + 1 if 1 < count < most else min(count, most)


def _of_trial(
    model: Any,
    is_lean: bool,
    wanted: Expected,
    eager: Attempt,
    rows: int,
    new_capture: NewCapture,
) -> str:
    try:
        step = lean_step(model) if is_lean else None
        runner = GraphRunner(model, rows, wanted.trial.longest, step, capture=new_capture())
        served = agreement.attempt(runner, wanted)
    except agreement.REFUSALS as error:
        return f"{_NOT_CAPTURED}: {type(error).__name__}: {first_line(error)}"
    if runner.captures.notes:
        return runner.captures.notes[0]
    if served.difference is not None:
        return f"{_NOT_CAPTURED}: {served.difference}"
    if not agreement.are_alike(served.seen, eager.seen):
        return f"{_NOT_CAPTURED}: graphs of them give other logits"
    return ""
