"""Which answers go into mlperf_log_accuracy.json?

Accuracy mode: all that completed, in the order of their completion. Performance mode: a sample that
LoadGen draws, so that the compliance tests can compare answers given under load with those of the
accuracy run. The draw of sample i is
    u_i     the i-th real of mt19937(5489), in the order of generation, whatever the seeds of the
            run
    offset  the first real of mt19937(accuracy_log_rng_seed): moves the choice without another
            shuffle
    logged  if (u_i + offset) mod 1 <= p
with p = accuracy_log_probability, or, if a target is set, that many of the samples to be expected
(section 5.3 of the specification; the defaults 0 and 0 log nothing).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.kernel.log import RunLog
from harness.kernel.types import Int64s, RunSettings
from scenarios.loadgen.mt19937 import Mt19937
from scenarios.loadgen.settings import Effective, effective

_DEFAULT_SEED = 5489  # the C++ standard's own for mt19937


def logged_samples(log: RunLog, settings: RunSettings, generated_before: int = 0) -> Int64s:
    """Return the ids (k,) of the samples to log, in completion order. `generated_before`: samples
    of earlier parts of the same test.
    """
    done: Int64s = log.completion_order[log.completed[log.completion_order]].astype(np.int64)
    if settings.mode == "accuracy":
        return done
    e = effective(settings)
    logged: Int64s = done[
        chosen(len(log), probability(e), e.accuracy_log_rng_seed, generated_before)[done]
    ]
    return logged


def probability(e: Effective) -> float:
    """Return the share of samples to log; above 1 logs all."""
    if e.accuracy_log_sampling_target <= 0:
        return e.accuracy_log_probability
    expected, floor = int(e.target_qps * e.min_duration_ms / 1000), e.min_sample_count
    if e.scenario != "Offline":
        expected, floor = expected * e.samples_per_query, e.min_query_count * e.samples_per_query
    return e.accuracy_log_sampling_target / max(expected, floor)


def chosen(n: int, p: float, seed: int, generated_before: int = 0) -> NDArray[Any]:
    """Return (n,) True for the samples that LoadGen would log. p = 0 chooses none (a draw of
    exactly 0 apart).
    """
    if p <= 0:
        return np.zeros(n, np.bool_)
    draws = Mt19937(_DEFAULT_SEED).reals(generated_before + n)[generated_before:]
    moved = draws + float(Mt19937(seed).reals(1)[0])
    return np.asarray(np.where(moved >= 1.0, moved - 1.0, moved) <= p)
