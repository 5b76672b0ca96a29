"""A score per answer, kept as columns, and the aggregate of any of them, made once.

`scores.parquet` has a row for each answer and scorer: index of the question, which attempt it was,
scorer, score, outcome, what was read of the answer, what was expected, tokens, whether the limit
cut it off, and a column per group (subject, kind).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy import means
from accuracy.outputs.stops import cut
from accuracy.resampling import Estimate, Floats
from accuracy.tasks.programs import SCORER
from accuracy.tasks.scorers import TABLE, Given, Mark, asks_likelihoods, installed
from accuracy.tasks.scoring import verified
from accuracy.tasks.scoring.pooled import POOLED
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
    counts: Floats | None = None  # (n, k) of a figure of all answers together

    @property
    def is_right_or_wrong(self) -> bool:
        """Is every score 0 or 1?"""
        return self.counts is None and bool(np.isin(self.score, (0.0, 1.0)).all())

    @property
    def is_a_choice(self) -> bool:
        """Is an answer one of a few given ones, so that guessing may be right?"""
        reads_letters = self.scorer in ("letter", "multiple_choice")
        return reads_letters or self.scorer.startswith("likelihood")

    @property
    def mean(self) -> Estimate:
        """The share of right answers, the mean score, or the figure of all answers together, with
        its 95 % interval.
        """
        if self.counts is not None:
            return POOLED[self.scorer].estimate(self.counts)
        return means.mean(self.score)

    def part(self, members: NDArray[np.int64]) -> Marks:
        """Return the marks of some of the questions."""
        counts = None if self.counts is None else self.counts[members]
        outcome = [self.outcome[k] for k in members.tolist()]
        return Marks(self.scorer, self.questions[members], self.score[members], outcome, counts)


def rows(
    scorers: Sequence[str],
    log: RunLog,
    samples: Sequence[Sample],
    ids: NDArray[Any],
    likelihoods: Likelihoods,
    attempts: int = 1,
    ran: Mapping[int, tuple[str, str]] | None = None,
    heard: Callable[[int], object] = lambda done: None,
) -> list[Row]:
    """Return the rows of scores.parquet for the answers `ids` of a run that asked each question so
    often: the samples of question q are those from q * attempts on. `ran` is what became of
    programs, by the id of the answer; `heard` is told how many answers have been marked.

    A scorer that had nothing to compare, because the SUT knows no likelihoods, its library is not
    there or programs were not run, has no rows: nothing was scored is not the same as all were
    wrong.
    """
    ran = ran or {}
    of = {sample.index: sample for sample in samples}
    known = [i for i in ids.tolist() if int(log.index[i]) in of]
    able = [name for name in installed(scorers) if likelihoods or not asks_likelihoods(name)]
    able = [name for name in able if ran or name != SCORER]
    made = list[Row]()
    try:
        for name in able:
            for i in known:
                index = int(log.index[i])
                row = _row(name, log, i, of[index], likelihoods, ran.get(i))
                made.append(row | _place(index, attempts))
                heard(len(made))
    finally:
        verified.over()
    return made


def _place(index: int, attempts: int) -> Row:
    question, attempt = divmod(index, attempts)
    return {"index": question, "attempt": attempt}


def _row(
    scorer: str,
    log: RunLog,
    i: int,
    sample: Sample,
    likelihoods: Likelihoods,
    ran: tuple[str, str] | None,
) -> Row:
    text = cut(log.texts.get(i, ""), sample.stop)
    given = Given(text, tuple(likelihoods.get(sample.index, ())), ran)
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
        "nll_nats": list(given.nll_nats) or None,
        **({"counts": mark.counts} if mark.counts else {}),
        **dict(sample.labels),
    }


_OWN = frozenset(
    (
        "index", "attempt", "scorer", "score", "outcome", "answer", "expected", "tokens", "is_cut",
        "log_likelihood", "verifier", "nll_nats", "counts",
    )
)  # fmt: skip


def groups_of(table: Sequence[Row]) -> list[str]:
    """Return the columns that group the questions."""
    return list(dict.fromkeys(name for row in table for name in row if name not in _OWN))


def marks(table: Sequence[Mapping[str, Any]], scorer: str) -> Marks:
    """Return the marks of one scorer, one per question in their order: of several attempts the
    mean score and the most frequent outcome (of equally frequent ones the first).
    """
    own: dict[int, list[Mapping[str, Any]]] = {}
    for row in sorted(table, key=lambda row: row["index"]):
        if row["scorer"] == scorer:
            own.setdefault(row["index"], []).append(row)
    outcomes = (Counter(row["outcome"] for row in rows) for rows in own.values())
    return Marks(
        scorer,
        np.array(list(own), np.int64),
        np.array([np.mean([row["score"] for row in rows]) for rows in own.values()], np.float64),
        [most_common_of(counts) for counts in outcomes],
        _pooled(scorer, list(own.values())),
    )


def _pooled(scorer: str, of: Sequence[Sequence[Mapping[str, Any]]]) -> Floats | None:
    """Return the counts (n, k) that each question adds; None where the figure is a mean."""
    if scorer not in POOLED:
        return None
    sums = [np.sum([row["counts"] for row in rows], axis=0) for rows in of]
    return np.array(sums, np.float64)


def most_common_of(counts: Counter[str]) -> str:
    """Return the most frequent; of equally frequent ones the first that came."""
    return counts.most_common(1)[0][0]


def deciding(scorers: Sequence[str], table: Sequence[Mapping[str, Any]]) -> str:
    """Return the scorer that decides: the first one that had something to compare."""
    scored = {row["scorer"] for row in table}
    return next((name for name in scorers if name in scored), scorers[0])


def summary(task: Mapping[str, Any], table: Sequence[Row], groups: Sequence[str]) -> Row:
    """Return `task` of result.json: each scorer's figure, and that of each group by the scorer
    that decides.
    """
    decides = deciding(task["scorers"], table)
    return {
        "name": task["name"],
        "shots": task["shots"],
        "scorer": decides,
        "n": len({row["index"] for row in table}),
        "scores": {name: _figure(table, name) for name in task["scorers"]},
        "groups": list(_groups(table, decides, groups)),
        "cut": sum(row["is_cut"] for row in table if row["scorer"] == decides),
    }


def _figure(table: Sequence[Row], scorer: str) -> Row:
    found = marks(table, scorer)
    value, low, high = found.mean
    outcomes = Counter(row["outcome"] for row in table if row["scorer"] == scorer)
    return {"value": value, "low": low, "high": high, "n": len(found.score), **_counts(outcomes)}


def _counts(outcomes: Mapping[str, int]) -> dict[str, int]:
    return {
        "right": outcomes.get("right", 0),
        "wrong": outcomes.get("wrong", 0),
        "no_answer": outcomes.get("no answer", 0),
        **{name: outcomes[name] for name in ("error", "timeout", "memory") if name in outcomes},
    }


def _groups(table: Sequence[Row], scorer: str, groups: Sequence[str]) -> Iterator[Row]:
    for column in groups:
        for value in dict.fromkeys(row[column] for row in table if column in row):
            part = [row for row in table if row.get(column) == value]
            yield {"column": column, "group": value, **_figure(part, scorer)}
