"""Do captured decode steps give the logits of the steps they were captured from?

Each trial is served by graphs and held against the model's own plain pass, and against what the
model's own classes made of the same rows step by step. Where a batch may have more rows than the
trial has prompts there is one more, so that a bucket is filled up; rows leave and join, so that a
number which a graph took along shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from harness.kernel.errors import first_line
from sut.engine import agreement
from sut.engine.agreement import Attempt, Expected
from sut.engine.attention import fastest, ways
from sut.engine.graphs.capture import NewCapture
from sut.engine.graphs.runner import GraphRunner
from sut.engine.lean import LeanStep, lean_step
from sut.engine.prefill.packed import Attention, Packed
from sut.model import faults, peak

_NOT_CAPTURED = "its decode steps are not captured"
_OTHERS = "its answers do without the attention"


class Parts(NamedTuple):
    """What lean layers serve of a model, each with its attention: the answers (None: the model's
    own classes do), and the prompts (the same).
    """

    answers: ways.Attention | None = None
    prompts: Attention | None = None

    def of(self, model: Any) -> tuple[LeanStep | None, Packed | None]:
        step = None if self.answers is None else lean_step(model, self.answers)
        packed = None if step is None or self.prompts is None else Packed(step, self.prompts)
        return step, packed


class Found(NamedTuple):
    """What may be captured: `parts` (None: nothing, and why), and the attentions' times in us."""

    parts: Parts | None
    attention_us: dict[str, float]
    notes: list[str]


def find(
    model: Any,
    is_lean: bool,
    prompts: Attention | None,
    wanted: Sequence[Expected],
    own: Sequence[Attempt],
    max_rows: int | None,
    new_capture: NewCapture,
) -> Found:
    """Return the fastest parts whose captured steps agree."""
    times = _times(model, wanted, new_capture) if is_lean else []
    working = [one for one in times if not one.error]
    if is_lean and not working:
        return Found(None, {}, [f"{_NOT_CAPTURED}: {times[0].error}"])
    notes = [f"{_OTHERS} {one.attention.name!r}: {one.error}" for one in times if one.error]
    in_us = {one.attention.name: round(1e6 * one.seconds, 2) for one in working}
    for parts in [Parts(one.attention, prompts) for one in working] or [Parts()]:
        reason = why_not(model, parts, wanted, own, max_rows, new_capture)
        peak.give_back()
        if not reason:
            return Found(parts, in_us, notes)
        notes.append(reason)
    return Found(None, in_us, notes)


def _times(
    model: Any, wanted: Sequence[Expected], new_capture: NewCapture
) -> list[fastest.Measured]:
    longest = max(one.trial.longest for one in wanted)
    return fastest.measured(model, longest, new_capture())


def why_not(
    model: Any,
    parts: Parts,
    wanted: Sequence[Expected],
    own: Sequence[Attempt],
    max_rows: int | None,
    new_capture: NewCapture,
) -> str:
    """Return why the decode steps shall stay eager; empty where graphs of them agree."""
    for one, eager in zip(wanted, own, strict=True):
        with one.layers_of(model):
            found = _of_trial(model, parts, one, eager, _rows(one, max_rows), new_capture)
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
    parts: Parts,
    wanted: Expected,
    eager: Attempt,
    rows: int,
    new_capture: NewCapture,
) -> str:
    try:
        served_by, longest = parts.of(model), wanted.trial.longest
        runner = GraphRunner(model, rows, longest, *served_by, capture=new_capture())
        served = agreement.attempt(runner, wanted)
    except Exception as error:  # a compiler of kernels has errors of its own
        if faults.is_out_of_memory(error):
            raise
        return f"{_NOT_CAPTURED}: {type(error).__name__}: {first_line(error)}"
    if runner.captures.notes:
        return runner.captures.notes[0]
    if served.difference is not None:
        return f"{_NOT_CAPTURED}: {served.difference}"
    most = agreement.SAME if parts.prompts is None else max(agreement.SAME, wanted.noise)
    if not agreement.are_alike(served.seen, eager.seen, most):
        return f"{_NOT_CAPTURED}: graphs of them give other logits"
    return ""
