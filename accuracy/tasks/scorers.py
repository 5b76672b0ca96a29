"""Is one answer right? A scorer reads a text, or the likelihoods of given choices, and marks it.

The first scorer of a task decides; those of lm-eval (`accuracy.tasks.scoring.lm_eval`) stand beside
ours, which read an answer wherever a person would.
"""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_uppercase
from typing import cast

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


def runs(given: Given, sample: Sample) -> Mark:
    """Take what became of the answer as a program (`accuracy.sandbox`), and why."""
    outcome, why = given.ran or ("no answer", "it was not run")
    return Mark(float(outcome == "right"), why, cast(Outcome, outcome))


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
    "exact_match": whole_text,
    "token_f1": shared_words,
    "runs": runs,
    **lm_eval.TABLE,
}
OF_TEXTS = ("exact_match", "token_f1")  # those that any dataset with answers may be scored with


def asks_likelihoods(name: str) -> bool:
    """Does a scorer compare the likelihoods of given choices?"""
    return name.startswith("likelihood")


def installed(names: Iterable[str]) -> list[str]:
    """Return the scorers whose library is there: math_verify comes with the extra `math`."""
    return [name for name in names if name != "math_verify" or verified.is_installed()]
