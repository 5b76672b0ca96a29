"""What environment.json holds: the machine and the software."""

from __future__ import annotations

from harness.schema.parts import (
    by_name,
    choice,
    file,
    flag,
    many,
    maybe,
    number,
    record,
    text,
    whole,
)

MACHINE = record("The machine. What it does not tell is null, or an empty list or text.", {
    "cpu": text("Processor."),
    "cpu_flags": many("Instruction sets that matter here.", text("Name.")),
    "cores_physical": maybe(whole("Physical cores.", "cores")),
    "cores_logical": maybe(whole("Logical cores.", "cores")),
    "cores_allowed": maybe(whole("Logical cores that the process may use.", "cores")),
    "memory_bytes": whole("Memory.", "B"),
    "memory_limit_bytes": maybe(whole(
        "What a control group, such as a container's, leaves of it; null without a limit.", "B"
    )),
    "load_average": maybe(many("Load of the last 1, 5 and 15 minutes.", number("Load."))),
    "governor": text("Frequency governor of the first core."),
    "sockets": maybe(whole("Processors (packages).", "processors")),
    "cpu_max_mhz": maybe(number("Highest frequency of the first core.", "MHz")),
    "cpu_caches": many("Caches that the first core has or shares: `L2 2048 KiB`.", text("Cache.")),
    "memory_modules": many(
        "Memory modules, equal ones together: `8 x 32 GiB DDR5, 4800 MT/s`.", text("Modules.")
    ),
    "disks": many("Fixed disks.", record("A disk.", {
        "kind": choice("What it is.", "NVMe SSD", "SSD", "HDD", "virtual disk"),
        "model": text("Its model."),
        "bytes": whole("Its size.", "B"),
    })),
    "network_cards": many("Network cards.", record("A card.", {
        "link": choice("Link layer of the port.", "Ethernet", "InfiniBand"),
        "driver": text("Its driver."),
        "ports": whole("Its ports.", "ports"),
        "mbit_per_s": maybe(number("Speed of its fastest port.", "Mbit/s")),
    })),
})  # fmt: skip

GPU = record("A GPU.", {
    "index": whole("Its number, as in nvidia-smi."),
    "name": maybe(text("Its name.")),
    "memory_bytes": maybe(whole("Its memory.", "B")),
    "driver": maybe(text("Version of the driver.")),
    "memory_bus_bits": maybe(whole("Width of its memory bus.", "bits")),
    "pcie_generation": maybe(whole("Highest PCIe generation of its link to the host.")),
    "pcie_lanes": maybe(whole("Most PCIe lanes of that link.", "lanes")),
    "nvlinks": maybe(whole("NVLinks that are active.", "links")),
    "max_clock_mhz": maybe(whole("Highest clock of its processors.", "MHz")),
    "mig": maybe(flag("Whether it is cut into MIG slices.")),
    "refused": by_name("Figures that the driver does not tell, which are null.", text("Why.")),
})  # fmt: skip

ENVIRONMENT_PART = record("The machine and the software.", {
    "touchstone": text("Version of Touchstone."),
    "platform": text("Operating system."),
    "python": text("Version of Python."),
    "machine": MACHINE,
    "gpus": many("NVIDIA GPUs. What the driver does not tell of one is null.", GPU),
    "nvml_problem": text("Why the driver cannot be asked for GPUs (NVML); empty if it can."),
    "packages": by_name("Versions of the libraries.", text("Version.")),
    "untested": many(
        "Libraries outside the versions with which Touchstone's tests passed.",
        record("A library.", {
            "package": text("Its name."),
            "installed": text("Version that is installed."),
            "oldest": text("Oldest version that is supported; empty if none is stated."),
            "newest": text("Version that was tested; none is newer."),
        }),
    ),
    "variables": by_name(
        "Environment variables that change speed, or may.",
        text("Value; (hidden) where it is no known setting."),
    ),
    "git": maybe(record("Checkout of Touchstone; null outside one.", {
        "commit": text("Its commit."),
        "dirty": flag("Whether files were changed since."),
    })),
})  # fmt: skip
ENVIRONMENT = file("environment.json", ENVIRONMENT_PART)
