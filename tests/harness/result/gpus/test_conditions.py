"""A GPU that was held down, or that others used, is told from one that worked for the run alone."""

from __future__ import annotations

import pytest

from harness.result.gpus import conditions as module
from harness.result.gpus.conditions import conditions
from harness.result.gpus.over_run import over_run

S = 1_000_000_000
USED = {"whose": "used", "indices": [0], "problem": ""}
TWO = {"whose": "used", "indices": [2, 5], "problem": ""}
THERMAL, BRAKE, CAP = 0x40, 0x80, 0x4


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    """Undo what the other tests are spared."""
    monkeypatch.setattr(module, "MOST_THROTTLED", 0.10)
    monkeypatch.setattr(module, "MOST_PROCESSES", 0)
    monkeypatch.setattr(module, "MOST_FOREIGN_BYTES", 2**30)


def ten(bits=(), **columns):
    """A row every second for 10 s; `bits` are those of the first ones."""
    slowdowns = [*bits, *[0] * (10 - len(bits))]
    return {"t_ns": [i * S for i in range(10)], "gpu_slowdowns": slowdowns, **columns}


def judged(telemetry, metered=USED, is_official=False):
    return {v.rule: v for v in conditions(telemetry, 10 * S, metered, is_official)}


def throttled(bits, **options):
    return judged(ten(bits), **options)["gpu_throttled"]


# ---- clocks


@pytest.mark.parametrize(
    ("bits", "status", "percent"),
    [
        ((), "PASS", 0),
        ((THERMAL,), "PASS", 10),
        ((THERMAL, BRAKE), "FAIL", 20),
        ((0x20, 0x8, THERMAL), "FAIL", 30),
        ([CAP] * 10, "PASS", 0),  # how a GPU at full load is meant to work
        ([0x1 | 0x2 | 0x10 | 0x100 | 0x800] * 10, "PASS", 0),
    ],
)
def test_heat_and_brakes_count_by_their_share_of_the_time(bits, status, percent):
    found = throttled(bits)
    assert (found.status, found.unit, found.limit) == (status, "%", pytest.approx(10))
    assert found.measured == pytest.approx(percent)
    assert bool(found.remedy) == (status == "FAIL")


def test_what_held_the_clocks_down_is_named():
    assert throttled((THERMAL, THERMAL | BRAKE)).detail == (
        "GPU 0: heat (by the hardware) 20 % of the time,"
        " power brake of the machine 10 % of the time"
    )
    assert throttled(()).detail == "neither heat nor a brake held the clocks down"


def test_a_profile_of_mlperf_asks_for_a_cool_machine():
    assert throttled((THERMAL,), is_official=True).status == "FAIL"


def test_only_the_timed_span_counts_and_a_reading_holds_until_the_next():
    telemetry = {
        "t_ns": [-5 * S, int(9.5 * S), 12 * S, 13 * S],
        "gpu_slowdowns": [THERMAL, 0, THERMAL, THERMAL],
    }
    assert judged(telemetry)["gpu_throttled"].measured == pytest.approx(95)
    telemetry["gpu_slowdowns"] = [0, 0, THERMAL, THERMAL]
    assert judged(telemetry)["gpu_throttled"].measured == 0


def test_the_worst_of_several_gpus_is_judged():
    each = [[0, THERMAL]] * 3 + [[0, 0]] * 7
    found = judged(ten(gpu_slowdowns_each=each), TWO)["gpu_throttled"]
    assert (found.status, found.measured) == ("FAIL", pytest.approx(30))
    assert found.detail.startswith("GPU 5: heat")


def test_reasons_that_are_not_told_are_skipped_unless_those_known_are_enough():
    lost = ten()
    lost["gpu_slowdowns"] = [0] * 4 + [None] * 6
    assert judged(lost)["gpu_throttled"].status == "SKIPPED"
    lost["gpu_slowdowns"] = [THERMAL] * 4 + [None] * 6
    assert judged(lost)["gpu_throttled"].status == "FAIL"


def test_runs_of_older_versions_and_without_a_gpu_have_no_such_condition():
    assert conditions({"t_ns": [0, S], "gpu_watts": [1.0, 1.0]}, S, USED, False) == []
    assert conditions(ten(), 10 * S, {}, False) == []
    assert conditions(ten(), 0, USED, False) == []


def test_a_system_that_names_no_gpu_is_not_judged_by_those_of_others():
    hot = ten([THERMAL] * 10, gpu_foreign_processes=[4] * 10)
    found = conditions(hot, 10 * S, USED | {"whose": "visible"}, False)
    assert [v.status for v in found] == ["SKIPPED", "SKIPPED"]
    assert found[0].detail == "the system does not say which GPUs it uses"


# ---- others


def shared(metered=USED, **columns):
    return judged(ten(**columns), metered)["gpu_shared"]


def test_a_run_that_is_alone_passes():
    found = shared(gpu_foreign_processes=[0] * 10, gpu_foreign_bytes=[2**28] * 10)
    assert (found.status, found.measured, found.limit) == ("PASS", 0, 0)
    assert "no compute process of others" in found.detail


def test_a_process_of_others_during_the_run_fails_it_by_name():
    who = [{"gpu": 0, "pid": 7, "name": "python\x1b[31m", "bytes": 3 * 2**30}]
    found = shared(
        gpu_foreign_processes=[0, None, 1, *[0] * 7], gpu_foreign=[None, None, who, *[None] * 7]
    )
    assert (found.status, found.measured, found.unit) == ("FAIL", 1, "processes")
    assert found.detail.startswith("process 7 (python")
    assert found.detail.endswith("on GPU 0, 3 GiB")
    assert "\x1b" not in found.detail
    assert found.remedy


def test_a_process_that_was_there_before_the_run_fails_it_too():
    who = [{"gpu": 0, "pid": 9, "name": "", "bytes": None}]
    row = {"gpu": 0, "foreign_processes": 1, "foreign_bytes": 0, "foreign": who}
    found = shared(USED | {"before": [row]}, gpu_foreign_processes=[0] * 10)
    assert (found.status, found.detail) == ("FAIL", "process 9 on GPU 0")


def test_many_processes_are_counted_and_three_named():
    who = [{"gpu": 0, "pid": pid, "name": "x", "bytes": None} for pid in range(5)]
    found = shared(gpu_foreign_processes=[5] * 10, gpu_foreign=[who] * 10)
    assert (found.measured, found.detail.endswith(" and 2 more")) == (5, True)


def test_processes_of_another_container_have_no_name():
    found = shared(gpu_foreign_processes=[2] * 10)
    assert found.detail == "processes of another container or user"


def test_memory_of_others_beyond_what_a_desktop_needs_fails_where_no_process_is_told():
    found = shared(gpu_foreign_bytes=[3 * 2**30] * 10)
    assert (found.status, found.measured, found.limit, found.unit) == ("FAIL", 3.0, 1.0, "GiB")
    assert shared(gpu_foreign_bytes=[2**29] * 10).status == "PASS"


def test_memory_is_judged_gpu_by_gpu():
    """Of eight GPUs the driver's own needs add up to more than a GiB."""
    each = {"gpu_slowdowns_each": [[0, 0]] * 10, "gpu_foreign_bytes": [3 * 2**29] * 10}
    small = shared(TWO, **each, gpu_foreign_bytes_each=[[2**29, 2**30]] * 10)
    large = shared(TWO, **each, gpu_foreign_bytes_each=[[2**29, 2**31]] * 10)
    assert (small.status, large.status, large.measured) == ("PASS", "FAIL", 2.0)


def test_a_driver_that_tells_nothing_of_others_is_skipped():
    assert shared(gpu_foreign_processes=[None] * 10).status == "SKIPPED"
    assert shared().status == "SKIPPED"


def test_of_a_run_of_less_than_a_second_the_reading_right_before_it_counts():
    telemetry = {
        "t_ns": [-30 * S, -S // 10, S // 2],
        "gpu_slowdowns": [0, 0, 0],
        "gpu_foreign_processes": [5, 1, None],
    }
    found = {v.rule: v for v in conditions(telemetry, S // 2, USED, False)}["gpu_shared"]
    assert (found.status, found.measured) == ("FAIL", 1)


def test_what_comes_after_the_run_is_not_its_business():
    telemetry = ten(gpu_foreign_processes=[0] * 10)
    telemetry["t_ns"].append(11 * S)
    telemetry["gpu_slowdowns"].append(0)
    telemetry["gpu_foreign_processes"].append(4)
    assert judged(telemetry)["gpu_shared"].status == "PASS"


# ---- what each GPU did


def test_each_gpu_has_its_own_figures():
    telemetry = ten(
        gpu_slowdowns_each=[[CAP, THERMAL]] * 5 + [[0, 0]] * 5,
        gpu_watts_each=[[100.0, 300.0]] * 5 + [[200.0, None]] * 5,
        gpu_celsius_each=[[50, 90]] * 10,
    )
    first, second = over_run(telemetry, 10 * S, TWO | {"before": [{"gpu": 5, "idle_watts": 70.0}]})
    assert (first["gpu"], second["gpu"]) == (2, 5)
    assert (first["watts_mean"], first["watts_max"]) == (150.0, 200.0)
    assert (second["watts_mean"], second["celsius_max"]) == (300.0, 90)
    assert (first["power_capped_percent"], first["throttled_percent"]) == pytest.approx((50, 0))
    assert second["slowdowns"] == {"thermal_hardware": pytest.approx(50)}
    assert (first["idle_watts"], second["idle_watts"]) == (None, 70.0)
    assert first["pcie_sent_bytes_per_s"] is None
