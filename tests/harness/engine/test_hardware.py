"""Does a machine that tells of its parts have them named, and one that does not have nothing
invented?
"""

from __future__ import annotations

import json

import pytest

from harness.engine.environment import describe
from harness.engine.hardware import describe as hardware


def put(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


@pytest.fixture
def server(tmp_path):
    """The /proc and /sys of a machine with two processors, two disks and a card of two ports."""
    cpu = "sys/devices/system/cpu/cpu0"
    put(
        tmp_path,
        {
            "proc/cpuinfo": "processor : 0\nphysical id\t: 0\nprocessor : 1\nphysical id\t: 1",
            f"{cpu}/cpufreq/cpuinfo_max_freq": "3800000",
            **cache(cpu, 0, 1, "Data", "48K"),
            **cache(cpu, 1, 1, "Instruction", "32K"),
            **cache(cpu, 2, 2, "Unified", "2048K"),
            **{f"sys/devices/system/edac/mc/mc0/dimm{k}/size": 32768 for k in range(3)},
            **{
                f"sys/devices/system/edac/mc/mc0/dimm{k}/dimm_mem_type": "Registered-DDR5"
                for k in range(3)
            },
        },
    )
    return tmp_path


def cache(cpu, number, level, kind, size):
    place = f"{cpu}/cache/index{number}"
    return {f"{place}/level": level, f"{place}/type": kind, f"{place}/size": size}


def disk(root, name, device, bus="pci0000:00/0000:01:00.0", **facts):
    """A block device as the kernel lays it out: a link into the tree of devices."""
    place = f"sys/devices/{bus}/block/{name}"
    put(root, {f"{place}/size": facts.pop("sectors", 2048), f"{place}/removable": 0})
    put(root, {f"{place}/{key.replace('__', '/')}": value for key, value in facts.items()})
    put(root, {f"{place}/device/uevent": f"DRIVER={device}"})
    (root / "sys/block").mkdir(parents=True, exist_ok=True)
    (root / "sys/block" / name).symlink_to(root / place)


def port(root, name, slot, kind=1, driver="mlx5_core", **files):
    place = f"sys/devices/pci0000:00/{slot}"
    put(root, {f"{place}/uevent": f"DRIVER={driver}"})
    put(root, {f"{place}/{path}": text for path, text in files.items()})
    net = root / f"sys/class/net/{name}"
    net.mkdir(parents=True)
    (net / "type").write_text(f"{kind}\n")
    (net / "device").symlink_to(root / place)
    return net


def test_processors_caches_and_memory_are_those_of_the_machine(server):
    found = hardware(server)
    assert (found["sockets"], found["cpu_max_mhz"]) == (2, 3800.0)
    assert found["cpu_caches"] == ["L1d 48 KiB", "L1i 32 KiB", "L2 2048 KiB"]
    assert found["memory_modules"] == ["3 x 32 GiB Registered DDR5"]


def test_sockets_are_counted_where_cpuinfo_does_not_name_them(tmp_path):
    package = "sys/devices/system/cpu/cpu{}/topology/physical_package_id"
    put(tmp_path, {package.format(0): 0, package.format(1): 0, package.format(64): 36})
    assert hardware(tmp_path)["sockets"] == 2


def test_memory_modules_are_read_from_udev_where_there_is_no_error_correction(tmp_path):
    lines = []
    for slot in (0, 1, 2):
        size = 0 if slot == 1 else 16 * 2**30  # an empty slot
        lines += [f"E:MEMORY_DEVICE_{slot}_SIZE={size}", f"E:MEMORY_DEVICE_{slot}_TYPE=DDR4"]
        lines += [f"E:MEMORY_DEVICE_{slot}_SPEED_MTS=3200", "E:MEMORY_DEVICE_0_SERIAL_NUMBER=77"]
    put(tmp_path, {"run/udev/data/+dmi:id": "\n".join(lines)})
    assert hardware(tmp_path)["memory_modules"] == ["2 x 16 GiB DDR4, 3200 MT/s"]


def test_disks_are_the_fixed_ones_with_a_device(tmp_path):
    disk(tmp_path, "nvme0n1", "nvme", device__model="PM1733", queue__rotational=0)
    disk(tmp_path, "sda", "sd", queue__rotational=1, sectors=4096)
    disk(tmp_path, "sdb", "sd", queue__rotational=0)
    disk(tmp_path, "vda", "virtio_blk", queue__rotational=1)
    disk(tmp_path, "sr0", "sr", removable=1)
    disk(tmp_path, "loop0", "", bus="virtual")
    disk(tmp_path, "sdc", "sd", sectors=0)  # a reader without a card
    assert hardware(tmp_path)["disks"] == [
        {"kind": "NVMe SSD", "model": "PM1733", "bytes": 2048 * 512},
        {"kind": "HDD", "model": "", "bytes": 4096 * 512},
        {"kind": "SSD", "model": "", "bytes": 2048 * 512},
        {"kind": "virtual disk", "model": "", "bytes": 2048 * 512},
    ]


def test_a_card_with_two_ports_is_one_and_its_virtual_functions_are_none(tmp_path):
    (port(tmp_path, "eth0", "0000:3b:00.0") / "speed").write_text("25000\n")
    (port(tmp_path, "eth1", "0000:3b:00.1") / "speed").write_text("100000\n")
    (port(tmp_path, "eth2", "0000:5e:00.0", driver="ixgbe") / "speed").write_text("-1\n")
    port(tmp_path, "eth3", "0000:3b:00.2", **{"physfn/uevent": ""})
    port(tmp_path, "ib0", "0000:86:00.0", kind=32)
    port(tmp_path, "lo", "0000:99:00.0", kind=772)
    (tmp_path / "sys/class/net/docker0").mkdir()
    (tmp_path / "sys/class/net/docker0/type").write_text("1")
    assert hardware(tmp_path)["network_cards"] == [
        {"link": "Ethernet", "driver": "mlx5_core", "ports": 2, "mbit_per_s": 100000},
        {"link": "Ethernet", "driver": "ixgbe", "ports": 1, "mbit_per_s": None},
        {"link": "InfiniBand", "driver": "mlx5_core", "ports": 1, "mbit_per_s": None},
    ]


def test_a_machine_that_tells_nothing_has_nothing(tmp_path):
    assert hardware(tmp_path) == {
        "sockets": None,
        "cpu_max_mhz": None,
        "cpu_caches": [],
        "memory_modules": [],
        "disks": [],
        "network_cards": [],
    }


def test_this_machines_parts_stand_in_its_description():
    machine = describe()["machine"]
    assert {"sockets", "disks", "network_cards"} <= set(machine)
    assert json.loads(json.dumps(machine)) == machine
