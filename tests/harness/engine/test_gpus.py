"""Every query of the driver may be refused: a figure is then missing, with the driver's words, and
nothing ends. Which GPUs a run's energy is of is said by the SUT, or by what CUDA sees.
"""

import json
import os

import pytest
from typer.testing import CliRunner

from harness import doctor
from harness.cli import app
from harness.engine import gpus
from harness.engine.environment import describe
from harness.engine.metering import figures
from harness.engine.metering.meter import Meter
from sut.model import gpus as of_model
from sut.model import peak
from tests.nvml_helpers import QUERIES, install

OURS = {"name": "NVIDIA H100", "uuid": "GPU-aaaa-1", "watts": 60}
OTHERS = {"name": "NVIDIA H100", "watts": 300}
NODE = (OURS, *({**OTHERS, "uuid": f"GPU-bbbb-{i}"} for i in range(7)))
ERRORS = ("NOT_SUPPORTED", "NO_PERMISSION", "GPU_IS_LOST", "UNKNOWN")
NO_VALUES = ("-1", "null", "4294967295", "18446744073709551615", '"N/A"', "{}")
ABSENT = ("DRIVER_NOT_LOADED", "LIBRARY_NOT_FOUND", "LIB_RM_VERSION_MISMATCH", "UNKNOWN")


@pytest.fixture(autouse=True)
def no_list_of_gpus(monkeypatch):
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)


def everything(facts):
    """Ask all that the product asks of the driver."""
    rows, problem = gpus.describe()
    metered = gpus.metered(facts, {})
    sample = Meter(metered.indices, {os.getpid()}).read()
    return rows, problem, metered, sample, peak._nvml_bytes()


# ---- a machine that answers


def test_a_gpu_is_described_by_all_that_the_driver_tells(monkeypatch):
    install(monkeypatch, OURS)
    rows, problem = gpus.describe()
    assert problem == ""
    assert rows == [
        {"index": 0, "name": "NVIDIA H100", "memory_bytes": 2**36, "driver": "580.1",
         "memory_bus_bits": 5120, "pcie_generation": 5, "pcie_lanes": 16, "nvlinks": 18,
         "max_clock_mhz": 1980, "mig": False, "refused": {}}
    ]  # fmt: skip


def test_names_may_be_bytes(monkeypatch):
    install(monkeypatch, OURS, bytes=True)
    (row,), _ = gpus.describe()
    assert (row["name"], row["driver"]) == ("NVIDIA H100", "580.1")


def test_the_stand_in_knows_every_query_of_the_product(monkeypatch):
    install(monkeypatch, OURS)
    import pynvml

    assert [name for name in QUERIES if not hasattr(pynvml, name)] == []
    assert len(QUERIES) >= 15


# ---- one that refuses


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("query", QUERIES)
def test_a_refused_query_costs_its_figures_alone_and_says_so(monkeypatch, query, error):
    install(monkeypatch, OURS, OURS)
    whole = everything({"device": "cuda:0"})
    install(monkeypatch, OURS, OURS, refuse={query: error})
    rows, problem, metered, sample, booked = everything({"device": "cuda:0"})
    for row, full in zip(rows, whole[0], strict=bool(rows)):
        for name in gpus.FIGURES:
            known = row[name] == full[name] and name not in row["refused"]
            assert known or (row[name] is None and row["refused"][name])
    for name in figures.SERIES:
        assert sample.get(name) in (whole[3][name], None)
    words = json.dumps([rows, problem, metered.problem, sample, booked])
    silent = ("nvmlShutdown", "nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetUUID")
    reasons = ("Not Supported", "Permissions", "GPU is lost", "Unknown Error")
    assert query in silent or any(reason in words for reason in reasons)


@pytest.mark.parametrize("value", NO_VALUES)
@pytest.mark.parametrize("query", QUERIES)
def test_a_value_that_means_unknown_is_no_figure(monkeypatch, query, value):
    install(monkeypatch, OURS, refuse={query: value})
    rows, _, _, sample, _ = everything({"device": "cuda:0"})
    figures = [row[name] for row in rows for name in gpus.FIGURES] + [*sample.values()]
    assert -1 not in figures
    assert 2**32 - 1 not in figures
    assert 2**64 - 1 not in figures
    assert "N/A" not in figures


@pytest.mark.parametrize("error", ABSENT)
def test_without_a_driver_there_is_no_gpu_and_doctor_says_why(monkeypatch, error):
    monkeypatch.setattr(doctor, "measure_driver", dict)
    install(monkeypatch, OURS, refuse={"nvmlInit": error})
    assert describe()["gpus"] == []
    assert describe()["nvml_problem"]
    assert doctor.examine()["machine"]["gpu"] == f"none ({describe()['nvml_problem']})"


@pytest.mark.parametrize("info", ["NOT_SUPPORTED", '{"total": 0}'])
def test_doctor_names_a_gpu_without_a_memory_of_its_own(monkeypatch, info):
    monkeypatch.setattr(doctor, "measure_driver", dict)
    gb10 = {"name": "NVIDIA GB10", "total": 0}
    refuse = {"nvmlDeviceGetMemoryInfo": info} if info == "NOT_SUPPORTED" else {}
    install(monkeypatch, gb10, refuse=refuse)
    said = doctor.examine()["machine"]["gpu"]
    assert said.startswith("NVIDIA GB10, memory: ")
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


# ---- which GPUs a run used


def indices(facts, **variables):
    found = gpus.metered(facts, variables)
    return found.whose, found.indices, found.problem


MIXED = ({"name": "H100", "uuid": "GPU-aa"}, {"name": "L4", "uuid": "GPU-ab"})
PCI = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@pytest.mark.parametrize(
    ("facts", "variables", "expected"),
    [
        ({"gpus": []}, {}, ("used", [], "")),
        ({"device": "cpu"}, {}, ("used", [], "")),
        ({"device": "mps"}, {}, ("used", [], "")),
        ({"gpus": [3]}, {"CUDA_VISIBLE_DEVICES": "0"}, ("used", [3], "")),
        ({"device": "cuda"}, {}, ("used", [0], "")),
        ({"device": "cuda:2"}, {}, ("used", [2], "")),
        ({"device": "cuda:0"}, {"CUDA_VISIBLE_DEVICES": "5"}, ("used", [5], "")),
        ({"device": "cuda:0"}, {"CUDA_VISIBLE_DEVICES": " 5 ,6"}, ("used", [5], "")),
        ({"device": "cuda:1"}, {"CUDA_VISIBLE_DEVICES": "6,2"}, ("used", [2], "")),
        ({"device": "cuda:0"}, {"CUDA_VISIBLE_DEVICES": "GPU-bbbb-3"}, ("used", [4], "")),
        ({"device": "cuda:0"}, {"CUDA_VISIBLE_DEVICES": "GPU-a"}, ("used", [0], "")),
        ({"weights_on": {"cuda:0": 1, "cuda:1": 1, "cpu": 1}}, {"CUDA_VISIBLE_DEVICES": "7,3"},
         ("used", [3, 7], "")),
        ({}, {}, ("visible", [*range(8)], "")),
        ({}, {"CUDA_VISIBLE_DEVICES": "2,1"}, ("visible", [1, 2], "")),
        ({}, {"CUDA_VISIBLE_DEVICES": "0,2,-1,1"}, ("visible", [0, 2], "")),
        ({}, {"CUDA_VISIBLE_DEVICES": "0,9,1"}, ("visible", [0], "")),
        ({}, {"CUDA_VISIBLE_DEVICES": ""}, ("visible", [], "")),
        ({}, {"CUDA_VISIBLE_DEVICES": "-1"}, ("visible", [], "")),
        ({}, {"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, ("visible", [], "")),
        ({}, {"CUDA_VISIBLE_DEVICES": "1,1"}, ("visible", [], "")),
        ({}, {"CUDA_VISIBLE_DEVICES": "1gpu2,2"}, ("visible", [1, 2], "")),
        ({}, {"CUDA_VISIBLE_DEVICES": "GPU-bbbb"}, ("visible", [], "")),  # more than one
        ({}, {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-a"}, ("visible", [], "")),
        ({}, {"CUDA_VISIBLE_DEVICES": "MIG-12"}, ("visible", [], gpus.SLICED)),
        ({"device": "cuda:0"}, {"CUDA_VISIBLE_DEVICES": "MIG-GPU-1/2/0"},
         ("used", [], gpus.SLICED)),
        ({"device": "cuda:9"}, {}, ("used", [], gpus.UNLISTED)),
        ({"gpus": [None]}, {}, ("used", [], gpus.UNLISTED)),
    ],
)  # fmt: skip
def test_the_gpus_of_a_run(monkeypatch, facts, variables, expected):
    install(monkeypatch, *NODE)
    assert indices(facts, **variables) == expected


@pytest.mark.parametrize(
    ("facts", "variables", "expected"),
    [
        ({}, {}, ("visible", [0, 1], "")),
        ({"device": "cuda:0"}, {}, ("used", [], gpus.UNORDERED)),
        ({}, {"CUDA_VISIBLE_DEVICES": "1"}, ("visible", [], gpus.UNORDERED)),
        ({}, {"CUDA_VISIBLE_DEVICES": "1", **PCI}, ("visible", [1], "")),
        ({"device": "cuda:1"}, PCI, ("used", [1], "")),
        ({"device": "cuda:0"}, {"CUDA_VISIBLE_DEVICES": "GPU-ab"}, ("used", [1], "")),
        ({"gpus": [1]}, {}, ("used", [1], "")),
    ],
)
def test_gpus_of_different_kinds_are_numbered_by_speed(monkeypatch, facts, variables, expected):
    install(monkeypatch, *MIXED)
    assert indices(facts, **variables) == expected


def test_a_gpu_in_slices_is_not_metered(monkeypatch):
    install(monkeypatch, {**OURS, "mig": 1}, OURS)
    assert indices({"device": "cuda:0"}) == ("used", [], gpus.SLICED)
    assert indices({"device": "cuda:1"}) == ("used", [1], "")


def test_without_a_driver_a_run_on_a_gpu_says_why_it_has_no_energy(monkeypatch):
    install(monkeypatch, refuse={"nvmlInit": "DRIVER_NOT_LOADED"})
    assert indices({"device": "cuda:0"}) == ("used", [], "Driver Not Loaded")
    assert indices({}) == ("visible", [], "")


def test_a_model_finds_its_gpus_by_their_uuids(monkeypatch):
    import torch

    class Properties:
        def __init__(self, uuid):
            self.uuid = uuid

    seen = {
        "cuda:0": Properties("bbbb-1"),
        "cuda:1": Properties("AAAA-1"),
        "cuda:2": Properties(""),
    }
    monkeypatch.setattr(torch.cuda, "get_device_properties", seen.__getitem__)
    install(monkeypatch, *NODE)
    assert of_model.indices(["cpu", "cuda:0", "cuda:1"]) == [2, 0]
    assert of_model.indices(["cuda:2"]) == [None]
    assert of_model.indices(["cpu"]) == []
    install(monkeypatch, *NODE, refuse={"nvmlDeviceGetUUID": "NOT_SUPPORTED"})
    assert of_model.indices(["cuda:0"]) == [None]


# ---- whole runs


def run(tmp_path, *words, sut="tests.nvml_helpers:OnGpu"):
    words = ["run", "--scenario", "single-stream", "--sut", sut, "--in-process", "--json", *words]
    words += ["--min-queries", "64", "--min-duration", "0", "--output-dir", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code in (0, 1), result.output
    return json.loads(result.stdout.splitlines()[-1]), result


def notes(found):
    return " ".join(found["notes"])


def test_a_run_gets_the_energy_of_its_own_gpu_and_not_of_the_node(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    install(monkeypatch, *NODE)
    found, _ = run(tmp_path, "--sut-option", "devices=1")
    energy = found["energy"]
    assert energy["watts_mean"] == pytest.approx(60, rel=1e-6)
    assert (energy["whose"], energy["gpus"]) == ("used", [0])
    assert energy["source"].startswith("NVML: GPU 0, which the run used, ")
    assert "energy" not in notes(found)


def test_a_sut_that_names_no_gpu_gets_the_energy_of_all_it_could_use_in_these_words(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    install(monkeypatch, *NODE)
    found, result = run(tmp_path)
    assert found["energy"]["watts_mean"] == pytest.approx(360, rel=1e-6)
    assert found["energy"]["whose"] == "visible"
    said = "the energy is that of GPUs 0, 1, whoever used them"
    assert said in found["notes"]
    assert said in " ".join(result.stderr.split())


def test_a_simulated_run_uses_no_gpu_and_no_energy(monkeypatch, tmp_path):
    install(monkeypatch, *NODE)
    quick = ("--sut-option", "ttft_ms=1", "--sut-option", "tokens=2")
    found, _ = run(tmp_path, *quick, sut="simulated")
    assert found["energy"] == {}
    assert "energy" not in notes(found)


@pytest.mark.parametrize(
    ("query", "error", "said"),
    [
        ("nvmlDeviceGetMemoryInfo", "NOT_SUPPORTED",
         "GPU 0 does not tell its memory in use (Not Supported)"),
        ("nvmlDeviceGetPowerUsage", "NO_PERMISSION",
         "GPU 0 does not tell its power (Insufficient Permissions); the energy of the run is not"
         " known"),
        ("nvmlDeviceGetHandleByIndex", "GPU_IS_LOST", "GPU is lost"),
        ("nvmlInit", "LIB_RM_VERSION_MISMATCH", "the energy of the run is not known: RM has"),
    ],
)  # fmt: skip
def test_a_run_ends_with_its_verdict_whatever_the_driver_refuses(
    monkeypatch, tmp_path, query, error, said
):
    install(monkeypatch, OURS, refuse={query: error})
    found, _ = run(tmp_path, "--sut-option", "devices=1")
    assert found["status"] == "VALID"
    assert said in notes(found)
    assert bool(found["energy"]) == (query == "nvmlDeviceGetMemoryInfo")
    again = CliRunner().invoke(app, ["report", str(next(tmp_path.iterdir())), "--json"])
    assert json.loads(again.stdout)["notes"] == found["notes"]
