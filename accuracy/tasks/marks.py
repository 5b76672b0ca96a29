"""A score per answer, kept as columns, and the aggregate of any of them, made once.

`scores.parquet` has a row for each answer and scorer: index of the question, which attempt it was,
scorer, score, outcome, what was read of the answer, what was expected, tokens, whether the limit
cut it off, and a column per group (subject, kind).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy import resampling
from accuracy.outputs.stops import cut
from accuracy.resampling import Estimate, Floats
from accuracy.tasks.scorers import TABLE, Given, Mark
from harness.kernel.log import RunLog
from harness.kernel.types import FINISHES, Sample

Likelihoods = Mapping[int, Sequence[float]]  # index -> negative log likelihood of each choice, nats
Row = dict[str, Any]
_CUT = FINISHES.index("length")


class Marks(NamedTuple):
    """The marks of one scorer, in the order of the questions."""

    scorer: str
    questions: NDArray[np.int64]
    score: Floats
    outcome: Sequence[str]

    @property
    def is_right_or_wrong(self) -> bool:
        """Is every score 0 or 1?"""
        return bool(np.isin(self.score, (0.0, 1.0)).all())

    @property
    def mean(self) -> Estimate:
        """The share of right answers, or the mean score, with its 95 % interval."""
        n = len(self.score)
        if n and self.is_right_or_wrong:
            return _share(int(self.score.sum()), n)
        if not n:
            return resampling.NOTHING
        draws = resampling.resampled(self.score[:, None])[:, 0] / n
        return resampling.interval(float(self.score.mean()), draws, n)


def _share(right: int, n: int) -> Estimate:
    """Return a share with its interval (Wilson 1927)."""
    from scipy.stats import binomtest

    ends = binomtest(right, n).proportion_ci(method="wilson")
    return Estimate(right / n, float(ends.low), float(ends.high))


def rows(
    scorers: Sequence[str],
    log: RunLog,
    samples: Sequence[Sample],
    ids: NDArray[Any],
    likelihoods: Likelihoods,
) -> list[Row]:
    """Return the rows of scores.parquet for the answers `ids` of a run."""
    of = {sample.index: sample for sample in samples}
    known = [i for i in ids.tolist() if int(log.index[i]) in of]
    return [
        _row(name, log, i, of[int(log.index[i])], likelihoods) for name in scorers for i in known
    ]


def _row(scorer: str, log: RunLog, i: int, sample: Sample, likelihoods: Likelihoods) -> Row:
    text = cut(log.texts.get(i, ""), sample.stop)
    given = Given(text, tuple(likelihoods.get(sample.index, ())))
    mark: Mark = TABLE[scorer](given, sample)
    return {
        "index": sample.index,
        "attempt": 0,
        "scorer": scorer,
        "score": mark.score,
        "outcome": mark.outcome,
        "answer": mark.answer,
        "expected": sample.reference or "",
        "tokens": int(log.tokens[i]),
        "is_cut": int(log.finish[i]) == _CUT,
        **dict(sample.labels),
    }


_OWN = frozenset(
    ("index", "attempt", "scorer", "score", "outcome", "answer", "expected", "tokens", "is_cut")
)


def groups_of(table: Sequence[Row]) -> list[str]:
    """Return the columns that group the questions."""
    return list(dict.fromkeys(name for row in table for name in row if name not in _OWN))


def marks(table: Sequence[Row], scorer: str) -> Marks:
    """Return the marks of one scorer."""
    own = [row for row in table if row["scorer"] == scorer]
    return Marks(
        scorer,
        np.array([row["index"] for row in own], np.int64),
        np.array([row["score"] for row in own], np.float64),
        [row["outcome"] for row in own],
    )


def summary(task: Mapping[str, Any], table: Sequence[Row], groups: Sequence[str]) -> Row:
    """Return `task` of result.json: each scorer's figure, and that of each group."""
    return {
        "name": task["name"],
        "shots": task["shots"],
        "n": len({row["index"] for row in table}),
        "scores": {name: _figure(table, name) for name in task["scorers"]},
        "groups": list(_groups(table, task["scorers"][0], groups)),
        "cut": sum(row["is_cut"] for row in table if row["scorer"] == task["scorers"][0]),
    }


def _figure(table: Sequence[Row], scorer: str) -> Row:
    found = marks(table, scorer)
    value, low, high = found.mean
    outcomes = Counter(found.outcome)
    return {"value": value, "low": low, "high": high, "n": len(found.score), **_counts(outcomes)}


def _counts(outcomes: Mapping[str, int]) -> dict[str, int]:
    return {
        "right": outcomes.get("right", 0),
        "wrong": outcomes.get("wrong", 0),
        "no_answer": outcomes.get("no answer", 0),
    }


def _groups(table: Sequence[Row], scorer: str, groups: Sequence[str]) -> Iterator[Row]:
    for column in groups:
        for value in dict.fromkeys(row[column] for row in table if column in row):
            part = [row for row in table if row.get(column) == value]
            yield {"column": column, "group": value, **_figure(part, scorer)}
