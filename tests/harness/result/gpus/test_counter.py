"""The GPUs' own counter of energy: known rises, ends between readings, and counters that cannot be
believed.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.result.gpus.counter import counted as read
from harness.result.gpus.energy import energy

S = 1_000_000_000
USED = {"whose": "used", "indices": [0], "problem": ""}
TWO = {"whose": "used", "indices": [0, 3], "problem": ""}


def counter(*pairs, watts=None):
    return {
        "t_ns": [round(t * S) for t, _ in pairs],
        "gpu_energy_mj": [mj for _, mj in pairs],
        "gpu_watts": [watts] * len(pairs),
    }


@pytest.mark.parametrize(
    ("telemetry", "span_s", "joules"),
    [
        (counter((0, 5_000), (1, 105_000), (2, 205_000)), 2, 200),
        (counter((-1, 0), (1, 200_000), (3, 400_000)), 2, 200),  # both ends between readings
        (counter((0, 0), (0.5, None), (1, 100_000)), 1, 100),  # a gap costs nothing
        (counter((0.05, 0), (0.95, 90_000)), 1, 100),  # it covers nine tenths
        (counter((0, 0), (2, 200_000), (2.5, 900_000)), 2, 200),  # what follows is not ours
        (counter((-2, 900_000), (-1, 0), (1, 200_000)), 1, 100),  # nor is what was before
    ],
)
def test_the_energy_is_what_the_counter_rose_by_in_the_timed_span(telemetry, span_s, joules):
    found = energy(telemetry, span_s * S, 50, USED)
    assert found["joules"] == pytest.approx(joules)
    assert found["joules_per_token"] == pytest.approx(joules / 50)
    assert "by the energy counter" in found["source"]
    assert found["sampled_joules"] is None


STEPS = st.lists(st.tuples(st.integers(1, 3_000), st.integers(1, 10**6)), min_size=3, max_size=30)


@given(STEPS, st.floats(0.05, 0.95))
def test_two_halves_of_a_span_take_what_the_whole_takes(steps, part):
    """`steps`: milliseconds until the next reading, and millijoules until then."""
    ms, mj = 0, 0
    times_ns, counts = [0], [0]
    for more_ms, more_mj in steps:
        ms, mj = ms + more_ms, mj + more_mj
        times_ns.append(ms * 1_000_000)
        counts.append(mj)
    end_ns, middle_ns = times_ns[-1], int(part * times_ns[-1])

    def joules(begin_ns, span_ns):
        shifted = [t_ns - begin_ns for t_ns in times_ns]
        (found,) = read({"t_ns": shifted, "gpu_energy_mj": counts}, span_ns, [0]).joules
        return found

    whole = joules(0, end_ns)
    assert whole == pytest.approx(mj / 1e3)
    assert joules(0, middle_ns) + joules(middle_ns, end_ns - middle_ns) == pytest.approx(whole)


def test_the_samples_of_the_power_stand_beside_the_counter():
    found = energy(counter((0, 0), (1, 90_000), (2, 180_000), watts=100.0), 2 * S, 1, USED)
    assert (found["joules"], found["sampled_joules"]) == pytest.approx((180, 200))


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        (((0, 900_000), (1, 950_000), (2, 10_000)), "the energy counter of GPU 0 went back at 2 s"),
        (((0, 7), (1, 7), (2, 7)), "the energy counter of GPU 0 stood still"),
        (((0, 7), (1, 9), (2, None)), "the energy counter of GPU 0 was not read all along"),
    ],
)
def test_a_counter_that_cannot_be_believed_gives_way_to_the_samples(pairs, why):
    found = energy(counter(*pairs, watts=100.0), 2 * S, 1, USED)
    assert found["joules"] == pytest.approx(200)
    assert found["source"].endswith(f"by the power, read 3 times in 2 s ({why})")


def test_without_samples_such_a_counter_leaves_no_energy():
    assert energy(counter((0, 900), (1, 10)), S, 1, USED) == {}


def test_several_counters_are_summed_and_one_that_goes_back_costs_all():
    telemetry = {
        "t_ns": [0, S, 2 * S],
        "gpu_energy_mj_each": [[0, 50], [100_000, 250_050], [200_000, 500_050]],
        "gpu_watts": [300.0] * 3,
    }
    assert energy(telemetry, 2 * S, 1, TWO)["joules"] == pytest.approx(700)
    telemetry["gpu_energy_mj_each"][2] = [200_000, 5]
    found = energy(telemetry, 2 * S, 1, TWO)
    assert found["joules"] == pytest.approx(600)
    assert "GPU 3 went back" in found["source"]


def test_a_gpu_without_a_counter_is_sampled_and_nothing_is_said_of_it():
    found = energy(counter((0, None), (1, None), watts=50.0), S, 1, USED)
    assert found["source"] == "NVML: GPU 0, which the run used, by the power, read twice in 1 s"


def test_the_power_before_the_run_stands_beside_it_where_all_gpus_told_it():
    before = [{"gpu": 0, "idle_watts": 55.0}, {"gpu": 3, "idle_watts": 70.0}]
    telemetry = {"t_ns": [0, S], "gpu_watts": [300.0] * 2}
    found = energy(telemetry, S, 1, TWO | {"before": before})
    assert (found["idle_watts"], found["joules"]) == (125.0, pytest.approx(300))
    before[1]["idle_watts"] = None
    assert energy(telemetry, S, 1, TWO | {"before": before})["idle_watts"] is None
    assert energy(telemetry, S, 1, TWO)["idle_watts"] is None
