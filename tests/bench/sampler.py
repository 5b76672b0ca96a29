"""What does the sampling of GPUs cost? `python -m tests.bench.sampler [--seconds 20]` starts the
helper of a run as a run does and reads its processor time: at 100 ms and at 1 s, for the GPUs of
this machine, or for one and eight stand-ins where it has none (tests/nvml, which costs what Python
costs; the driver's own time is in `gpu_read_ms` on a machine with GPUs).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from harness.engine import gpus
from harness.engine.telemetry import Telemetry, read_rows
from tests.nvml_helpers import install

_CARD = {"name": "Stand-in", "counter": True}


class Cost(NamedTuple):
    """Of one helper: processor time in percent of a core, rows per second, time of a reading."""

    cpu_percent: float
    rows_per_s: float
    read_ms: float
    read_max_ms: float


def cost(indices: list[int], every_s: float, seconds: float) -> Cost:
    """Sample these GPUs for a while."""
    with tempfile.TemporaryDirectory() as scratch:
        lines = Path(scratch) / "rows.jsonl"
        pids = {"driver": os.getpid()}
        helper = Telemetry(lines, pids, None, False, indices, gpu_interval_s=every_s)
        process = psutil.Process(helper._process.pid)
        begun, used_s = time.perf_counter(), sum(process.cpu_times()[:2])
        time.sleep(seconds)
        used_s, passed_s = sum(process.cpu_times()[:2]) - used_s, time.perf_counter() - begun
        helper.stop()
        rows = read_rows(lines, 0)
    read_ms = [row["gpu_read_ms"] for row in rows if "gpu_read_ms" in row] or [0.0]
    shares = 100 * used_s / passed_s, len(rows) / passed_s
    return Cost(*shares, statistics.median(read_ms), max(read_ms))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    found, why = gpus.describe()
    here = [[row["index"] for row in found]] if found else []
    print(f"{'GPUs':>18} {'every':>6} {'% of a core':>12} {'rows/s':>7} {'reading, ms':>16}")
    with pytest.MonkeyPatch.context() as patch:
        for indices in here or [[], [0], list(range(8))]:
            if not here:
                install(patch, *[_CARD] * len(indices))
            for every_s in (0.1, 1.0):
                one = cost(indices, every_s, seconds)
                what = f"{'' if here else 'stand-ins: '}{len(indices)}"
                reading = f"{one.read_ms:.2f} to {one.read_max_ms:.1f}"
                print(
                    f"{what:>18} {every_s:>5}s {one.cpu_percent:>12.2f} {one.rows_per_s:>7.1f}"
                    f" {reading:>16}"
                )
    if not here:
        print(f"this machine has no GPU to ask ({why})")


if __name__ == "__main__":
    sys.exit(main())
