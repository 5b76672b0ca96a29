"""Whole runs on GPUs that this machine does not have: what they did, what held them down and who
else was on them is in the verdict, in result.json and on the page.
"""

from __future__ import annotations

import json
import os

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.engine.metering import before
from harness.result.gpus import conditions
from tests.nvml_helpers import install

CARD = {"name": "NVIDIA H100", "uuid": "GPU-aaaa-1", "watts": 60}
HOT = {**CARD, "slowdowns": 0x20}
STRANGER = {"pid": os.getppid(), "bytes": 3 * 2**30}


def strict(patch):
    """Undo what the other tests are spared; no list of GPUs is set."""
    patch.setattr(conditions, "MOST_THROTTLED", 0.10)
    patch.setattr(conditions, "MOST_PROCESSES", 0)
    patch.setattr(conditions, "MOST_FOREIGN_BYTES", 2**30)
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        patch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    strict(monkeypatch)


def run(tmp_path, *words, devices=1, queries=128):
    """Return result.json and the folder of a run of a fraction of a second."""
    words = ["--sut-option", f"devices={devices}", "--min-queries", str(queries), *words]
    command = ["run", "--scenario", "single-stream", "--sut", "tests.nvml_helpers:OnGpu"]
    command += ["--in-process", "--json", "--min-duration", "0", "--output-dir", str(tmp_path)]
    done = CliRunner().invoke(app, [*command, *words])
    assert done.exit_code in (0, 1), done.output
    return json.loads(done.stdout.splitlines()[-1]), next(tmp_path.iterdir())


def verdict(found, rule):
    return next(v for v in found["verdicts"] if v["rule"] == rule)


def page(folder):
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run alone on a cool GPU that counts its energy; another GPU is none of its business."""
    with pytest.MonkeyPatch.context() as patch:
        strict(patch)
        busy = {**HOT, "uuid": "GPU-bbbb-1", "others": [STRANGER]}
        install(patch, {**CARD, "counter": True}, busy)
        return run(tmp_path_factory.mktemp("alone"))


def test_a_run_alone_on_a_cool_gpu_is_valid(alone):
    found, folder = alone
    assert found["status"] == "VALID"
    assert verdict(found, "gpu_throttled")["measured"] == 0
    assert verdict(found, "gpu_shared")["status"] == "PASS"
    source = page(folder)
    assert "GPUs over the run" in source
    assert "gpu_shared: PASS" in source


def test_what_the_gpu_of_a_run_did_is_in_its_result(alone):
    (gpu,) = alone[0]["gpus"]
    assert (gpu["gpu"], gpu["sm_mhz_mean"], gpu["celsius_max"]) == (0, 1755, 61)
    assert (gpu["idle_watts"], gpu["slowdowns"]) == (60, {})


def test_energy_comes_from_the_gpus_own_counter_and_the_source_is_said(alone):
    energy = alone[0]["energy"]
    assert energy["watts_mean"] == pytest.approx(60, rel=0.2)
    assert energy["sampled_joules"] == pytest.approx(energy["joules"], rel=0.2)
    assert energy["idle_watts"] == 60
    assert "GPU 0, which the run used, by the energy counter, read " in energy["source"]


def test_a_counter_that_goes_back_in_the_run_gives_way_to_the_power(monkeypatch, tmp_path):
    """The stand-in's counter begins anew half a second after the helper has begun."""
    install(monkeypatch, {**CARD, "counter": True, "back_s": 0.6})
    found, _ = run(tmp_path, queries=400)
    assert "by the power" in found["energy"]["source"]
    assert "the energy counter of GPU 0 went back" in found["energy"]["source"]
    assert found["energy"]["watts_mean"] == pytest.approx(60)


def test_a_throttled_gpu_makes_the_run_invalid_by_name(monkeypatch, tmp_path):
    install(monkeypatch, CARD, HOT)
    found, folder = run(tmp_path, devices=2)
    assert found["status"] == "INVALID"
    assert found["status_reason"] == "failed: gpu_throttled"
    throttled = verdict(found, "gpu_throttled")
    assert throttled["measured"] == pytest.approx(100, abs=1)
    assert throttled["detail"].startswith("GPU 1: heat (by the driver) ")
    assert [gpu["throttled_percent"] for gpu in found["gpus"]] == [0, pytest.approx(100, abs=1)]
    assert "heat (by the driver)" in page(folder)


def test_another_process_on_the_gpu_makes_the_run_invalid_by_name(monkeypatch, tmp_path):
    install(monkeypatch, {**CARD, "others": [STRANGER]})
    found, folder = run(tmp_path)
    assert found["status_reason"] == "failed: gpu_shared"
    said = verdict(found, "gpu_shared")["detail"]
    assert said.startswith(f"process {STRANGER['pid']} (")
    assert said.endswith("on GPU 0, 3 GiB")
    assert said.partition("(")[0] in page(folder)


def test_gpus_are_read_as_often_as_was_asked(monkeypatch, tmp_path):
    install(monkeypatch, CARD)
    counts = []
    for every in ("20ms", "500ms"):
        _, folder = run(tmp_path / every, "--telemetry-interval", every, queries=300)
        counts.append(pq.read_table(folder / "telemetry.parquet").num_rows)
    assert counts[0] > 2 * counts[1]


@pytest.mark.parametrize("words", ["5ms", "2s", "often"])
def test_an_interval_that_makes_no_sense_is_refused(tmp_path, words):
    command = ["run", "--scenario", "offline", "--sut", "null", "--telemetry-interval", words]
    done = CliRunner().invoke(app, [*command, "--output-dir", str(tmp_path)])
    assert done.exit_code == 2
    assert "telemetry-interval" in done.output


def test_a_gpu_that_is_lost_in_the_run_costs_figures_and_no_run(monkeypatch, tmp_path):
    lost = {
        name: "GPU_IS_LOST"
        for name in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption",
                     "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetTemperature",
                     "nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetClockInfo",
                     "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo")
    }  # fmt: skip
    install(monkeypatch, {**CARD, "counter": True}, refuse=lost, after_s=0.6)
    found, _ = run(tmp_path, queries=600)
    assert (found["status"], found["energy"]) == ("VALID", {})
    assert verdict(found, "gpu_throttled")["status"] == "SKIPPED"
    said = " ".join(found["notes"])
    assert "GPU 0 does not tell what it does" in said
    assert "(GPU is lost); the energy of the run is not known" in said


def test_a_report_made_later_says_the_same(monkeypatch, tmp_path):
    install(monkeypatch, {**HOT, "counter": True, "others": [STRANGER]}, HOT)
    found, folder = run(tmp_path, devices=2)
    install(monkeypatch)
    again = json.loads(CliRunner().invoke(app, ["report", str(folder), "--json"]).stdout)
    for part in ("verdicts", "gpus", "energy", "notes"):
        assert again[part] == found[part]


def test_the_second_before_the_run_is_a_second(monkeypatch, tmp_path):
    waited = []
    monkeypatch.setattr(before, "SECONDS", 1.0)
    monkeypatch.setattr(before, "_wait", waited.append)
    monkeypatch.setattr(before.before_the_run, "__defaults__", (waited.append,))
    install(monkeypatch, CARD)
    run(tmp_path, queries=64)
    assert sum(waited) == pytest.approx(1.0)
    run(tmp_path / "cpu", "--device", "cpu", queries=64)
    assert sum(waited) == pytest.approx(1.0)  # a run that can use no GPU does not wait
