"""Which of several answers is taken, and how likely is it that one of k is right?

pass@k       one of k attempts is right: 1 - C(n - c, k) / C(n, k) of n attempts, c of them
             right, which no choice of k of them biases (Chen et al. 2021, "Evaluating large
             language models trained on code", eq. 1)
majority     the answer that most attempts give (Wang et al. 2023, "Self-consistency"); of
             equally frequent ones the one that came first
best         the attempt with the highest number: its log-likelihood, or what a verifier says
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from accuracy.metrics import exact_match, numbers
from accuracy.resampling import Floats
from accuracy.tasks.scoring import lm_eval

Same = Callable[[str, str], bool]


def _alike(one: str, other: str) -> bool:
    """Compare words as a reader does: case and spaces do not count."""
    return one.casefold().split() == other.casefold().split()


def _without_articles(one: str, other: str) -> bool:
    """Compare as SQuAD and TriviaQA do."""
    return exact_match.plain(one) == exact_match.plain(other)


def _in_plain_words(one: str, other: str) -> bool:
    """Compare as lm-eval does: without case and punctuation."""
    return lm_eval.plain(one) == lm_eval.plain(other)


# When are two answers one answer? By the equality of the scorer that reads them.
SAME: Mapping[str, Same] = {
    **dict.fromkeys(("number", "number_strict", "boxed", "boxed_strict"), numbers.same),
    **dict.fromkeys(("alias_match", "exact_match", "token_f1"), _without_articles),
    "plain_match": _in_plain_words,
}
NO_VOTE = frozenset(("runs",))  # of these no two answers are one: a program is right or wrong
NO_ANSWER = -1


def pass_at_k(n: int, right: int, k: int) -> float:
    """Return the probability that one of k attempts, drawn from n of which some are right, is
    right. The product has no large binomials in it.
    """
    if k > n:
        raise ValueError(f"{k} attempts cannot be drawn from {n}")
    if n - right < k:
        return 1.0
    return float(1 - np.prod(1 - k / np.arange(n - right + 1, n + 1)))


def labels(answers: Sequence[str], scorer: str) -> list[int]:
    """Return a number for each answer, the same for those that the scorer takes for equal;
    NO_ANSWER where nothing was read.
    """
    same, known = SAME.get(scorer, _alike), list[str]()
    found = []
    for answer in answers:
        if not answer:
            found.append(NO_ANSWER)
            continue
        label = next((i for i, one in enumerate(known) if same(answer, one)), len(known))
        if label == len(known):
            known.append(answer)
        found.append(label)
    return found


class Vote(NamedTuple):
    """Where the first attempt with the winning answer stands; None where none has an answer."""

    at: int | None
    is_tied: bool = False


def majority(votes: Sequence[int]) -> Vote:
    """Count the labels of attempts, in their order."""
    counts = Counter(vote for vote in votes if vote != NO_ANSWER)
    first_two = counts.most_common(2)  # of equal counts the one that came first is the first
    if not first_two:
        return Vote(None)
    (winner, most), *others = first_two
    return Vote(list(votes).index(winner), any(count == most for _, count in others))


def best(values: Floats) -> int | None:
    """Return where the highest number stands, the first of equal ones; None where all are
    unknown (NaN).
    """
    return None if np.isnan(values).all() else int(np.nanargmax(values))
