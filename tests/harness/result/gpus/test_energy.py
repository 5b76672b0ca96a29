"""Joules from watts: known areas, gaps, edges, and a run folder with synthetic telemetry."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from harness.result.gpus import refused
from harness.result.gpus.energy import energy, notes
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
    "telemetry",
    [
        {},
        {"t_ns": [0, S]},
        watts((0, None), (1, None)),
        watts((0, 100)),
        watts((0, 100), (0.5, 100), (1, None)),  # lost in the middle
        watts((0, None), (0.5, 100), (1, 100)),
    ],
)
def test_without_watts_there_is_no_energy_rather_than_none(telemetry):
    assert energy(telemetry, S, 10) == {}


def test_a_long_gap_is_not_guessed_and_what_comes_after_the_run_does_not_matter():
    lost = watts((0, 100), (1, 100), *((t, None) for t in range(2, 9)), (9, 100), (10, 100))
    assert energy(lost, 10 * S, 1) == {}
    after = watts((0, 100), (1, 100), (2, 100), (3, None))
    assert energy(after, 2 * S, 1)["joules"] == pytest.approx(200)


def test_a_gpu_that_is_lost_is_named_with_the_moment_and_the_reason():
    rows = [None, [{"gpu": 3, "figure": "gpu_watts", "reason": "GPU is lost"}]]
    telemetry = {**watts((0, 100), (7, None)), "gpu_refused": rows}
    metered = {"whose": "used", "indices": [3], "problem": ""}
    assert notes(metered, {}) == []
    (note,) = refused.notes(telemetry, 8 * S, {})
    assert note.startswith("GPU 3 does not tell its power from 7 s on (GPU is lost); the energy ")


def test_gpus_that_refuse_for_one_reason_are_named_together():
    rows = [{"gpu": i, "figure": "gpu_memory_bytes", "reason": "Not Supported"} for i in (0, 1)]
    metered = {"whose": "used", "indices": [0, 1], "problem": ""}
    telemetry = {**watts((0, 100), (1, 100)), "gpu_refused": [rows, rows]}
    assert refused.notes(telemetry, S, energy(telemetry, S, 1, metered)) == [
        "GPUs 0, 1 do not tell their memory in use (Not Supported)"
    ]


def test_a_run_of_an_older_version_says_that_its_energy_is_the_machines():
    found = energy(watts((0, 1), (1, 1)), S, 1, {})
    assert found["whose"] == "machine"
    assert notes({}, found) == ["the energy is that of all GPUs of the machine, whoever used them"]


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
