"""Is one answer right? A scorer reads a text, or the likelihoods of given choices, and marks it.

The first scorer of a task decides; those of lm-eval (`accuracy.tasks.scoring.lm_eval`) stand beside
ours, which read an answer wherever a person would.
"""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_uppercase

from accuracy.metrics import choices, exact_match, numbers
from accuracy.tasks.scoring import lm_eval, verified
from accuracy.tasks.scoring.likelihoods import (
    likelihood,
    likelihood_per_byte,
    likelihood_per_char,
)
from accuracy.tasks.scoring.mark import Given, Mark, Outcome, Scorer, marked
from harness.kernel.types import Sample

__all__ = ["TABLE", "Given", "Mark", "Outcome", "Scorer", "asks_likelihoods", "installed", "marked"]


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


def letter(given: Given, sample: Sample) -> Mark:
    """Take the letter that the text chooses (`accuracy.metrics.choices`)."""
    last = ascii_uppercase[max(len(sample.choices), 1) - 1]
    found = choices.read(given.text, last)
    return marked(found == sample.reference, found)


def alias_match(given: Given, sample: Sample) -> Mark:
    """Compare with each accepted answer, a line each, as SQuAD and TriviaQA do: without case,
    punctuation and articles.
    """
    found = exact_match.plain(given.text)
    accepted = (sample.reference or "").split("\n")
    is_right = bool(found) and any(found == exact_match.plain(one) for one in accepted)
    return marked(is_right, given.text.strip() if found else "")


TABLE: dict[str, Scorer] = {
    "number": number,
    "number_strict": number_strict,
    "boxed": number,  # an answer is read as the reference marks its own
    "boxed_strict": number_strict,
    "math_verify": verified.math_verify,
    "letter": letter,
    "alias_match": alias_match,
    "likelihood": likelihood,
    "likelihood_per_char": likelihood_per_char,
    "likelihood_per_byte": likelihood_per_byte,
    **lm_eval.TABLE,
}


def asks_likelihoods(name: str) -> bool:
    """Does a scorer compare the likelihoods of given choices?"""
    return name.startswith("likelihood")


def installed(names: Iterable[str]) -> list[str]:
    """Return the scorers whose library is there: math_verify comes with the extra `math`."""
    return [name for name in names if name != "math_verify" or verified.is_installed()]
