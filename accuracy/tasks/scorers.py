"""Is one answer right? A scorer reads a text, or the likelihoods of given choices, and marks it.

The first scorer of a task decides; those of lm-eval (`accuracy.tasks.scoring.lm_eval`) stand beside
ours, which read an answer wherever a person would.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import cast

from accuracy.metrics import choices, exact_match, mlperf, numbers
from accuracy.metrics import references as kinds
from accuracy.tasks.scoring import lm_eval, pooled, verified
from accuracy.tasks.scoring.likelihoods import (
    likelihood,
    likelihood_per_byte,
    likelihood_per_char,
)
from accuracy.tasks.scoring.mark import Given, Mark, Outcome, Scorer, marked
from accuracy.tasks.scoring.pooled import POOLED
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


def mlperf_score(given: Given, sample: Sample) -> Mark:
    """Take MLPerf's own score of an answer that is no text (`accuracy.metrics.mlperf`)."""
    score, found = mlperf.score(given.text, sample)
    return marked(score == 1, found)._replace(score=score)


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
    "bleu": pooled.bleu,
    "chrf": pooled.chrf,
    "number_match": number,
    "multiple_choice": letter,
    "mlperf_scores": mlperf_score,
    "runs": runs,
    **lm_eval.TABLE,
}
OF_TEXTS = ("exact_match", "token_f1", "bleu", "chrf")  # of any answers, of a task as well
OF_DATASETS = ("number_match", "multiple_choice", "mlperf_scores")  # of answers of their kind


def asks_likelihoods(name: str) -> bool:
    """Does a scorer compare the likelihoods of given choices?"""
    return name.startswith("likelihood")


def installed(names: Iterable[str]) -> list[str]:
    """Return the scorers whose library is there: math_verify comes with the extra `math`."""
    return [name for name in names if name != "math_verify" or verified.is_installed()]


def scored_by(name: str, samples: Sequence[Sample]) -> list[Sample]:
    """Return those samples of a dataset whose answers a scorer can mark, as it reads them: numbers,
    letters, what MLPerf's scripts grade, and of texts those that the metric of the same name
    scores.
    """
    if name == "mlperf_scores":
        return [sample for sample in samples if mlperf.is_graded(sample)]
    if name == "number_match":
        known = numbers.references(samples)
        return [sample for sample in samples if sample.index in known]
    if name == "multiple_choice":
        letters = choices.references(samples)
        offered = tuple(_letters_to(max(letters.values(), default="D")))
        return [
            replace(sample, reference=letters[sample.index], choices=offered)
            for sample in samples
            if sample.index in letters
        ]
    texts = kinds.of_kind(samples, "text") if name in POOLED else None
    return [s for s in samples if s.reference and (texts is None or s.index in texts)]


def _letters_to(last: str) -> str:
    return ascii_uppercase[: ascii_uppercase.index(max(last, "D")) + 1]
