"""Joules from watts: known areas, gaps, edges, and a run folder with synthetic telemetry."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from harness.result.energy import energy
from harness.result.publish import publish
from harness.result.read import read_run
from reports.pages.run import render
from reports.terminal import show_result
from tests.harness.result.test_result import make

S = 1_000_000_000


def watts(*pairs):
    return {"t_ns": [int(t * S) for t, _ in pairs], "gpu_watts": [w for _, w in pairs]}


@pytest.mark.parametrize(
    ("telemetry", "span_s", "joules"),
    [
        (watts((0, 100), (1, 100), (2, 100)), 2, 200),
        (watts((0, 0), (2, 100)), 2, 100),  # a ramp
        (watts((0, 0), (2, 100)), 1, 25),  # its first half: the span ends between two samples
        (watts((-1, 0), (1, 100)), 1, 75),  # sampling began before the run
        (watts((0.5, 100), (1.5, 200)), 2, 300),  # and ends held
        (watts((0, 100), (1, None), (2, 100)), 2, 200),
        (watts((0, 100), (1, 300), (2, 100)), 2, 400),
    ],
)
def test_the_energy_is_the_area_under_the_watts_of_the_timed_span(telemetry, span_s, joules):
    found = energy(telemetry, span_s * S, tokens=50)
    assert found["joules"] == pytest.approx(joules)
    assert found["joules_per_token"] == pytest.approx(joules / 50)
    assert found["watts_mean"] == pytest.approx(joules / span_s)


@pytest.mark.parametrize(
    "telemetry", [{}, {"t_ns": [0, S]}, watts((0, None), (1, None)), watts((0, 100))]
)
def test_without_watts_there_is_no_energy_rather_than_none(telemetry):
    assert energy(telemetry, S, 10) == {}


def test_without_tokens_there_are_joules_but_none_per_token():
    assert energy(watts((0, 1), (1, 1)), S, 0)["joules_per_token"] is None


def test_a_run_with_watts_shows_its_joules_everywhere(tmp_path):
    folder, before = make(tmp_path)
    assert before.energy == {}
    span_s = before.throughput["duration_s"]
    times_ns = [0, S, int(span_s * S)]
    pq.write_table(
        pa.table({"t_ns": times_ns, "gpu_watts": [200.0] * 3}), folder / "telemetry.parquet"
    )
    found = publish(folder).to_json()
    assert found["energy"]["joules"] == pytest.approx(200 * span_s, rel=1e-6)
    assert found["energy"]["joules_per_token"] == pytest.approx(
        200 * span_s / found["counts"]["tokens"], rel=1e-6
    )
    console = Console(width=80, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    show_result(found, folder, console)
    console.file.close()
    assert "J/token" in console.export_text()
    page = render(found, read_run(folder).log, {})
    assert "<h2>Energy</h2>" in page
    assert "NVML" in page
