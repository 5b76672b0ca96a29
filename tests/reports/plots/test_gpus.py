"""The GPUs of a run as curves: one per GPU where they are few, gaps where nothing was told, red
where their clocks were held down.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from reports.plots.gpus import gpus_over_run
from reports.plots.style import RED
from tests.reports.plots.test_run import words

pytestmark = pytest.mark.pictures

S = 1_000_000_000


def telemetry(count=1, bits=0, rows=20):
    found = {
        "t_ns": [i * S // 10 for i in range(rows)],
        "gpu_utilisation_percent": [50] * rows,
        "gpu_watts": [300.0] * rows,
        "gpu_sm_mhz": [1755] * rows,
        "gpu_memory_mhz": [2619] * rows,
        "gpu_slowdowns": [0] * (rows // 2) + [bits] * (rows - rows // 2),
    }
    if count > 1:
        found |= {f"{name}_each": [[v] * count for v in found[name]] for name in
                  ("gpu_utilisation_percent", "gpu_watts")}  # fmt: skip
    return found


def test_utilisation_power_and_clocks_are_drawn():
    svg = gpus_over_run(telemetry(), [0], 55.0)
    ET.fromstring(svg)
    assert {"% utilisation", "power, W", "clocks, MHz", "before the run"} <= set(words(svg))
    assert {"processors (SM)", "memory"} <= set(words(svg))
    assert RED not in svg


def test_time_under_a_fault_is_red_and_under_the_power_cap_is_not():
    assert RED in gpus_over_run(telemetry(bits=0x40), [0])
    assert RED not in gpus_over_run(telemetry(bits=0x4), [0])


def test_few_gpus_have_a_curve_each_and_many_one_together():
    assert {"GPU 2", "GPU 5"} <= set(words(gpus_over_run(telemetry(2), [2, 5])))
    many = words(gpus_over_run(telemetry(8), list(range(8))))
    assert {"busiest", "all"} <= set(many)
    assert not any(word.startswith("GPU") for word in many)


def test_what_is_not_told_is_left_out():
    assert gpus_over_run({}, [0]) == ""
    found = telemetry()
    found["gpu_watts"] = [None] * 20
    found["gpu_sm_mhz"][3:9] = [None] * 6
    svg = gpus_over_run(found, [0])
    assert "power, W" not in words(svg)
    assert "processors (SM)" in words(svg)
