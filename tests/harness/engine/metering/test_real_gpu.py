"""The driver of a real GPU tells what the stand-in tells, fast enough for ten rows a second."""

from __future__ import annotations

import os

import pytest

from harness.engine import gpus
from harness.engine.metering import figures
from harness.engine.metering.before import before_the_run
from harness.engine.metering.meter import Meter
from harness.result.gpus.counter import counted

pytestmark = pytest.mark.gpu

S = 1_000_000_000


@pytest.fixture(scope="module")
def busy_rows():
    """Rows of the first GPU of CUDA over two seconds of matrix products in this process."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    _, problem = gpus.describe()
    if problem:
        pytest.skip(f"NVML: {problem}")
    metered = gpus.metered({"device": "cuda:0"}, os.environ)
    if not metered.indices:
        pytest.skip(metered.problem)
    from harness.kernel.clock import monotonic_ns

    factor = torch.randn(4096, 4096, device="cuda:0", dtype=torch.bfloat16)
    meter, rows, start_ns = Meter(metered.indices, {os.getpid()}), [], monotonic_ns()
    while not rows or rows[-1]["t_ns"] < 2 * S:
        for _ in range(20):
            factor @ factor
        torch.cuda.synchronize()
        rows.append({"t_ns": monotonic_ns() - start_ns, **meter.read()})
    return metered.indices, rows


def column(rows, name):
    return [row.get(name) for row in rows]


def test_every_figure_is_told_or_refused_by_name(busy_rows):
    _, rows = busy_rows
    refused = {one["figure"] for row in rows for one in row.get("gpu_refused", ())}
    for name in figures.SERIES:
        assert name in refused or all(value is not None for value in column(rows, name))


def test_a_reading_fits_into_a_tenth_of_a_second(busy_rows):
    _, rows = busy_rows
    took_ms = sorted(column(rows, "gpu_read_ms"))
    assert took_ms[len(took_ms) // 2] < 50


def test_the_energy_counter_and_the_power_agree_in_order_of_magnitude(busy_rows):
    indices, rows = busy_rows
    telemetry = {name: column(rows, name) for name in ("t_ns", "gpu_energy_mj", "gpu_watts")}
    if None in telemetry["gpu_energy_mj"] or None in telemetry["gpu_watts"]:
        pytest.skip("this GPU does not tell both")
    (joules,) = counted(telemetry, int(rows[-1]["t_ns"]), indices).joules
    by_power = sum(telemetry["gpu_watts"]) / len(rows) * rows[-1]["t_ns"] / S
    assert 0.3 < joules / by_power < 3


def test_this_process_is_not_its_own_neighbour(busy_rows):
    _, rows = busy_rows
    told = [who for row in rows for who in row.get("gpu_foreign", ())]
    assert os.getpid() not in [who["pid"] for who in told]


def test_what_was_before_the_run_is_told_of_each_gpu(busy_rows):
    rows = before_the_run(True, lambda seconds: None)
    assert [row["gpu"] for row in rows] == list(range(len(rows)))
