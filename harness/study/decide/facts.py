"""What does a finished run tell of a deployment, and how sure is it? A result and its folder in,
figures with intervals out.

    speed       tokens per second, over twentieths of the run's tokens (`accuracy.ranking`)
    latencies   percentiles over twentieths of the run, drawn whole: neighbours in a queue wait for
                the same ones, and are not independent
    losses      over the answers that were scored
    memory      exact; the largest of a deployment's runs counts
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import mul
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import scenarios
from accuracy import resampling
from accuracy.ranking import PARTS, Losses, Pace
from accuracy.resampling import Estimate, Floats
from harness.kernel.errors import BadInput
from harness.kernel.log import RunLog
from harness.kernel.stats import percentile
from harness.kernel.words.measure import Measure
from harness.result.read import read_run
from harness.study.comparison.evidence import Evidence, gather
from harness.study.comparison.rows import row_of
from harness.study.decide.figures import Stage, is_latency

Kept = dict[str, Any]
_EXACT = {"memory": "peak_bytes", "weights": "weights_bytes", "disk": "disk_bytes"}
_TOO_SHORT = "peak_step_length"  # a queue that grows would not have broken a limit
_OF_USERS = ("latency_mean", "tpot_p50")
_GRID = 4_000  # values of a tail among which a percentile is looked for


class Rate(NamedTuple):
    """The highest valid rate of one server, in queries per second, and between which rates it is
    known to lie; `value` is 0 where no rate was valid. `problem` says why the search tells nothing.
    """

    value: float
    low: float | None
    high: float | None
    is_searched: bool
    problem: str = ""


def kept_of(result: Mapping[str, Any], folder: Path) -> Kept:
    """Return what a study keeps of a run beside the row that a comparison would show."""
    run, latency = result["settings"]["run"], result["latency"]
    completed = result["counts"]["completed"]
    return row_of(result, folder) | {
        "scenario": result["scenario"],
        "mode": result["mode"],
        "tokens_per_sample": result["counts"]["tokens"] / completed if completed else None,
        "scores": {k: v for k, v in result["accuracy"].items() if isinstance(v, int | float)},
        "latency": latency,
        "limits": {name: run[name] for name in _LIMITS},
        "valid_rate": _rate_of(result),
    }


_LIMITS = ("percentile", "ttft_limit_ns", "tpot_limit_ns", "target_latency_ns", "use_tokens")


def stage_of(kept: Kept) -> Stage | None:
    """Return which stage a run is; None where it is none of them."""
    if kept["mode"] == "accuracy":
        return "quality"
    if kept["valid_rate"] is not None:
        return "rate"
    return "speed" if kept["mode"] == "performance" else None


def _rate_of(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the valid rate of a run of the server scenario; None of any other run.

    A run at one rate shows that this rate is valid, and nothing of higher ones.
    """
    if not scenarios.entry(result["scenario"]).is_open or result["mode"] == "accuracy":
        return None
    if result["mode"] != "find-peak":
        qps = result["settings"]["run"]["target_qps"]
        return Rate(qps if result["status"] == "VALID" else 0.0, None, None, False)._asdict()
    found = _searched(result.get("search") or [])
    failed = {verdict["rule"] for verdict in result["verdicts"] if verdict["status"] == "FAIL"}
    if _TOO_SHORT in failed:
        found = found._replace(problem=result["status_reason"])
    return found._asdict()


def _searched(steps: Sequence[Mapping[str, Any]]) -> Rate:
    """Return the highest rate of a search at which a whole run was VALID, as it was delivered; it
    lies below the lowest rate above it that was not.

    LoadGen's search may end at a rate whose run is too short for the rule of early stopping.
    """
    valid = [step for step in steps if step["held"] and step["status"] == "VALID"]
    if not valid:
        return Rate(0.0, None, None, True)
    best = max(valid, key=lambda step: step["target_qps"])
    asked, delivered = best["target_qps"], best["delivered_qps"]
    value = asked if delivered is None else min(asked, delivered)
    above = [step["target_qps"] for step in steps if step["target_qps"] > asked]
    return Rate(value, value, min(above), True) if above else Rate(value, None, None, True)


# ---- figures with intervals


def estimates(kept: Kept, folder: Path, measures: Sequence[Measure]) -> dict[str, Estimate]:
    """Return the figures that one run tells, of those that are asked for and those behind costs."""
    found = {name: _exact(kept[key]) for name, key in _EXACT.items() if kept.get(key)}
    stage = stage_of(kept)
    if stage == "speed":
        behind = gather(folder, kept["status"], kept["reason"])
        found |= _speed(kept, behind) | _losses(kept["scores"], behind)
    if stage == "quality":
        found |= {name: Estimate(float(value)) for name, value in kept["scores"].items()}
    if stage == "rate":
        found |= _rate(kept) | _latencies(kept, folder, measures)
    return found


def _exact(value: float) -> Estimate:
    return Estimate(value, value, value)


def _speed(kept: Kept, behind: Evidence) -> dict[str, Estimate]:
    share = _relative(behind.pace)
    found = dict[str, Estimate]()
    for name in ("tokens_per_s", "samples_per_s"):
        if value := kept.get(name):
            found[name] = share.map(partial(mul, value))
    if joules := kept.get("joules_per_token"):
        found["joules_per_token"] = Estimate(joules)
    return found


def _relative(pace: Pace | None) -> Estimate:
    """Return a speed as a share of itself, with its interval."""
    if pace is None or not len(pace.seconds):
        return Estimate(1.0)
    total = float(pace.seconds.sum())
    drawn = resampling.resampled(pace.seconds[:, None])[:, 0]
    return resampling.ratio(total, total, np.full(len(drawn), total), drawn, len(pace.seconds))


def _losses(scores: Mapping[str, float], behind: Evidence) -> dict[str, Estimate]:
    if "eval_loss" not in scores:
        return {}
    loss = Estimate(scores["eval_loss"])
    if behind.losses is not None:
        loss = _mean_loss(behind.losses, scores["eval_loss"])
    return {
        "eval_loss": loss,
        "perplexity": loss.map(resampling.exp),
        "token_accuracy": Estimate(scores.get("token_accuracy")),
    }


def _mean_loss(losses: Losses, value: float) -> Estimate:
    sums = np.column_stack((losses.nll_nats, losses.tokens.astype(np.float64)))
    draws = resampling.resampled(sums)
    return resampling.interval(value, resampling.divided(draws[:, 0], draws[:, 1]), len(sums))


def _rate(kept: Kept) -> dict[str, Estimate]:
    rate = Rate(**kept["valid_rate"])
    return {"qps": Estimate(rate.value, rate.low, rate.high)}


def _latencies(kept: Kept, folder: Path, measures: Sequence[Measure]) -> dict[str, Estimate]:
    """Return the latencies that are asked for, and those behind the rates of users."""
    asked = dict.fromkeys([*(one.name for one in measures if is_latency(one)), *_OF_USERS])
    log = _log(folder)
    found = {}
    for name in asked:
        what, _, statistic = name.partition("_")
        values_s = None if log is None else _values_s(log, what)
        if values_s is not None:
            found[name] = statistic_of(values_s, statistic)
        elif (value_ms := kept["latency"][f"{what}_ms"].get(statistic)) is not None:
            found[name] = Estimate(value_ms / 1000)
    return found


def _log(folder: Path) -> RunLog | None:
    try:
        return read_run(folder).log
    except BadInput:
        return None


def _values_s(log: RunLog, what: str) -> Floats | None:
    """Return a latency of each sample that has one, in the order in which they were due; None of
    what a sample has several of.
    """
    if what == "ttft":
        known = log.completed & (log.first_ns >= 0)
        values = log.ttft_ns[known]
    elif what == "tpot":
        known, values = log.has_tpot, log.tpot_ns
    elif what == "latency":
        known, values = log.completed, log.latency_ns[log.completed]
    else:
        return None
    order = np.argsort(log.due_ns[known], kind="stable")
    return np.asarray(values[order] / 1e9)


def statistic_of(values_s: Floats, statistic: str) -> Estimate:
    """Return the mean, the largest or a percentile of values (n,), in the order of their time. The
    interval draws twentieths of the run; the largest value has none.
    """
    if not len(values_s):
        return Estimate(None)
    if statistic == "max":
        return Estimate(float(values_s.max()))
    parts = np.array_split(values_s, PARTS)
    if len(values_s) < 2 * PARTS:
        parts = []
    if statistic == "mean":
        sums = np.array([(part.sum(), len(part)) for part in parts]).reshape(-1, 2)
        drawn = resampling.resampled(sums)
        means = resampling.divided(drawn[:, 0], drawn[:, 1])
        return resampling.interval(float(values_s.mean()), means, len(parts))
    share = float(statistic.removeprefix("p")) / 100
    value = percentile(values_s, share)
    assert value is not None
    return resampling.interval(value, _drawn_percentiles(parts, share), len(parts))


def _drawn_percentiles(parts: Sequence[Floats], share: float) -> Floats:
    """Return a percentile of each draw of the parts, (B,): the least value of a grid that covers
    its share.
    """
    if not parts:
        return np.empty(0)
    ordered = np.sort(np.concatenate(parts))
    n = len(ordered)
    ranks = np.concatenate((np.linspace(0, n - 1, _GRID), np.arange(max(0, n - _GRID), n)))
    grid = np.unique(ordered[ranks.astype(int)])
    below = np.array([np.searchsorted(np.sort(part), grid, "right") for part in parts])
    counts = np.column_stack((below, [len(part) for part in parts])).astype(np.float64)
    drawn = resampling.resampled(counts, 1_000)
    enough = drawn[:, :-1] > share * drawn[:, -1:]
    at = np.where(enough.any(1), enough.argmax(1), len(grid) - 1)
    return np.asarray(grid[at], np.float64)
