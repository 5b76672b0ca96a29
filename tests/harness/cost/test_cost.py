"""Costs, servers and break-even: what they are, and how far chance moves them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accuracy.resampling import Estimate
from harness.cost import break_even
from harness.cost.break_even import Deployment
from harness.cost.costs import costs, servers_for
from harness.cost.rates import Rates
from harness.cost.terms import HOURS_PER_MONTH, terms
from harness.cost.uncertain import Uncertain, combined, exactly, measured
from harness.kernel.errors import BadInput

_POSITIVE = st.floats(0.01, 1e4)


@pytest.mark.parametrize(("qps", "servers"), [(5, 100), (25, 20), (24.9, 21), (500, 1), (501, 1)])
def test_five_hundred_queries_a_second(qps, servers):
    assert servers_for(500, exactly(qps)).value == servers


def test_a_margin_is_rate_that_stays_free():
    assert servers_for(500, exactly(25), margin=0.2).value == 24


def test_servers_have_the_interval_of_the_valid_rate():
    rate = measured(Estimate(25.0, 20.0, 25.5), "int8", "qps")
    assert servers_for(500, rate).estimate == (20, 20, 25)


def test_a_rate_and_what_is_made_of_its_inverse_have_the_same_interval():
    speed = measured(Estimate(100.0, 80.0, 110.0), "a", "speed")
    value, low, high = combined(lambda tokens: 1 / tokens, speed).estimate
    assert value == 0.01
    assert low == pytest.approx(1 / 110, rel=0.01)
    assert high == pytest.approx(1 / 80, rel=0.01)


def test_nothing_made_of_a_figure_without_interval_has_one():
    alone, known = measured(Estimate(5.0), "a"), exactly(2)
    assert combined(lambda a, b: a * b, alone, known).estimate == (10, None, None)


def test_two_measured_figures_move_apart():
    ours, theirs = (measured(Estimate(10.0, 9.0, 11.0), name) for name in "ab")
    assert abs(np.corrcoef(ours.draws, theirs.draws)[0, 1]) < 0.1
    assert np.array_equal(ours.draws, measured(Estimate(10.0, 9.0, 11.0), "a").draws)


def _rates(**known):
    return Rates(**{"tokens_per_s": exactly(1000), "tokens_per_sample": 100} | known)


def test_a_million_output_tokens_when_prompts_are_free():
    found = costs(_rates(), terms("3.6"))
    assert found["usd_per_m_tokens"].value == pytest.approx(1.0)
    assert "usd_per_m_input_tokens" not in found  # no run tells how long prompts are


@given(price=_POSITIVE, speed=_POSITIVE, prompt=st.floats(1, 1e4), weight=st.floats(0.1, 20))
@settings(max_examples=50, deadline=None)
def test_input_and_output_tokens_pay_for_the_hour_exactly(price, speed, prompt, weight):
    rates = _rates(tokens_per_s=exactly(speed), prompt_tokens=prompt)
    found = costs(rates, terms(str(price), output_weight=weight))
    paid_in = found["usd_per_m_input_tokens"].value, found["usd_per_m_output_tokens"].value
    samples_per_hour = 3600 * speed / 100
    income = samples_per_hour * (prompt * paid_in[0] + 100 * paid_in[1]) / 1e6
    assert income == pytest.approx(price)
    assert paid_in[1] == pytest.approx(weight * paid_in[0])


def test_a_job_takes_its_tokens_at_full_speed():
    found = costs(_rates(), terms("2", job_samples=36_000))
    assert (found["job_hours"].value, found["job_usd"].value) == (1.0, 2.0)


def test_energy_costs_what_a_kilowatt_hour_does():
    found = costs(_rates(joules_per_token=exactly(3.6)), terms(price_per_kwh=0.3))
    assert found["kwh_per_m_tokens"].value == pytest.approx(1.0)
    assert found["energy_usd_per_m_tokens"].value == pytest.approx(0.3)


def test_users_are_counted_by_littles_law():
    rates = _rates(valid_qps=exactly(4), latency_s=exactly(2.5), tpot_s=exactly(0.05))
    found = costs(rates, terms())
    assert (found["users_at_once"].value, found["user_tokens_per_s"].value) == (10, 20)


def test_the_price_of_a_deployment_is_its_own():
    found = terms("2.5,int8=1").per_hour
    assert (found.of("int8"), found.of("int8 max-concurrency=8", "int8"), found.of("fp32")) == (
        1.0, 1.0, 2.5,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"price_per_hour": "-2"}, "it is -2; expected 0 or more"),
        ({"price_per_hour": "cheap"}, "'cheap' is no price"),
        ({"price_per_hour": "fp32=4,fp32=5"}, "fp32 is given twice"),
        ({"price_per_hour": "nan"}, "it is nan"),
        ({"need_qps": 0.0}, "it is 0; expected a number above 0"),
        ({"need_qps": math.inf}, "it is inf"),
        ({"margin": -5.0}, "--margin: it is -5"),
        ({"price_per_kwh": -0.1}, "--price-per-kwh: it is -0.1"),
        ({"one_off": "int8=-1"}, "--one-off: it is -1"),
    ],
)
def test_a_price_that_is_none_is_refused(given, words):
    with pytest.raises(BadInput, match=words):
        terms(**given)


def test_a_price_of_nobody_is_refused_with_the_nearest():
    with pytest.raises(BadInput, match="Did you mean 'int8'"):
        terms("in8=2").check_names(["fp32", "int8"])


# ---- break-even


def _cost(one: Deployment, qps: float) -> float:
    return math.ceil(qps / one.valid_qps.value) * one.usd_per_hour


@given(st.floats(0.5, 20), st.floats(0.5, 50), st.floats(0.5, 20), st.floats(0.5, 50))
@settings(max_examples=100, deadline=None)
def test_above_the_break_even_rate_ours_is_never_dearer(price, qps, their_price, their_qps):
    ours = Deployment(price, Uncertain(qps))
    theirs = Deployment(their_price, Uncertain(their_qps))
    found = break_even.rate(ours, theirs)
    if found is None:
        return
    rng = np.random.default_rng(1)
    above = found.value + rng.exponential(20 * max(qps, their_qps), 300) + 1e-6
    assert all(_cost(ours, rate) <= _cost(theirs, rate) + 1e-9 for rate in above)
    if found.value:
        assert _cost(ours, found.value * (1 - 1e-9)) > _cost(theirs, found.value * (1 - 1e-9))


def test_a_dearer_server_that_carries_more_pays_from_a_rate_on():
    large, small = Deployment(4, exactly(25)), Deployment(1, exactly(5))
    assert break_even.rate(large, small).value == 55  # 51 to 55: 12 USD, or 11 small ones
    assert break_even.rate(small, large) is None
    assert break_even.rate(small, small).value == 0


def test_what_is_paid_once_is_paid_back_by_what_is_saved():
    ours, theirs = Deployment(1, exactly(25), once_usd=14_600), Deployment(1, exactly(5))
    found = break_even.months(ours, theirs, need_qps=100)  # 4 servers instead of 20
    assert found.value == pytest.approx(14_600 / (16 * HOURS_PER_MONTH))
    assert break_even.months(theirs, ours, need_qps=100) is None
    assert break_even.months(ours, ours._replace(once_usd=0.0), need_qps=100).value == math.inf


def test_the_rate_that_pays_back_within_a_year_does():
    ours, theirs = Deployment(1, exactly(25), once_usd=14_600), Deployment(1, exactly(5))
    rate = break_even.rate_within(ours, theirs, months=10).value
    saved = rate * (1 / 5 - 1 / 25) * 10 * HOURS_PER_MONTH
    assert saved == pytest.approx(14_600)
