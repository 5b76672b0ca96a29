"""A mark is all that is kept of an answer; every aggregate (`accuracy.tasks.marks`) is made of
marks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from harness.kernel.types import Sample

Outcome = Literal["right", "wrong", "no answer", "error", "timeout", "memory"]


class Given(NamedTuple):
    """What a model gave for a question: its text, cut at the task's stops, and the negative log
    likelihoods (nats) of the choices; empty where none were asked for. `ran` is what became of it
    as a program, and why.
    """

    text: str
    nll_nats: tuple[float, ...] = ()
    ran: tuple[str, str] | None = None


class Mark(NamedTuple):
    """How good an answer is: a score from 0 to 1, what was read of it, and what became of it.
    `counts` are what it adds to a figure of all answers (`accuracy.tasks.scoring.pooled`).
    """

    score: float
    answer: str
    outcome: Outcome
    counts: tuple[int, ...] = ()


Scorer = Callable[[Given, Sample], Mark]


def marked(is_right: bool, answer: str) -> Mark:
    """Return the mark of an answer that is right or wrong; nothing read is no answer."""
    outcome: Outcome = "right" if is_right else "wrong" if answer else "no answer"
    return Mark(float(is_right), answer, outcome)
