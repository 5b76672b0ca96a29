"""What the driver tells of a run's GPUs becomes columns; what it does not tell is None, with the
driver's words, once.
"""

from __future__ import annotations

import os
from itertools import pairwise

import pytest

from harness.engine.metering import before, figures
from harness.engine.metering.meter import Meter
from harness.engine.metering.neighbours import Neighbours
from harness.engine.metering.seldom import Seldom
from harness.kernel.machine.nvml import Nvml
from harness.kernel.machine.slowdowns import FAULTS, named
from tests.nvml_helpers import install

CARD = {"name": "NVIDIA H100", "watts": 60}
HOT = {**CARD, "watts": 300, "slowdowns": 0x44}
SLOW = ("foreign", "pcie")


class Clock:
    """Goes on by a step each time that it is read."""

    def __init__(self, step_ns=0):
        self.now_ns, self.step_ns = 0, step_ns

    def __call__(self):
        self.now_ns += self.step_ns
        return self.now_ns


def meter(*indices, now_ns=None):
    return Meter(indices, {os.getpid()}, now_ns or Clock())


def test_a_gpu_tells_what_it_does(monkeypatch):
    install(monkeypatch, CARD)
    row = meter(0).read()
    assert row == {
        "gpu_energy_mj": None, "gpu_watts": 60.0, "gpu_memory_bytes": 2**30,
        "gpu_utilisation_percent": 50, "gpu_sm_mhz": 1755, "gpu_memory_mhz": 2619,
        "gpu_celsius": 61, "gpu_slowdowns": 0, "gpu_read_ms": 0.0, "gpu_foreign_processes": 0,
        "gpu_foreign_bytes": 2**30 - 2**20, "gpu_pcie_sent_bytes_per_s": 1_000_000,
        "gpu_pcie_received_bytes_per_s": 2_000_000,
        "gpu_refused": [{"gpu": 0, "figure": "gpu_energy_mj", "reason": "Not Supported"}],
    }  # fmt: skip


def test_several_gpus_are_summed_and_told_apart(monkeypatch):
    install(monkeypatch, CARD, HOT)
    row = meter(1, 0).read()
    assert (row["gpu_watts"], row["gpu_watts_each"]) == (360.0, [300.0, 60.0])
    assert (row["gpu_slowdowns"], row["gpu_slowdowns_each"]) == (0x44, [0x44, 0])
    assert row["gpu_memory_bytes"] == 2**31
    assert row["gpu_sm_mhz"] == 1755


def test_one_that_refuses_costs_the_sum_and_leaves_the_others(monkeypatch):
    install(monkeypatch, {**CARD, "counter": True}, CARD)
    row = meter(0, 1).read()
    assert row["gpu_energy_mj"] is None
    counted, refused = row["gpu_energy_mj_each"]
    assert counted > 0
    assert refused is None


def test_a_library_that_knows_the_old_name_alone_tells_why_clocks_are_low(monkeypatch):
    install(monkeypatch, HOT, old=True)
    assert meter(0).read()["gpu_slowdowns"] == 0x44
    assert [reason.name for reason in named(0x44)] == ["power_cap", "thermal_hardware"]
    assert 0x44 & FAULTS == 0x40  # a power cap is no fault


def test_a_refusal_is_told_once_and_a_new_one_again(monkeypatch):
    install(monkeypatch, CARD, refuse={"nvmlDeviceGetPowerUsage": "NO_PERMISSION"})
    ours = meter(0)
    told = {row["figure"]: row["reason"] for row in ours.read()["gpu_refused"]}
    assert told["gpu_watts"] == "Insufficient Permissions"
    assert "gpu_refused" not in ours.read()
    install(monkeypatch, CARD, refuse={"nvmlDeviceGetTemperature": "GPU_IS_LOST"})
    assert ours._nvml is not None
    ours._nvml._library.nvmlDeviceGetTemperature = lambda *_: 1 / 0
    (news,) = ours.read()["gpu_refused"]
    assert news["figure"] == "gpu_celsius"


def test_without_gpus_there_are_no_columns(monkeypatch):
    install(monkeypatch)
    assert meter().read() == {}


# ---- what is asked seldom


def test_a_question_that_blocks_takes_two_percent_of_the_time():
    """An answer of 40 ms is followed by none for 2 s; a quick one by none for 1 s."""
    for took_ms, period_s in ((40, 2.0), (0, 1.0), (320, 16.0)):
        clock, asked = Clock(), []

        def ask(clock=clock, asked=asked, took_ms=took_ms):
            asked.append(clock.now_ns)
            clock.now_ns += took_ms * 1_000_000
            return "answer"

        seldom = Seldom(ask, clock)
        for _ in range(400):
            seldom()
            clock.now_ns += 100_000_000
        gaps_s = [(b - a) / 1e9 for a, b in pairwise(asked)]
        assert period_s <= min(gaps_s) <= max(gaps_s) <= 1.2 * period_s + 0.5


def test_pcie_and_neighbours_are_in_few_rows(monkeypatch):
    install(monkeypatch, CARD)
    clock = Clock()
    ours, rows = meter(0, now_ns=clock), []
    for _ in range(30):
        rows.append(ours.read())
        clock.now_ns += 100_000_000
    with_slow = [row for row in rows if any(key.startswith("gpu_pcie") for key in row)]
    assert len(with_slow) == 3
    assert all("gpu_foreign_processes" in row for row in with_slow)
    assert all("gpu_watts" in row for row in rows)


# ---- who else is on a GPU

OURS, CHILD, STRANGER, ELSEWHERE = 100, 101, 7, 40_000
PARENTS = {OURS: [1], CHILD: [OURS, 1], STRANGER: [1]}


def neighbours(monkeypatch, *processes, expected=1, used=10 * 2**30, readings=2):
    first, *others = processes or (None,)
    card = {**CARD, "used": used}
    rows = [{"pid": pid, "bytes": num_bytes} for pid, num_bytes in others]
    if first is None:
        install(monkeypatch, card, refuse={"nvmlDeviceGetComputeRunningProcesses": "[]"})
    else:
        install(monkeypatch, {**card, "pid": first[0], "others": rows})
    nvml = Nvml()
    gpus = figures.opened(nvml, [0])
    watcher = Neighbours(nvml, gpus, {OURS}, expected, PARENTS.get)
    for _ in range(readings):
        row, refused = watcher.read()
    assert refused == []
    who = [(one["pid"], one["bytes"]) for one in row.get("gpu_foreign", ())]
    return row["gpu_foreign_processes"], row["gpu_foreign_bytes"], who


def test_a_runs_own_processes_are_no_neighbours(monkeypatch):
    found = neighbours(monkeypatch, (OURS, 2**20), (CHILD, 9 * 2**30))
    assert found == (0, 2**30 - 2**20, [])


def test_another_process_is_one_with_its_memory(monkeypatch):
    found = neighbours(monkeypatch, (CHILD, 2**20), (STRANGER, 3 * 2**30))
    assert found == (1, 10 * 2**30 - 2**20, [(STRANGER, 3 * 2**30)])


def test_in_a_container_one_process_of_the_host_may_be_the_run_itself(monkeypatch):
    """Older drivers tell the host's numbers: one of them is ours, whatever its number."""
    assert neighbours(monkeypatch, (ELSEWHERE, 2**20)) == (0, None, [])
    assert neighbours(monkeypatch, (ELSEWHERE, 2**20), (ELSEWHERE + 1, 2**20)) == (1, None, [])
    both = neighbours(monkeypatch, (OURS, 2**20), (ELSEWHERE, 2**20))
    assert both[0] == 1  # ours is known, so the other is not ours


def test_a_process_that_has_just_ended_is_no_neighbour(monkeypatch):
    both = (OURS, 2**20), (ELSEWHERE, 2**20)
    assert neighbours(monkeypatch, *both, readings=1)[0] == 0
    assert neighbours(monkeypatch, *both, readings=2)[0] == 1


def test_before_the_run_every_process_is_a_neighbour(monkeypatch):
    assert neighbours(monkeypatch, (ELSEWHERE, 2**20), expected=0)[0] == 1
    assert neighbours(monkeypatch, expected=0, used=5) == (0, 5, [])


def test_bytes_that_are_not_told_are_not_guessed(monkeypatch):
    assert neighbours(monkeypatch, (OURS, 1), (CHILD, None))[:2] == (0, None)
    count, unknown, who = neighbours(monkeypatch, (OURS, 1), (STRANGER, None))
    assert (count, who) == (1, [(STRANGER, None)])
    assert unknown is not None  # ours are known, so the rest is


def test_processes_that_are_not_told_are_refused_with_the_reason(monkeypatch):
    install(monkeypatch, CARD, refuse={"nvmlDeviceGetComputeRunningProcesses": "NO_PERMISSION"})
    row = meter(0).read()
    assert row["gpu_foreign_processes"] is None
    assert {"gpu": 0, "figure": "gpu_foreign_processes", "reason": "Insufficient Permissions"} in (
        row["gpu_refused"]
    )


# ---- before the run


def test_before_the_run_the_idle_power_is_a_mean_over_a_second(monkeypatch):
    monkeypatch.setattr(before, "SECONDS", 1.0)
    install(monkeypatch, {**CARD, "pid": STRANGER}, HOT)
    waited = []
    rows = before.before_the_run(True, waited.append)
    assert sum(waited) == pytest.approx(1.0)
    assert [(row["gpu"], row["idle_watts"]) for row in rows] == [(0, 60.0), (1, 300.0)]
    assert rows[0]["foreign_processes"] == 1
    assert rows[1]["foreign_processes"] == 0


def test_a_server_that_runs_already_fills_the_gpu_itself(monkeypatch):
    install(monkeypatch, {**CARD, "pid": STRANGER})
    (row,) = before.before_the_run(False, lambda seconds: None)
    assert row == {"gpu": 0, "idle_watts": 60.0}


def test_idle_power_that_is_refused_is_none(monkeypatch):
    install(monkeypatch, CARD, refuse={"nvmlDeviceGetPowerUsage": "NOT_SUPPORTED"})
    (row,) = before.before_the_run(True, lambda seconds: None)
    assert row["idle_watts"] is None


def test_a_machine_without_a_gpu_does_not_wait(monkeypatch):
    install(monkeypatch, refuse={"nvmlInit": "DRIVER_NOT_LOADED"})
    assert before.before_the_run(True, lambda seconds: pytest.fail("it waited")) == []
