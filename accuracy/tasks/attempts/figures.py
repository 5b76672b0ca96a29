"""What do more attempts buy? Rows of scores.parquet in, `task.attempts` of result.json out: for
k = 1, 2, 4 up to all n attempts, the share of questions that each way of choosing solves, and what
k attempts cost.

The figure at k < n is a mean over sets of k attempts: pass@k over all of them, the other ways over
those that follow one another (after the last attempt comes the first). Attempts are exchangeable,
so neither favours an attempt. Intervals are 95 %, over questions: attempts at one question are no
independent evidence. Questions with fewer than n answers are left out, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.means import mean
from accuracy.resampling import Estimate, Floats
from accuracy.tasks.attempts.choosing import NO_VOTE, best, labels, majority, pass_at_k
from accuracy.tasks.scorers import asks_likelihoods

Row = dict[str, Any]
_MOST_SETS = 64  # of k attempts that follow one another


class Question(NamedTuple):
    """All n attempts at one question, in their order."""

    score: Floats
    right: int  # attempts
    labels: Sequence[int]
    log_likelihood: Floats  # mean per token, nats; NaN: not known
    verifier: Floats

    @property
    def n(self) -> int:
        return len(self.score)


Choice = Callable[[Question, NDArray[np.int64]], int | None]  # the attempt that is taken of some


def summary(
    draws: Mapping[str, Any], table: Sequence[Row], scorers: Sequence[str], span_s: float
) -> Row:
    """Return the figures of the first scorer that reads answers: the likelihoods of given choices
    are the same in every attempt. `span_s` is how long the run took, in seconds.
    """
    scorer = next((name for name in scorers if not asks_likelihoods(name)), scorers[0])
    n = draws["attempts"]
    answers = [row for row in table if row["scorer"] == scorer]
    whole = list(_questions(answers, scorer, n))
    asked = len({row["index"] for row in answers})
    ways = {name: way for name, way in _WAYS.items() if _is_known(name, scorer, whole)}
    tokens = sum(row["tokens"] for row in answers)
    one = _Cost(tokens / len(answers), span_s / len(answers)) if answers else _Cost(0.0, 0.0)
    return {
        **draws,
        "scorer": scorer,
        "questions": len(whole),
        "incomplete": asked - len(whole),
        "average": _figure(np.array([each.score.mean() for each in whole]), one),
        "ties": sum(majority(each.labels).is_tied for each in whole if "majority" in ways),
        "at": [_at(k, whole, ways, one.of(k)) for k in sizes(n)] if whole else [],
    }


def sizes(n: int) -> list[int]:
    """Return 1, 2, 4 and so on, and n itself."""
    powers = [2**i for i in range(n.bit_length()) if 2**i < n]
    return [*powers, n]


def _questions(answers: Sequence[Row], scorer: str, n: int) -> Iterator[Question]:
    """Yield the questions with all their answers."""
    by_index: dict[int, list[Row]] = {}
    for row in answers:
        by_index.setdefault(row["index"], []).append(row)
    for rows in by_index.values():
        if len(rows) != n:
            continue
        rows = sorted(rows, key=lambda row: row["attempt"])
        yield Question(
            score=_column(rows, "score"),
            right=sum(row["outcome"] == "right" for row in rows),
            labels=labels([row["answer"] for row in rows], scorer),
            log_likelihood=_column(rows, "log_likelihood"),
            verifier=_column(rows, "verifier"),
        )


def _column(rows: Sequence[Row], name: str) -> Floats:
    values = [row.get(name) for row in rows]
    return np.array([np.nan if value is None else value for value in values], np.float64)


# ---- ways of choosing


def _by_majority(question: Question, some: NDArray[np.int64]) -> int | None:
    at = majority([question.labels[i] for i in some.tolist()]).at
    return None if at is None else int(some[at])


def _by_likelihood(question: Question, some: NDArray[np.int64]) -> int | None:
    at = best(question.log_likelihood[some])
    return None if at is None else int(some[at])


def _by_verifier(question: Question, some: NDArray[np.int64]) -> int | None:
    at = best(question.verifier[some])
    return None if at is None else int(some[at])


_WAYS: Mapping[str, Choice] = {
    "majority": _by_majority,
    "likelihood": _by_likelihood,
    "verifier": _by_verifier,
}


def _is_known(way: str, scorer: str, questions: Sequence[Question]) -> bool:
    """Is there anything to choose by?"""
    if way == "majority":
        return scorer not in NO_VOTE
    name = "log_likelihood" if way == "likelihood" else "verifier"
    return any(not np.isnan(getattr(one, name)).all() for one in questions)


def _chosen_score(question: Question, k: int, way: Choice) -> float:
    """Return the mean score of what is taken of k attempts; nothing taken scores 0."""
    taken = [way(question, some) for some in _sets(question.n, k)]
    return float(np.mean([0.0 if at is None else question.score[at] for at in taken]))


def _sets(n: int, k: int) -> Iterator[NDArray[np.int64]]:
    """Yield sets of k of n attempts that follow one another; all n attempts are one set."""
    count = 1 if k == n else min(n, _MOST_SETS)
    for first in np.linspace(0, n, count, endpoint=False).astype(np.int64):
        yield (first + np.arange(k)) % n


# ---- figures


class _Cost(NamedTuple):
    """What is spent per question."""

    tokens: float
    seconds: float

    def of(self, attempts: int) -> _Cost:
        """Return the cost of so many attempts, each as long and as fast as the run's."""
        return _Cost(attempts * self.tokens, attempts * self.seconds)


def _at(k: int, questions: Sequence[Question], ways: Mapping[str, Choice], cost: _Cost) -> Row:
    passed = np.array([pass_at_k(one.n, one.right, k) for one in questions])
    scores = {
        name: np.array([_chosen_score(one, k, way) for one in questions])
        for name, way in ways.items()
    }
    figures = {name: _figure(score, cost) for name, score in {"pass": passed, **scores}.items()}
    return {"k": k, "tokens": cost.tokens, "seconds": cost.seconds, **figures}


def _figure(score: Floats, cost: _Cost) -> Row:
    """Return a share with its interval, and what a solved question costs (None: none is)."""
    found: Estimate = mean(score)
    return {
        **found._asdict(),
        "tokens_per_solved": cost.tokens / found.value if found.value else None,
        "seconds_per_solved": cost.seconds / found.value if found.value else None,
    }
