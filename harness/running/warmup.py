"""How long is the warm-up, and which rate follows from it?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness import registry
from harness.kernel.errors import RunBroke
from harness.kernel.log import RunLog
from harness.kernel.types import AfterInFlight, Query, QuerySample
from harness.options.settings import RunConfig

_CALIBRATION_LOAD = 0.4  # of the throughput that the warm-up reached


def given_rate(config: RunConfig, own: float | None = None) -> float:
    """Return the queries per second that the load's file asks for, or the user, or the default."""
    return own or config.expected_qps


def given_by(config: RunConfig) -> str:
    """Return who says the rate; "" where it is to be measured."""
    if not config.pattern.is_rated:
        return "the load's own"
    return "" if config.target_qps == "auto" else "given"


def warmup_samples(config: RunConfig, library: int) -> int:
    """Count what fills the batch twice over, so that its steady throughput shows; nothing where
    nothing can be cold. An accuracy run whose queries wait for no clock has no use for a rate: it
    fills the batch once, with no more than there is to ask.
    """
    if config.warmup is not None:
        return config.warmup
    if not registry.sut_entry(config.sut).warms_up:
        return 0
    if config.target_qps == "auto" and not config.pattern.is_one_by_one:
        if config.mode == "accuracy" and not config.pattern.is_open:
            return min(config.rows * config.replicas, 64, library)
        return min(2 * config.rows, 64) * config.replicas
    return 4


def warmup(count: int, library: int, config: RunConfig) -> Iterator[Query]:
    """Draw from the end of the library, with as many in flight as the batches hold (one in
    single-stream).
    """
    users = config.pattern.users
    gate = AfterInFlight(users if config.pattern.is_one_by_one or users > 1 else _batches(config))
    for i in range(count):
        yield Query(i, (QuerySample(i, (library - 1 - i) % library),), gate)


def _batches(config: RunConfig) -> int:
    """Return how many samples all replicas together work on at once."""
    return config.rows * config.replicas


def refuse_unanswered(log: RunLog) -> None:
    """Raise RunBroke if no sample of the warm-up was completed: nor would any of the run be."""
    if log.completed.any():
        return
    reason = next(iter(log.errors.values()), "none was issued")
    raise RunBroke(
        "warm-up",
        f"none of its {len(log)} samples was completed (the first: {reason})",
        "expected at least one answer",
        "Find out why (sut.log may say); --warmup 0 leaves the warm-up out.",
    )


def _steady_rate(log: RunLog) -> float | None:
    """Return the samples per second after the first quarter of the completions, so that a cold
    start counts less; None if all were completed at once.
    """
    done = np.sort(log.done_ns[log.completed])
    first = len(done) // 4
    span_s = float(done[-1] - done[first]) / 1e9
    whole_s = float(done[-1]) / 1e9
    if span_s > 0:
        return (len(done) - 1 - first) / span_s if first else len(done) / whole_s
    return len(done) / whole_s if whole_s else None


def rate_seen(config: RunConfig, log: RunLog) -> tuple[float, str]:
    """Return the queries per second that the warm-up suggests, and where the figure is from."""
    rate = _steady_rate(log)
    if rate is None:
        return given_rate(config), "default: the warm-up took no time"
    share = _CALIBRATION_LOAD if config.pattern.is_open else 1.0
    qps = float(f"{rate * share / config.size_of_query:.3g}")
    return qps, f"auto: {share:.0%} of {rate:.3g} samples/s, seen in the warm-up"
