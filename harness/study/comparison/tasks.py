"""How good is a run at each kind of task (text, code, reasoning)? By the dataset's labels.

    perplexity    of the reference answers
    rougeL        of the generated answers
    exact_match, number_match, multiple_choice    shares of right answers

A kind of fewer than five answers is left out, as nothing can be said of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from accuracy import resampling
from accuracy.ranking import Losses
from accuracy.resampling import FEWEST_TEXTS, Estimate, Floats
from harness import registry
from harness.kernel.log import RunLog
from harness.kernel.types import Int64s, Sample
from harness.study.comparison.intervals import loss_of, mean_of, share_of_100

SHARES = ("exact_match", "number_match", "multiple_choice")  # metrics that are shares of answers
_MOST = 16  # kinds in one column of labels: more are names, not kinds
Kinds = dict[str, dict[str, Estimate]]  # figure -> kind -> its figure
Members = Mapping[str, frozenset[int]]  # kind -> the samples that are of it


def members_of(samples: Sequence[Sample]) -> dict[str, frozenset[int]]:
    """Return the samples of each kind, by the labels that have several values, but not too many;
    where several columns have, the column's name stands before the kind.
    """
    found: dict[str, dict[str, set[int]]] = {}
    for sample in samples:
        for column, value in sample.labels:
            found.setdefault(column, {}).setdefault(value, set()).add(sample.index)
    useful = {column: kinds for column, kinds in found.items() if 1 < len(kinds) <= _MOST}
    return {
        f"{column}: {kind}" if len(useful) > 1 else kind: frozenset(of)
        for column, kinds in useful.items()
        for kind, of in kinds.items()
    }


def of_losses(losses: Losses | None, members: Members) -> Kinds:
    """Return the perplexity of each kind."""
    if losses is None:
        return {}
    found = {}
    for kind, at in _at(losses.index, members):
        part = Losses(losses.index[at], losses.nll_nats[at], losses.tokens[at])
        found[kind] = loss_of(part).map(resampling.exp)
    return {"perplexity": found} if found else {}


def of_scores(index: Int64s, scores: Floats, members: Members) -> Kinds:
    """Return the mean ROUGE-L (of 100) of each kind; `scores` (n,) are shares of 1."""
    found = {kind: mean_of(100 * scores[at]) for kind, at in _at(index, members)}
    return {"rougeL": found} if found else {}


def of_shares(
    log: RunLog, samples: Sequence[Sample], members: Members
) -> tuple[dict[str, Estimate], Kinds]:
    """Return the shares of right answers with intervals, and those of each kind."""
    ids = np.flatnonzero(log.completed)
    ids = ids[np.unique(log.index[ids], return_index=True)[1]]
    whole = {name: found for name in SHARES if (found := _share(name, log, samples, ids))}
    kinds: Kinds = {}
    for kind, at in _at(log.index[ids].astype(np.int64), members):
        for name in whole:
            if found := _share(name, log, samples, ids[at]):
                kinds.setdefault(name, {})[kind] = found
    return whole, kinds


def _share(name: str, log: RunLog, samples: Sequence[Sample], ids: Int64s) -> Estimate | None:
    """Return a metric's share over these samples; None where it reads none of them."""
    for metric in registry.metric(name)(log, samples, ids):
        if metric.name == name and metric.value is not None:
            return share_of_100(metric.value, metric.n)
    return None


def _at(index: Int64s, members: Members) -> Iterator[tuple[str, Int64s]]:
    """Yield each kind that has enough rows, and which rows are of it."""
    for kind, of in members.items():
        at = np.flatnonzero(np.isin(index, sorted(of)))
        if len(at) >= FEWEST_TEXTS:
            yield kind, at
