"""systems/<system>.json and measurements.json: the machine and the weights, as far as the run and
its machine can tell.

Everything is read from `result.json`; what that does not tell (cooling, topologies, ...) stays
empty and is named by the checker. Nothing is invented.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.kernel.errors import BadInput
from reports.submission.places import Place
from reports.submission.rules import MEASUREMENTS, SYSTEM_FILLED, SYSTEM_MAY_BE_EMPTY

_HERE = ("local", "simulated", "null")  # these run on the machine of environment.json
WITHOUT_MODEL = ("simulated", "null")


def system_fields(result: Mapping[str, Any], place: Place) -> dict[str, str]:
    """Return all fields that must be there, in order; empty where nobody here can tell."""
    fields = dict.fromkeys((*SYSTEM_FILLED, *SYSTEM_MAY_BE_EMPTY), "")
    fields |= {
        "division": place.division,
        "submitter": place.submitter,
        "system_name": place.system,
    }
    if result["sut"] not in _HERE:
        return fields  # it ran elsewhere: environment.json describes the client
    environment = result["environment"]
    if not environment.get("machine"):
        doing, found = f"packaging {result['run_id']}", "its environment.json is damaged"
        raise BadInput(doing, found, "expected a run that knows its machine", "Run it again.")
    return (
        fields
        | {"number_of_nodes": "1"}
        | _host(environment["machine"])
        | _software(environment, result["sut"])
        | _accelerators(result)
        | {"hw_notes": _hardware_notes(result)}
    )


def measurements(result: Mapping[str, Any]) -> dict[str, str]:
    """Return the weights and what was done to them. Whether they were retrained only the submitter
    knows.
    """
    fields = dict.fromkeys(MEASUREMENTS, "")
    if result["sut"] != "local":
        return fields
    notes = [str(note) for note in result["sut_facts"].get("notes") or []]
    return fields | {
        "input_data_types": "int64 (token ids)",
        "starting_weights_filename": base_name(result["model"]),
        "weight_data_types": result["variant"],
        "weight_transformations": "; ".join([f"loaded as {result['variant']}", *notes]),
    }


def base_name(name: str) -> str:
    """Return the last part of a path on this machine; hub ids and aliases as they are."""
    return Path(name).name if name.startswith(("/", "~", ".")) else name


# ---- the host


def _host(machine: Mapping[str, Any]) -> dict[str, str]:
    """Describe processors, memory, disks and network cards; runs of older versions tell less."""
    sockets, mhz = machine.get("sockets"), machine.get("cpu_max_mhz")
    cores = machine.get("cores_physical")
    disks, cards = machine.get("disks") or [], machine.get("network_cards") or []
    return {
        "host_processor_model_name": machine["cpu"],
        "host_processors_per_node": str(sockets or ""),
        "host_processor_core_count": str(cores // sockets) if sockets and cores else "",
        "host_processor_frequency": f"{mhz / 1000:g} GHz at most" if mhz else "",
        "host_processor_caches": ", ".join(machine.get("cpu_caches") or []),
        "host_memory_capacity": f"{machine['memory_bytes'] / 2**30:.1f} GiB",
        "host_memory_configuration": ", ".join(machine.get("memory_modules") or []),
        "host_storage_capacity": _gigabytes(sum(d["bytes"] for d in disks)) if disks else "",
        "host_storage_type": _counted(_disk(disk) for disk in disks),
        "host_networking": _counted(_card(card) for card in cards),
        "host_network_card_count": str(len(cards) or ""),
    }


def _disk(disk: Mapping[str, Any]) -> str:
    model = f" {disk['model']}" if disk["model"] else ""
    return f"{disk['kind']}{model} ({_gigabytes(disk['bytes'])})"


def _card(card: Mapping[str, Any]) -> str:
    speed = card["mbit_per_s"]
    words = [card["link"], f"{speed / 1000:g} Gbit/s" if speed else "", f"({card['driver']})"]
    return " ".join(word for word in words if word and word != "()")


def _gigabytes(size_bytes: float) -> str:
    """Write a size in decimal units, as disks are sold."""
    return f"{size_bytes / 1e9:,.0f} GB"


def _counted(words: Any) -> str:
    found = Counter(words)
    return ", ".join(f"{count} x {word}" if count > 1 else word for word, count in found.items())


def _software(environment: Mapping[str, Any], sut: str) -> dict[str, str]:
    packages = dict(environment["packages"])
    versions = [
        f"{name} {packages.pop(name)}" for name in ("torch", "transformers") if name in packages
    ]
    stack = [
        f"Python {environment['python']}",
        *(f"{name} {version}" for name, version in packages.items()),
        *_drivers(environment["gpus"]),
    ]
    variables = [
        f"{name}={value}" for name, value in environment["variables"].items() if "/" not in value
    ]
    return {
        "operating_system": environment["platform"],
        "framework": f"none ({sut})" if sut in WITHOUT_MODEL else ", ".join(versions),
        "other_software_stack": ", ".join(stack),
        "sw_notes": " ".join(variables),
    }


# ---- accelerators


def _accelerators(result: Mapping[str, Any]) -> dict[str, str]:
    """Describe those that the run used, if they are alike. Counts are text, because the checker
    takes a 0 for an empty field.
    """
    kind, _, number = str(result["sut_facts"].get("device", "")).partition(":")
    gpus = result["environment"]["gpus"]
    named = result["sut_facts"].get("gpus")
    if kind == "cpu" or result["sut"] in WITHOUT_MODEL:
        without = [key for key in SYSTEM_FILLED if key.startswith("accelerator_")]
        return dict.fromkeys(without, "N/A") | {"accelerators_per_node": "0"}
    used = named if named is not None else [int(number or 0)]
    known = [gpus[index] for index in used if index is not None and index < len(gpus)]
    alike = len(known) == len(used) and len({gpu["name"] for gpu in known}) == 1
    if kind != "cuda" or not alike:
        return {}
    return {"accelerators_per_node": str(len(known))} | _accelerator(known[0])


def _accelerator(gpu: Mapping[str, Any]) -> dict[str, str]:
    generation, lanes = gpu.get("pcie_generation"), gpu.get("pcie_lanes")
    bits, mhz, memory = (
        gpu.get(name) for name in ("memory_bus_bits", "max_clock_mhz", "memory_bytes")
    )
    return {
        "accelerator_model_name": gpu["name"] or "",
        "accelerator_memory_capacity": f"{memory / 2**30:.1f} GiB" if memory else "",
        "accelerator_memory_configuration": f"{bits}-bit bus" if bits else "",
        "accelerator_host_interconnect": (
            f"PCIe {generation}.0 x{lanes}" if generation and lanes else ""
        ),
        "accelerator_interconnect": (
            f"{gpu['nvlinks']} NVLink links" if gpu.get("nvlinks") else ""
        ),
        "accelerator_frequency": f"{mhz} MHz at most" if mhz else "",
    }


def _drivers(gpus: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"NVIDIA driver {version}"
        for version in sorted({gpu["driver"] or "" for gpu in gpus} - {""})
    ]


def _hardware_notes(result: Mapping[str, Any]) -> str:
    machine, gpus = result["environment"]["machine"], result["environment"]["gpus"]
    notes = [
        f"{machine['cores_physical']} cores in all, {machine['cores_allowed']} of"
        f" {machine['cores_logical']} CPUs allowed"
    ]
    notes += [" ".join(machine["cpu_flags"])] if machine["cpu_flags"] else []
    used = result["sut_facts"].get("gpus")
    count = "at most one was" if used is None else f"{len(used)} {_was(len(used))}"
    notes += [f"the machine has {len(gpus)} GPUs, of which {count} used"] if gpus else []
    return "; ".join(notes)


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
