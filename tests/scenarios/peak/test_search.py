"""Is the peak of a queue found that is known, and with few queries? In a small form of
`python -m tests.bench peak`; and what each part of the search knows, against formulas.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from scenarios.loadgen.find_peak import next_qps
from scenarios.peak.evidence import design_effect, quantile_interval, share_interval
from scenarios.peak.posterior import believe
from scenarios.peak.queue import guess, saturation
from scenarios.peak.search import Over, Plan, Seen, known, next_step
from scenarios.peak.spent import queries_of, rates_of_bisection
from scenarios.peak.tails import Tail, tail
from scenarios.peak.watch import Rule, Watch
from tests.bench.peak import CASES, plan_of, search
from tests.bench.queues import servers


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_peak_of_a_known_queue_is_found_with_half_of_bisections_queries(case):
    plan = plan_of(case)
    others = sum(
        queries_of(qps, plan.min_queries, plan.min_duration_s)
        for qps in rates_of_bisection(case.start, case.peak, plan.precision)
    )
    found = [search(case, seed) for seed in range(4)]
    assert sum(abs(one.qps / case.peak - 1) <= 0.03 for one in found) >= 3
    assert all(one.queries <= others / 2 for one in found)


def answers(plan, holds, share_over):
    """Follow a search; `share_over` a rate gives the exact tail, without any noise."""
    seen = []
    while not isinstance(wanted := next_step(plan, seen), Over):
        queries = queries_of(wanted.qps, wanted.min_queries, wanted.min_duration_s)
        told = {"tpot": Tail(wanted.qps, math.log(share_over(wanted.qps)), 0.2)}
        seen.append(Seen(wanted.qps, wanted.purpose, queries, holds(wanted.qps), told))
    return seen, wanted.why


@pytest.mark.parametrize(
    ("peak", "slope", "share_of_start"), [(1.0, 10, 0.625), (50.0, 40, 0.3), (300.0, 150, 0.02)]
)
def test_a_limit_that_no_queue_breaks_is_found_as_well(peak, slope, share_of_start):
    """Time per token rises with the load, whatever waits."""
    plan = Plan(peak * share_of_start, 0.99, {"ttft": 1.0, "tpot": 0.1}, ("ttft",), 64, 600.0)

    def share_over(qps):
        return math.exp(min(max(math.log(0.01) + slope * (qps / peak - 1), -30), -0.1))

    seen, _ = answers(plan, lambda qps: qps <= peak, share_over)
    found = known(plan, seen)
    assert found.held == pytest.approx(peak, rel=0.04)
    assert found.queries <= found.bisection


def test_a_system_that_never_fails_ends_at_the_largest_run():
    plan = Plan(5.0, 0.9, {"ttft": 1.0}, ("ttft",), 64, 60.0, max_queries=10_000)
    seen, why = answers(plan, lambda qps: True, lambda qps: 1e-9)
    assert why == "size"
    assert known(plan, seen).peak is None


def test_a_system_that_never_holds_is_given_up():
    plan = Plan(64.0, 0.9, {"ttft": 1.0}, ("ttft",), 64, 60.0)
    seen, why = answers(plan, lambda qps: False, lambda qps: 0.9)
    assert why == "none"
    assert len(seen) <= 6
    assert known(plan, seen).held is None


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.integers(1, 30))
@hypothesis_settings(max_examples=40, deadline=None)
def test_a_watch_counts_what_a_look_at_everything_counts(seed, n, looks):
    draw = np.random.default_rng(seed)
    due = np.sort(draw.integers(0, 10_000, n))
    left = due + draw.integers(0, 4_000, n)
    watch = Watch(Rule(limit_ns=1_500, allowed=n))
    for now in np.sort(draw.integers(0, 20_000, looks)):
        issued = int((due <= now).sum())
        seen = np.where(left <= now, left, -1)[:issued]
        watch.look(int(now), due[watch.begin : issued], seen[watch.begin :])
        everything = np.where(seen < 0, now, seen) - due[:issued] > 1_500
        assert watch.over == everything.sum()


def test_a_run_is_hopeless_exactly_when_more_are_over_than_it_allows():
    due = np.arange(10) * 100
    late, watch = due + 1_000, Watch(Rule(limit_ns=500, allowed=3))
    assert not watch.look(2_000, due[:3], late[:3])
    assert watch.look(2_000, due[watch.begin : 4], late[watch.begin : 4])


def test_bisection_tries_loadgens_rates_until_both_ends_are_close():
    tried, qps = [], 10.0
    for _ in range(9):
        tried.append((qps, qps <= 70.3))
        qps = next_qps(tried)
    assert rates_of_bisection(10.0, 70.3, 0.03) == [qps for qps, _ in tried]


@pytest.mark.parametrize("rate", [0.9, 1.3])
def test_the_speed_of_an_overloaded_system_is_told_from_its_departures(rate):
    """M/D/1 serves one after the other: 100 per second, evenly."""
    due_s, first_s = servers(rate * 100, 20_000, seed=1, k=1, mean_s=0.01, cv=1e-6)
    found = saturation(np.int64(due_s * 1e9), np.int64(first_s * 1e9), int(2e9))
    if rate < 1:
        assert found is None
    else:
        assert found.qps == pytest.approx(100, rel=0.01)
        assert found.dispersion < 0.05


@pytest.mark.parametrize("limit_s", [0.2, 0.5, 2.0])
def test_the_guess_of_a_queue_is_that_of_the_exact_formula(limit_s):
    """M/M/1: the wait exceeds x with the probability rho exp(-(mu - lambda) x)."""
    from scipy.optimize import brentq

    mu = 100.0
    exact = brentq(lambda r: r / mu * math.exp(-(mu - r) * limit_s) - 0.01, 1, mu - 1e-9)
    due_s, first_s = servers(1.2 * mu, 60_000, seed=2, k=1, mean_s=1 / mu, cv=1.0)
    found = saturation(np.int64(due_s * 1e9), np.int64(first_s * 1e9), int(limit_s * 1e9))
    told = guess(found, 0.99, limit_s, 0.0)
    assert told.qps == pytest.approx(exact, rel=4 * told.error)
    assert told.error < 0.06


def test_a_tail_that_was_hardly_seen_is_read_off_an_exponential():
    draw = np.random.default_rng(3)
    found = [tail(1.0, draw.exponential(1.0, 4_000), 9.0, 0.99) for _ in range(50)]
    assert np.mean([one.log_share for one in found]) == pytest.approx(-9.0, abs=0.3)
    inside = [abs(one.log_share + 9.0) <= 2 * one.error for one in found]
    assert np.mean(inside) >= 0.9


def test_what_is_believed_narrows_with_every_run():
    truth, widths, tails = 50.0, [], []
    for qps in (30.0, 45.0, 48.0, 52.0, 50.0, 50.0):
        tails.append(Tail(qps, math.log(0.01) + 40 * (qps / truth - 1), 0.3))
        peak = believe(10.0, 100.0, 0.99, {"ttft": tails}, {}).peak
        widths.append(peak.high - peak.low)
    assert peak.low < truth < peak.high
    assert peak.value == pytest.approx(truth, rel=0.01)
    assert widths[-1] < widths[1] < widths[0]


def test_the_lowest_peak_of_several_limits_counts():
    tails = {
        name: [Tail(qps, math.log(0.01) + 60 * (qps / at - 1), 0.2) for qps in (0.9 * at, at)]
        for name, at in (("ttft", 80.0), ("tpot", 40.0))
    }
    assert believe(10.0, 150.0, 0.99, tails, {}).peak.value == pytest.approx(40.0, rel=0.02)


@pytest.mark.parametrize("run", [1, 4, 25])
def test_queries_that_are_late_together_tell_less(run):
    """A share of late ones in runs of equal length has as much variance as one of n / run."""
    draw = np.random.default_rng(run)
    effects = [design_effect(np.repeat(draw.random(20_000 // run) < 0.1, run)) for _ in range(30)]
    assert np.mean(effects) == pytest.approx(run, rel=0.25)


def test_intervals_hold_the_truth_as_often_as_they_say():
    draw = np.random.default_rng(4)
    shares, quantiles = 0, 0
    for _ in range(400):
        values = draw.exponential(1.0, 500)
        low, high = share_interval(int((values <= 2).sum()), 500, 500)[1:]
        shares += low <= 1 - math.exp(-2) <= high
        interval = quantile_interval(values, 0.9)
        quantiles += interval.low <= math.log(10) <= interval.high
    assert shares >= 0.92 * 400
    assert quantiles >= 0.92 * 400
