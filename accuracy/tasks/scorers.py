"""Is one answer right? A scorer reads a text, or the likelihoods of given choices, and marks it.

A mark is all that is kept of an answer; every aggregate (`accuracy.tasks.marks`) is made of marks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from accuracy.metrics import exact_match, numbers
from harness.kernel.types import Sample

Outcome = Literal["right", "wrong", "no answer"]


class Given(NamedTuple):
    """What a model gave for a question: its text, cut at the task's stops, and the negative log
    likelihoods (nats) of the choices; empty where none were asked for.
    """

    text: str
    nll_nats: tuple[float, ...] = ()


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


def whole_text(given: Given, sample: Sample) -> Mark:
    """Take the whole answer, which must be the expected one but for case, articles and
    punctuation (`accuracy.metrics.exact_match`).
    """
    text = given.text.strip()
    equal, _ = exact_match.score(text, sample.reference or "")
    return marked(bool(equal), text)


def shared_words(given: Given, sample: Sample) -> Mark:
    """Take the words that the answer shares with the expected one: F1, from 0 to 1."""
    text = given.text.strip()
    equal, f1 = exact_match.score(text, sample.reference or "")
    return marked(bool(equal), text)._replace(score=f1)


TABLE: dict[str, Scorer] = {
    "number": number,
    "number_strict": number_strict,
    "likelihood": likelihood,
    "likelihood_per_byte": likelihood_per_byte,
    "exact_match": whole_text,
    "token_f1": shared_words,
}

OF_TEXTS = ("exact_match", "token_f1")  # those that any dataset with answers may be scored with
