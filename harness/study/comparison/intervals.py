"""How far may chance move the figures of a run? The intervals (95 %) that its raw files allow.

    tokens_per_s, samples_per_s   over twentieths of the run
    ttft_p99_ms, ...              by order statistics, where samples lean on one another by fewer
    eval_loss, perplexity         over the answers
    rougeL, rouge_ratio           over the questions
    exact_match, task_solved, ... of a share (Wilson)

They say how a run varies within itself, and nothing of what differs from run to run: that takes
repeats. Energy and memory are one reading each and have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from accuracy import means, resampling
from accuracy.percentiles import tail
from accuracy.ranking import Losses, Pace, pace_of
from accuracy.resampling import Estimate, Floats
from accuracy.tasks.marks import deciding, marks
from harness.kernel.log import RunLog

Intervals = Mapping[str, Estimate]
_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def of_log(log: RunLog, pace: Pace) -> dict[str, Estimate]:
    """Return the intervals of rates and latencies; a part of them where the run tells no more."""
    answered = pace_of(np.sort(log.done_ns[log.completed]))
    rates = {"tokens_per_s": rate(pace), "samples_per_s": rate(answered)}
    known = rates | dict(_latencies(log))
    return {name: found for name, found in known.items() if found.value is not None}


def rate(pace: Pace) -> Estimate:
    """Return how many came per second."""
    if not len(pace.seconds):
        return resampling.NOTHING
    each = np.full_like(pace.seconds, pace.tokens / len(pace.seconds))
    sums = np.column_stack((each, pace.seconds))
    draws, (over, under) = resampling.resampled(sums), sums.sum(0)
    return resampling.ratio(over, under, draws[:, 0], draws[:, 1], len(sums))


def _latencies(log: RunLog) -> Iterator[tuple[str, Estimate]]:
    ok = log.completed
    order = np.argsort(log.due_ns, kind="stable")
    first = order[(ok & (log.first_ns >= 0))[order]]
    timed = np.flatnonzero(log.has_tpot)
    values = {
        "ttft": log.ttft_ns[first],
        "tpot": log.tpot_ns[np.argsort(log.due_ns[timed], kind="stable")],
        "latency": log.latency_ns[order[ok[order]]],
    }
    for what, times_ns in values.items():
        for name, p in _PERCENTILES.items():
            yield f"{what}_{name}_ms", tail(times_ns, p).estimate.map(lambda ns: ns / 1e6)
    latencies_s = values["latency"] / 1e9
    yield "inference_s", _mean_in_order(latencies_s)


def _mean_in_order(values: Floats) -> Estimate:
    """Return the mean over twentieths of values (n,) in the order of time."""
    if len(values) < resampling.FEWEST_TEXTS:
        return Estimate(float(values.mean())) if len(values) else resampling.NOTHING
    parts = np.array_split(values, min(20, len(values)))
    sums = np.array([(part.sum(), len(part)) for part in parts])
    draws, (over, under) = resampling.resampled(sums), sums.sum(0)
    return resampling.ratio(over, under, draws[:, 0], draws[:, 1], len(sums))


def of_task(rows: Sequence[dict[str, Any]], dataset: Mapping[str, Any]) -> Intervals:
    """Return the interval of the share of its task that a run solved; nothing without a task."""
    scorers = (dataset.get("task") or {}).get("scorers", ())
    if not rows or not scorers:
        return {}
    return {"task_solved": marks(rows, deciding(scorers, rows)).mean}


def of_losses(losses: Losses | None) -> dict[str, Estimate]:
    """Return the intervals of the loss on the reference answers and of its perplexity."""
    if losses is None or not len(losses.index):
        return {}
    loss = loss_of(losses)
    return {"eval_loss": loss, "perplexity": loss.map(resampling.exp)}


def loss_of(losses: Losses) -> Estimate:
    """Return the mean loss per token, in nats; answers are drawn."""
    sums = np.column_stack((losses.nll_nats, losses.tokens.astype(np.float64)))
    draws, (over, under) = resampling.resampled(sums), sums.sum(0)
    value = float(over / under)
    return resampling.interval(value, resampling.divided(draws[:, 0], draws[:, 1]), len(sums))


def mean_of(scores: Floats) -> Estimate:
    """Return the mean of scores (n,), each of one question; questions are drawn."""
    return means.of_graded(scores)


def share_of_100(percent: float, n: int) -> Estimate:
    """Return the interval of a share of n answers, in percent."""
    if n < 1:
        return Estimate(percent)
    _, low, high = means.share(percent / 100 * n, n).map(lambda share: 100 * share)
    return Estimate(percent, low, high)
