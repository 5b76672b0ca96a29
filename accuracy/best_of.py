"""Of several answers to one question, which one is taken, and how often would one of k have been
right?

`majority` is self-consistency (Wang et al. 2023), `by_score` best-of-N with a scorer, `pass_at_k`
the unbiased estimate of Chen et al. 2021. All are pure. Ties go to the answer that stands first, so
that the choice is the same in every run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from math import comb, isnan
from typing import TypeVar

from harness.errors import BadInput

A = TypeVar("A")


def majority(answers: Sequence[A], key: Callable[[A], Hashable | None]) -> A | None:
    """The first answer of the most frequent key. An answer without a key (None or "": unread) has
    no vote.

    If nobody votes it is the first answer; None only if there are no answers.
    """
    keys = [key(answer) for answer in answers]
    votes = Counter(k for k in keys if k is not None and k != "")
    if not votes:
        return answers[0] if answers else None
    return answers[keys.index(max(votes, key=votes.__getitem__))]  # both take the first of equals


def by_score(answers: Sequence[A], scorer: Callable[[A], float]) -> A | None:
    """The answer with the highest score, the first of equals; nan is below everything. None only if
    there are no answers.
    """
    return max(answers, key=lambda answer: _rank(scorer(answer)), default=None)


def _rank(score: float) -> tuple[bool, float]:
    return (False, 0.0) if isnan(score) else (True, score)


def pass_at_k(n: int, right: int, k: int) -> float:
    """1 - C(n - right, k) / C(n, k): the chance that of k answers, drawn from n with `right` right
    ones, one is right.

    Raises BadInput if there are no such k answers.
    """
    if not 1 <= k <= n or not 0 <= right <= n:
        raise BadInput(
            "pass@k",
            f"k = {k}, {right} right of {n}",
            "it takes 1 <= k <= n answers and 0 to n right ones",
        )
    return 1 - comb(n - right, k) / comb(n, k)
