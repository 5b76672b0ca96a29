"""Is one answer right? A scorer reads a text, or the likelihoods of given choices, and marks it.

A mark is all that is kept of an answer; every aggregate (`accuracy.tasks.marks`) is made of marks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, cast

import numpy as np

from accuracy.metrics import numbers
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
    """How good an answer is: a score from 0 to 1, what was read of it, and what became of it."""

    score: float
    answer: str
    outcome: Outcome


Scorer = Callable[[Given, Sample], Mark]


def marked(is_right: bool, answer: str) -> Mark:
    """Return the mark of an answer that is right or wrong; nothing read is no answer."""
    outcome: Outcome = "right" if is_right else "wrong" if answer else "no answer"
    return Mark(float(is_right), answer, outcome)


def number(given: Given, sample: Sample) -> Mark:
    """Take the final number wherever a person would read it (`accuracy.metrics.numbers`)."""
    wanted = numbers.target(sample.reference or "")
    found = numbers.read(given.text, wanted.how or "####")
    return marked(numbers.same(found.answer, wanted.answer), found.answer)


def number_strict(given: Given, sample: Sample) -> Mark:
    """Take a final number only where it is marked as the reference's is."""
    wanted = numbers.target(sample.reference or "")
    found = numbers.read(given.text, wanted.how or "####")
    if found.how != wanted.how:
        return marked(False, "")
    return marked(numbers.same(found.answer, wanted.answer), found.answer)


def likelihood(given: Given, sample: Sample) -> Mark:
    """Take the choice that the model expects most."""
    return _likeliest(given, sample, (1.0,) * len(sample.choices))


def likelihood_per_byte(given: Given, sample: Sample) -> Mark:
    """Take the choice that the model expects most for its length in bytes (lm-eval's acc_norm)."""
    return _likeliest(given, sample, tuple(float(len(one.encode())) for one in sample.choices))


def _likeliest(given: Given, sample: Sample, lengths: tuple[float, ...]) -> Mark:
    """`reference` is the place of the right choice, from 0."""
    if len(given.nll_nats) != len(sample.choices) or not np.isfinite(given.nll_nats).all():
        return marked(False, "")
    best = int(np.argmin(np.array(given.nll_nats) / np.array(lengths)))
    return marked(best == int(sample.reference or -1), sample.choices[best].strip())


def runs(given: Given, sample: Sample) -> Mark:
    """Take what became of the answer as a program (`accuracy.sandbox`), and why."""
    outcome, why = given.ran or ("no answer", "it was not run")
    return Mark(float(outcome == "right"), why, cast(Outcome, outcome))


TABLE: dict[str, Scorer] = {
    "number": number,
    "number_strict": number_strict,
    "likelihood": likelihood,
    "likelihood_per_byte": likelihood_per_byte,
    "runs": runs,
}
