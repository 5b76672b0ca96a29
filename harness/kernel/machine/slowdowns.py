"""Why does a GPU run below the clocks it could have? The driver's reasons, a bit each.

NVML calls them clocks event reasons, and throttle reasons in older versions (nvml.h). Heat and the
power brake are faults of the machine: a run under them measures the cooling. The power cap is how
a GPU at full load is meant to work.
"""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """A bit of the driver's answer; `is_fault` where a sound machine would not have it."""

    bit: int
    name: str
    words: str
    is_fault: bool = False


REASONS = (
    Reason(0x1, "idle", "idle"),
    Reason(0x2, "set_clocks", "clocks set by an administrator"),
    Reason(0x4, "power_cap", "power cap"),
    Reason(0x8, "hardware_slowdown", "hardware slowdown", is_fault=True),
    Reason(0x10, "sync_boost", "clocks held with those of another GPU"),
    Reason(0x20, "thermal_software", "heat (by the driver)", is_fault=True),
    Reason(0x40, "thermal_hardware", "heat (by the hardware)", is_fault=True),
    Reason(0x80, "power_brake", "power brake of the machine", is_fault=True),
    Reason(0x100, "display_clocks", "clocks set for a display"),
)
FAULTS = sum(reason.bit for reason in REASONS if reason.is_fault)
POWER_CAP = 0x4


def named(bits: int) -> list[Reason]:
    """Return the reasons that are set; bits that this version does not know are left out."""
    return [reason for reason in REASONS if bits & reason.bit]
