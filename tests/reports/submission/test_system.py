"""Does systems/<system>.json say what the run and its machine tell, and nothing else?"""

from __future__ import annotations

import json
import re

import pytest

from reports.submission.system import _accelerators
from tests.package_helpers import KNOWN, MEASURED, SYSTEM, changed


def said(package):
    return [str(problem) for problem in package.problems]


def test_what_the_machine_cannot_tell_is_empty_and_named(packed, dressed_runs):
    machine = {"cpu": "C", "memory_bytes": 2**30, "cpu_flags": []}
    machine |= dict.fromkeys(("cores_physical", "cores_logical", "cores_allowed"), 2)
    older = changed(
        dressed_runs[0], environment={**dressed_runs[0].result["environment"], "machine": machine}
    )
    made = packed(older, system_json=None)
    fields = json.loads((made.root / SYSTEM).read_text())
    empty = {
        "status", "system_type", "cooling", "host_networking", "host_storage_type",
        "host_processors_per_node", "host_network_card_count", "host_memory_configuration",
    }  # fmt: skip
    assert all(fields[key] == "" for key in empty)
    told, about_weights = said(made)
    assert told.startswith("open/Acme/systems/box-1.json: fill in ")
    assert empty <= set(re.split(r"[ ,]+", told))
    assert about_weights == f"{MEASURED}: fill in retraining"


HARDWARE = {
    "cpu": "Xeon 9",
    "cpu_flags": ["amx_bf16"],
    "memory_bytes": 512 * 2**30,
    "cores_physical": 112,
    "cores_logical": 224,
    "cores_allowed": 224,
    "sockets": 2,
    "cpu_max_mhz": 3800.0,
    "cpu_caches": ["L1d 48 KiB", "L2 2048 KiB"],
    "memory_modules": ["16 x 32 GiB DDR5, 4800 MT/s"],
    "disks": [
        {"kind": "NVMe SSD", "model": "PM1733", "bytes": 3_840_755_982_336},
        {"kind": "NVMe SSD", "model": "PM1733", "bytes": 3_840_755_982_336},
    ],
    "network_cards": [
        {"link": "Ethernet", "driver": "mlx5_core", "ports": 2, "mbit_per_s": 100_000},
        {"link": "InfiniBand", "driver": "", "ports": 1, "mbit_per_s": None},
    ],
}


def test_the_host_is_described_by_what_the_machine_tells(packed, dressed_runs):
    environment = {**dressed_runs[0].result["environment"], "machine": HARDWARE}
    made = packed(changed(dressed_runs[0], environment=environment), system_json=None)
    fields = json.loads((made.root / SYSTEM).read_text())
    assert {key: text for key, text in fields.items() if key.startswith("host_")} == {
        "host_processor_model_name": "Xeon 9",
        "host_processors_per_node": "2",
        "host_processor_core_count": "56",  # of one processor
        "host_processor_frequency": "3.8 GHz at most",
        "host_processor_caches": "L1d 48 KiB, L2 2048 KiB",
        "host_processor_interconnect": "",
        "host_memory_capacity": "512.0 GiB",
        "host_memory_configuration": "16 x 32 GiB DDR5, 4800 MT/s",
        "host_storage_capacity": "7,682 GB",
        "host_storage_type": "2 x NVMe SSD PM1733 (3,841 GB)",
        "host_networking": "Ethernet 100 Gbit/s (mlx5_core), InfiniBand",
        "host_network_card_count": "2",
        "host_networking_topology": "",
    }
    assert said(made)[0] == (
        f"{SYSTEM}: fill in status, system_type, host_networking_topology, cooling"
    )


def test_the_system_is_described_by_the_run_and_the_user_wins(packed, known):
    own = {"operating_system": "Ours 1", "boot_firmware_version": "7"}
    known.write_text(json.dumps(KNOWN | own))
    fields = json.loads((packed().root / SYSTEM).read_text())
    assert len(fields) == 36
    assert {key: fields[key] for key in own} == own
    # a number 0 counts as empty
    assert (fields["host_processors_per_node"], fields["accelerators_per_node"]) == ("1", "0")
    assert fields["accelerator_model_name"] == "N/A"
    assert "retraining" not in fields
    assert fields["framework"].startswith("torch ")
    assert "OMP_NUM_THREADS=2" in fields["sw_notes"]


def on_gpu(run, **links):
    plain = {"memory_bytes": 80 * 2**30, "driver": "555.1"}
    gpus = [{"name": name, **plain, **links} for name in "AB"]
    facts = {**run.result["sut_facts"], "device": "cuda:0", "gpus": [1]}
    return changed(run, sut_facts=facts, environment={**run.result["environment"], "gpus": gpus})


def test_the_gpu_of_the_run_is_described(packed, dressed_runs):
    made = packed(on_gpu(dressed_runs[0]))
    fields = json.loads((made.root / SYSTEM).read_text())
    assert (fields["accelerators_per_node"], fields["accelerator_model_name"]) == ("1", "B")
    assert fields["accelerator_memory_capacity"] == "80.0 GiB"
    assert "NVIDIA driver 555.1" in fields["other_software_stack"]
    assert "accelerator_interconnect" in said(made)[0]


def test_the_gpu_of_an_older_run_is_told_by_its_device(dressed_runs):
    result = json.loads(json.dumps(on_gpu(dressed_runs[0]).result))
    result["sut_facts"].pop("gpus")
    result["sut_facts"]["device"] = "cuda:1"
    assert _accelerators(result)["accelerator_model_name"] == "B"


@pytest.mark.parametrize(
    ("used", "expected"), [([0], "A"), ([0, 1], None), ([None], None), ([7], None)]
)
def test_gpus_that_differ_or_are_not_known_are_left_to_the_user(dressed_runs, used, expected):
    result = json.loads(json.dumps(on_gpu(dressed_runs[0], memory_bytes=None).result))
    result["sut_facts"]["gpus"] = used
    found = _accelerators(result)
    assert found.get("accelerator_model_name") == expected
    assert found.get("accelerator_memory_capacity", "") == ""


def test_the_links_of_a_gpu_are_described_where_the_driver_tells(packed, dressed_runs):
    links = {
        "memory_bus_bits": 5120,
        "pcie_generation": 5,
        "pcie_lanes": 16,
        "nvlinks": 18,
        "max_clock_mhz": 1980,
    }
    made = packed(on_gpu(dressed_runs[0], **links))
    fields = json.loads((made.root / SYSTEM).read_text())
    assert said(made) == []
    assert {key: text for key, text in fields.items() if key.startswith("accelerator_")} == {
        "accelerator_model_name": "B",
        "accelerator_memory_capacity": "80.0 GiB",
        "accelerator_memory_configuration": "5120-bit bus",
        "accelerator_host_interconnect": "PCIe 5.0 x16",
        "accelerator_interconnect": "18 NVLink links",
        "accelerator_interconnect_topology": "",
        "accelerator_frequency": "1980 MHz at most",
        "accelerator_on-chip_memories": "",
    }


def test_a_system_elsewhere_is_not_described_by_this_machine(packed, dressed_runs):
    elsewhere = [changed(run, sut="openai") for run in dressed_runs]
    fields = json.loads((packed(*elsewhere, system_json=None).root / SYSTEM).read_text())
    assert {key for key, text in fields.items() if text} == {
        "division",
        "submitter",
        "system_name",
    }
