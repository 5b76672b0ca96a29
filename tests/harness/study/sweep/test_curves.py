"""Where is the knee, how sure is it, and which points are on the front?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.study.sweep.curves import curves, knee_of, pareto
from harness.study.sweep.folded import folded, status_of
from harness.study.sweep.summary import summary

on_a_busy_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def point(load, *powers, status="VALID", series="a", **figures):
    runs = [{"figures": {"power": power}, "status": status} for power in powers]
    known = {name: {"value": value} for name, value in figures.items()}
    return {
        "values": {"target_qps": str(load)},
        "runs": runs,
        "figures": known or {"power": {"value": 1.0}},
        "status": status,
        "series": series,
        "is_at_once": False,
    }


def queue(load, capacity):
    """The power of an M/M/1 queue: rate over the mean time in it, 1 / (capacity - rate)."""
    return load * (capacity - load)


@pytest.mark.parametrize("capacity", [20.0, 64.0, 100.0])
def test_the_knee_of_a_queue_is_at_half_its_capacity_whatever_was_swept(capacity):
    for step in (0.05, 0.1):
        for last in (0.7, 0.95):
            loads = np.arange(step, last, step) * capacity
            knee = knee_of([point(x, queue(x, capacity)) for x in loads], "target_qps")
            assert knee.load == pytest.approx(capacity / 2, abs=0.5 * step * capacity + 1e-9)
            assert knee.is_bracketed
            assert knee.low is None, "a single run has no interval"


def test_a_knee_at_the_edge_says_that_it_may_lie_beyond():
    knee = knee_of([point(x, queue(x, 100)) for x in (10, 20, 30, 40)], "target_qps")
    assert (knee.load, knee.is_bracketed) == (40, False)


def test_the_interval_of_a_knee_holds_the_true_one():
    draw, hits, trials = np.random.default_rng(3), 0, 100
    loads = [10, 20, 30, 40, 50, 60, 70, 80]
    for _ in range(trials):
        noisy = [point(x, *(queue(x, 100) * draw.normal(1, 0.03, 3))) for x in loads]
        knee = knee_of(noisy, "target_qps")
        hits += knee.low <= 50 <= knee.high
    assert hits >= 85, "three repeats alone make it a little narrow"


def test_two_loads_show_no_knee_and_words_are_no_load():
    assert knee_of([point(1, 2.0), point(2, 3.0)], "target_qps") is None
    assert curves([point("auto", 1.0), point(1, 2.0)], "target_qps") == []


PAIR = st.tuples(st.integers(1, 50), st.integers(1, 50))


@on_a_busy_machine
@given(pairs=st.lists(PAIR, max_size=25))
def test_the_front_is_what_no_other_point_beats(pairs):
    points = [
        point(1, tokens_per_s_per_user=float(user), tokens_per_s_per_device=float(device))
        for user, device in pairs
    ]
    found = pareto(points)
    beaten = {
        i
        for i, (user, device) in enumerate(pairs)
        if any(u >= user and d >= device and (u, d) != (user, device) for u, d in pairs)
    }
    assert {pairs[i] for i in found} == {pair for i, pair in enumerate(pairs) if i not in beaten}
    assert [pairs[i][0] for i in found] == sorted(pairs[i][0] for i in found)


def test_what_is_not_valid_is_on_no_front():
    best = point(1, tokens_per_s_per_user=9.0, tokens_per_s_per_device=9.0, status="INVALID")
    other = point(2, tokens_per_s_per_user=1.0, tokens_per_s_per_device=1.0)
    assert pareto([best, other]) == [1]


@on_a_busy_machine
@given(values=st.lists(st.floats(0.1, 1e6), min_size=2, max_size=9))
def test_the_interval_of_a_mean_is_students(values):
    found = folded(values)
    scale = stats.sem(values)
    if scale == 0:
        assert found.low == pytest.approx(found.value)
        return
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), scale)
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-6), pytest.approx(high, rel=1e-6))


def test_one_run_has_no_interval():
    assert folded([7.0]) == (7.0, None, None, 1)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["VALID", "VALID"], ("VALID", "")),
        (["VALID", "VALID", "INVALID"], ("VALID", "1 INVALID, 2 VALID of 3 runs")),
        (["VALID", "INVALID"], ("INVALID", "1 INVALID, 1 VALID of 2 runs; too slow")),
        ([], ("NOT RUN", "")),
    ],
)
def test_repeats_that_differ_are_counted(statuses, expected):
    runs = [{"status": s, "reason": "too slow" if s == "INVALID" else ""} for s in statuses]
    assert status_of(runs, "") == expected


def test_a_round_that_was_slower_is_told_from_an_effect():
    points = [{"name": f"p{i}", "values": {"target_qps": i}, "refused": ""} for i in range(5)]
    places = {f"p{i} {r}": (i, r) for r in range(3) for i in range(5)}
    runs = {
        name: {
            "cell": name, "status": "VALID", "reason": "", "run": name, "model": "m",
            "variant": "v", "device": "cpu", "devices": 1, "is_at_once": False,
            "figures": {"tokens_per_s": (10.0 + place) * (0.9 if repeat == 2 else 1.0)},
        }
        for name, (place, repeat) in places.items()
    }  # fmt: skip
    saved = {"points": points, "places": places, "repeats": 3, "order_seed": 1}
    rounds = summary(saved, list(places), runs)["rounds"]
    assert rounds[2]["high"] < 0.95 < 1 < rounds[0]["low"]
