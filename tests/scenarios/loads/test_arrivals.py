"""Do queries come at the rate and in the bursts that a load asks for? Distributions are held
against scipy's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from harness.kernel.errors import BadInput
from harness.kernel.types import AfterInFlight, Seeds
from scenarios.loadgen.sample_order import Shape, make_schedule
from scenarios.loads import load_of
from scenarios.server import Server
from tests.scenario_helpers import S, run_settings

OPEN = ("constant", "gamma:0.25", "gamma:1", "gamma:4", "ramp:1..20", "ramp:0..8", "step:2/8/2")
FEW = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**64 - 1)


def offsets(load, **changes):
    s = run_settings(scenario="server", load=load, **changes)
    return Server().schedule(s).offsets_ns


def with_seed(seed):
    return Seeds(1, 2, seed)


def test_poisson_is_loadgens_to_the_bit():
    s = run_settings(scenario="server", min_queries=500, min_duration_ns=30 * S)
    shape = Shape(1, s.min_queries, s.min_duration_ns, poisson=True)
    assert (Server().schedule(s).offsets_ns == make_schedule(s, shape).offsets_ns).all()


@pytest.mark.parametrize("load", OPEN)
@FEW
@given(seed=seeds, queries=st.integers(2, 300), seconds=st.integers(0, 40))
def test_a_plan_is_in_order_long_enough_and_the_same_again(load, seed, queries, seconds):
    asked = {"min_queries": queries, "min_duration_ns": seconds * S, "seeds": with_seed(seed)}
    moments = offsets(load, **asked)
    assert moments[0] == 0
    assert (np.diff(moments) >= 0).all()
    assert len(moments) >= queries
    assert moments[-1] >= seconds * S
    assert (moments == offsets(load, **asked)).all()
    longer = offsets(load, **{**asked, "min_queries": queries + 100})
    if not load.startswith(("ramp", "step")) or seconds:
        assert (longer[: len(moments)] == moments).all(), "more queries move those before them"


@FEW
@given(rate=st.floats(0.01, 1e5), n=st.integers(2, 5000))
def test_constant_gaps_do_not_drift(rate, n):
    moments = offsets("constant", target_qps=rate, min_queries=n)
    exact = np.arange(len(moments)) * 1e9 / rate
    assert np.abs(moments - exact).max() <= 1 + 1e-6 * exact[-1] / 1e9


@pytest.mark.parametrize("shape", [0.25, 1.0, 4.0])
def test_gaps_of_gamma_follow_scipys_distribution(shape):
    gaps_s = np.diff(offsets(f"gamma:{shape}", target_qps=8, min_queries=20_000)) / 1e9
    assert stats.kstest(gaps_s, stats.gamma(shape, scale=1 / (8 * shape)).cdf).pvalue > 0.001
    assert gaps_s.mean() == pytest.approx(1 / 8, rel=0.05)
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(shape**-0.5, rel=0.05)


def test_another_seed_gives_other_moments():
    for load in ("gamma:0.5", "ramp:1..5", "step:1/5"):
        first, second = (offsets(load, seeds=with_seed(seed)) for seed in (1, 2))
        assert (first[:50] != second[:50]).any(), load


RATES = {
    "ramp:1..20": lambda t: 1 + 19 * np.minimum(t, 600) / 600,
    "ramp:20..1": lambda t: 20 - 19 * np.minimum(t, 600) / 600,
    "ramp:0..8": lambda t: 8 * np.minimum(t, 600) / 600,
    "step:2/8/2": lambda t: np.where((t >= 200) & (t < 400), 8.0, 2.0),
    "step:1/10": lambda t: np.where(t < 300, 1.0, 10.0),
}


@pytest.mark.parametrize("load", sorted(RATES))
def test_a_rate_that_changes_is_followed(load):
    """Rescaled by the expected number of queries, gaps are those of a Poisson process of rate 1."""
    moments_s = offsets(load, min_duration_ns=600 * S, min_queries=10) / 1e9
    grid = np.linspace(0, moments_s[-1], 200_001)
    expected = integrate.cumulative_simpson(RATES[load](grid), x=grid, initial=0)
    units = np.diff(np.interp(moments_s, grid, expected))
    assert stats.kstest(units, stats.expon.cdf).pvalue > 0.001
    assert len(moments_s) == pytest.approx(expected[-1], abs=4 * expected[-1] ** 0.5)


def test_a_rate_that_changes_has_no_duration_of_its_own():
    """Without a minimum duration the ramp takes as long as the minimum number of queries."""
    moments_s = offsets("ramp:1..9", min_queries=1000, min_duration_ns=0) / 1e9
    assert moments_s[-1] == pytest.approx(200, rel=0.15)


def test_users_wait_for_their_answers():
    s = run_settings(scenario="server", load="concurrency:8", min_queries=20)
    server = Server()
    plan = list(server.plan(s, server.schedule(s)))
    assert {query.release for query in plan} == {AfterInFlight(8)}


BAD = (
    "gama:1", "gamma", "gamma:x", "gamma:0", "gamma:-1", "gamma:nan", "gamma:1e9", "constant:3",
    "ramp:1", "ramp:1..0", "ramp:-1..3", "step:3", "step:1/x", "step:0/2", "concurrency",
    "concurrency:0", "concurrency:2.5", "trace", "trace:", "conversations:", "poisson:2", "",
    "trace:f@3m..2m",
)  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_load_is_refused_in_a_sentence(text):
    with pytest.raises(BadInput) as refused:
        load_of(text)
    assert "\n" not in str(refused.value)
    assert "expected" in str(refused.value) or "known:" in str(refused.value)


def test_words_of_a_trace_are_read_from_the_end():
    trace = load_of("trace:/a@b/c.csv@2.5x@10m..1h")
    assert (trace.file, trace.speed, trace.from_s, trace.until_s) == ("/a@b/c.csv", 2.5, 600, 3600)
    assert load_of("trace:x.csv@..5s").until_s == 5
    assert load_of("trace:x.csv@5s..").from_s == 5
    talk = load_of("conversations:/a@b/c.jsonl@1.5s")
    assert (talk.file, talk.think_s) == ("/a@b/c.jsonl", 1.5)


def test_equal_issue_keeps_whole_rounds_under_any_load():
    s = run_settings(scenario="server", load="gamma:0.5", min_queries=150, equal_issue=True)
    schedule = Server().schedule(replace(s, performance_samples=40, num_samples=40))
    assert len(schedule) % 40 == 0
    counts = np.bincount(schedule.indices)
    assert set(counts.tolist()) == {len(schedule) // 40}
