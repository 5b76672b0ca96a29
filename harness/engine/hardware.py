"""Which processors, memory modules, disks and network cards does this machine have?

Read from Linux's /proc, /sys and udev's database, all of them open to everybody; what a machine
does not tell (other systems, containers, most virtual machines) is None or an empty list. Serial
numbers, addresses and the names of hosts are never read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PCI = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}")  # without the function: a card
_LINKS = {"1": "Ethernet", "32": "InfiniBand"}  # ARPHRD_ETHER, ARPHRD_INFINIBAND
_VIRTUAL_DISKS = ("virtio_blk", "xen-blkfront")
_CACHES = {"Data": "d", "Instruction": "i", "Unified": ""}
_SECTOR_BYTES = 512  # of /sys/block/*/size, whatever the disk's own


def describe(root: Path = Path("/")) -> dict[str, Any]:
    """Return facts for `machine` in environment.json. `root` is another place to read them from."""
    return {
        "sockets": _sockets(root),
        "cpu_max_mhz": _max_mhz(root),
        "cpu_caches": _caches(root),
        "memory_modules": _modules(root),
        "disks": list(_disks(root)),
        "network_cards": _cards(root),
    }


# ---- processors


def _sockets(root: Path) -> int | None:
    lines = _read(root / "proc/cpuinfo").splitlines()
    ids = {line.split(":")[1].strip() for line in lines if line.startswith("physical id")}
    packages = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology/physical_package_id")
    ids = ids or {_read(path) for path in packages} - {"", "-1"}
    return len(ids) or None


def _max_mhz(root: Path) -> float | None:
    khz = _number(root / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
    return None if khz is None else khz / 1000


def _caches(root: Path) -> list[str]:
    """List the caches that the first core sees: "L2 2048 KiB"."""
    found = []
    for path in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index[0-9]*")):
        kind, size = _CACHES.get(_read(path / "type")), _read(path / "size")
        if kind is not None and size.endswith("K"):
            found.append(f"L{_read(path / 'level')}{kind} {size[:-1]} KiB")
    return found


# ---- memory


def _modules(root: Path) -> list[str]:
    """List the memory modules, equal ones together: "8 x 32 GiB DDR5, 4800 MT/s"."""
    found = Counter(_edac_modules(root)) or Counter(_udev_modules(root))
    return [f"{count} x {module}" for module, count in sorted(found.items())]


def _edac_modules(root: Path) -> Iterator[str]:
    """Read them from the error-correction driver, which servers with ECC have."""
    for path in sorted((root / "sys/devices/system/edac/mc").glob("mc*/dimm*")):
        if mib := _number(path / "size"):
            kind = _read(path / "dimm_mem_type").replace("-", " ")
            yield " ".join(filter(None, (_size_text(mib * 2**20), kind)))


def _udev_modules(root: Path) -> Iterator[str]:
    """Read them from the DMI tables, as udev's database repeats them."""
    lines = _read(root / "run/udev/data/+dmi:id").splitlines()
    told = dict(line[2:].split("=", 1) for line in lines if line.startswith("E:MEMORY_DEVICE_"))
    numbers = {match[1] for key in told if (match := re.match(r"MEMORY_DEVICE_(\d+)_SIZE$", key))}
    for number in sorted(numbers, key=int):
        size, kind, speed = (
            told.get(f"MEMORY_DEVICE_{number}_{key}", "") for key in ("SIZE", "TYPE", "SPEED_MTS")
        )
        if size.isdigit() and int(size):
            words = f"{_size_text(int(size))} {kind}".strip()
            yield f"{words}, {speed} MT/s" if speed else words


# ---- disks and network cards


def _disks(root: Path) -> Iterator[dict[str, Any]]:
    """List the fixed disks with a device behind them: no partitions, loops or RAM disks."""
    for path in sorted((root / "sys/block").glob("*")):
        size = _number(path / "size")
        if "/virtual/" in str(path.resolve()) or not size or _read(path / "removable") == "1":
            continue
        yield {
            "kind": _disk_kind(path),
            "model": _read(path / "device/model"),
            "bytes": int(size) * _SECTOR_BYTES,
        }


def _disk_kind(path: Path) -> str:
    if _driver(path / "device") in _VIRTUAL_DISKS:
        return "virtual disk"
    if path.name.startswith("nvme"):
        return "NVMe SSD"
    return "HDD" if _read(path / "queue/rotational") == "1" else "SSD"


def _cards(root: Path) -> list[dict[str, Any]]:
    """List the network cards. The ports of a card are one, and its virtual functions are none."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((root / "sys/class/net").glob("*")):
        device = path / "device"
        link = _LINKS.get(_read(path / "type"))
        if link is None or not device.exists() or (device / "physfn").exists():
            continue
        slots = _PCI.findall(str(device.resolve()))
        card = found.setdefault(
            slots[-1] if slots else path.name,
            {"link": link, "driver": _driver(device), "ports": 0, "mbit_per_s": None},
        )
        card["ports"] += 1
        speeds = [card["mbit_per_s"], _number(path / "speed")]
        card["mbit_per_s"] = max((s for s in speeds if s is not None and s > 0), default=None)
    return list(found.values())


def _driver(device: Path) -> str:
    lines = _read(device / "uevent").splitlines()
    return next((line[7:] for line in lines if line.startswith("DRIVER=")), "")


# ---- small readers


def _size_text(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:g} GiB"


def _number(path: Path) -> float | None:
    text = _read(path)
    return float(text) if re.fullmatch(r"-?\d+", text) else None


def _read(path: Path) -> str:
    """Return a small file without the blanks around it; nothing if it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
