"""Our driver with a null SUT, in a process of its own like its peer: `python -m
tests.bench.driver_peer server 1000 3`.

Like LoadGen, the driver makes queries before the clock starts, up to `AHEAD` of them: `rate` is
that of runs of this length. `rate_long` is that of a run in which most queries are made on the way.
"""

from __future__ import annotations

import json
import sys
from statistics import median

import numpy as np

from harness.doctor import server, single_stream
from harness.engine.driver import AHEAD
from harness.kernel.clock import RealClock
from harness.kernel.log import RunLog
from sut.null import Null


def measure(scenario: str, qps: float, seconds: float) -> dict[str, float]:
    clock = RealClock()
    if scenario != "server":
        runs = [_rate(single_stream(clock, Null(clock), AHEAD)) for _ in range(int(5 * seconds))]
        return {
            "rate": median(runs),
            "rate_long": _rate(single_stream(clock, Null(clock), int(400_000 * seconds))),
        }
    log = server(clock, Null(clock), qps, int(qps * seconds))
    due_s, done_s = float(log.due_ns[-1]) / 1e9, float(log.done_ns[-1]) / 1e9
    return {
        "rate": (len(log) - 1) / done_s,
        "held": due_s / done_s,
        "latency_p50_us": float(np.median(log.latency_ns)) / 1e3,
        "latency_p99_us": float(np.percentile(log.latency_ns, 99)) / 1e3,
        "lag_p50_us": float(np.median(log.issue_lag_ns)) / 1e3,
    }


def _rate(log: RunLog) -> float:
    return len(log) / (float(log.done_ns[-1]) / 1e9)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))))
