"""Does the search try LoadGen's rates, to the last bits and in its order? Does it always end, and
where?

The wheel's rates are read from its log: with one query a run, `generated_query_duration` is the
first draw over the rate, in nanoseconds. Nobody waits for it (the next query would be due then), so
slow rates give it as many digits as a double has.
"""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import assume, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from harness.kernel.types import Seeds
from reports.mlperf.files import DETAIL, SUMMARY
from scenarios.loadgen.find_peak import MAX_QPS, MAX_TRIES, next_qps, peak_qps
from scenarios.server import Server
from tests.loadgen_logs import SEEDS, official_loadgen
from tests.scenario_helpers import run_settings

TOKENS_IF_MET, TOKENS_IF_MISSED = (
    10_001,
    2,
)  # the same 200 us after the first token are 20 ns or 200 us per token
LONGEST = 200  # runs of a search against the wheel
rates = st.floats(-9, 6).map(lambda exponent: 10.0**exponent)


@pytest.fixture(scope="module")
def official():
    with official_loadgen() as run:
        yield run


def search(base, holds, **rule):
    """All tries; `holds(rate)` says whether the constraints were met."""
    tried, qps = [], base
    while qps is not None:
        tried.append((qps, holds(qps)))
        qps = next_qps(tried, **rule)
    return tried


def answers(outcomes):
    """The k-th run meets its constraints if the k-th of `outcomes` says so; later ones do not."""
    rest = iter(outcomes)
    return lambda qps: next(rest, False)


# ---- against the wheel


def wheel(official, base, outcomes, decimals=1, step=1.0, queries=1):
    met = [*outcomes, *[False] * (LONGEST - len(outcomes))]
    logs = official({
        "scenario": "Server", "mode": "FindPeakPerformance", "qsl_total": 20, "qsl_perf": 10,
        "said": [TOKENS_IF_MET if m else TOKENS_IF_MISSED for m in met for _ in range(queries)],
        "tokens": [2], "first_ns": [0], "rest_ns": [200_000], "stall_ns": [0],
        "settings": SEEDS | {
            "server_target_qps": base, "min_query_count": queries, "min_duration_ms": 0,
            "server_find_peak_qps_decimals_of_precision": decimals,
            "server_find_peak_qps_boundary_step_size": step, "use_token_latencies": True,
            "ttft_latency": 10**15, "tpot_latency": 100_000,
        },
    })  # fmt: skip
    return logs


def logged(logs, key):
    """The values of `key`, in order (as text: with a single query LoadGen writes numbers that are
    no JSON).
    """
    return re.findall(rf'"key": "{key}", "value": (.*?), "time_ms"', logs[DETAIL])


def schedule(qps, queries=1):
    seeds = Seeds(SEEDS["qsl_rng_seed"], SEEDS["sample_index_rng_seed"], SEEDS["schedule_rng_seed"])
    s = run_settings(
        seeds=seeds, num_samples=20, performance_samples=10, target_qps=qps, min_queries=queries
    )
    return Server().schedule(s)


@st.composite
def searches(draw):
    """A base rate, outcomes, decimals and step for which the wheel ends: it halves for ever where
    doubles end, and crashes if no halving is left to do.
    """
    base, step = draw(rates), draw(st.sampled_from([1.0, 0.5, 0.1]) | st.floats(0.01, 4.0))
    outcomes = [True, *draw(st.lists(st.booleans(), max_size=30))]
    first_miss = outcomes.index(False) if False in outcomes else len(outcomes)
    outcomes = [True] * min(first_miss, 6) + outcomes[first_miss:]
    widest = base * (1 + step) ** 7
    decimals = max(0, draw(st.integers(0, 14)) - math.ceil(math.log10(widest)))
    tried = search(base, answers(outcomes), decimals=decimals, step=step)
    missed = [met for _, met in tried].index(False)
    assume(missed < len(tried) - 1)
    return base, outcomes, {"decimals": decimals, "step": step}


@hypothesis_settings(max_examples=25, deadline=None)
@given(searches())
@example(
    (4.509e-08, [True], {"decimals": 12, "step": 3.7})
)  # low + (high - low) / 2 is not (low + high) / 2 here
def test_the_rates_are_the_wheels(official, asked):
    base, outcomes, rule = asked
    tried = search(base, answers(outcomes), **rule)
    logs = wheel(official, base, outcomes, **rule)
    assert logged(logs, "generated_query_duration") == [
        str(schedule(qps).duration_ns) for qps, _ in tried
    ]
    found = re.search(r"Found peak performance field: ([\d.]+)", logs[DETAIL])
    assert found is not None
    assert found[1] == f"{peak_qps(tried):f}"


@given(st.floats(1e-9, 1e-7))
def test_the_log_of_a_slow_rate_tells_doubles_apart(qps):
    assert schedule(qps).duration_ns != schedule(qps * (1 + 2**-50)).duration_ns


def test_each_run_repeats_samples_stretches_arrivals_and_loads_again_until_a_miss(official):
    outcomes = [True, True, True, False, True, False, True]
    tried = search(4000.0, answers(outcomes), decimals=0)
    logs = wheel(official, 4000.0, outcomes, decimals=0, queries=4)
    issued = [index for _, _, index, *_ in logs["samples"]]
    assert issued == schedule(4000.0, 4).indices.tolist() * len(tried)
    assert logged(logs, "generated_query_duration") == [
        str(schedule(qps, 4).duration_ns) for qps, _ in tried
    ]
    loaded = str(schedule(4000.0).loaded).replace(" ", "")
    assert logged(logs, "loaded_qsl_set") == [loaded] * (4 + 1)


def test_the_report_is_that_of_the_peak_judged_in_full(official):
    outcomes = [True, True, False, True]
    logs = wheel(official, 100.0, outcomes)
    assert f"\ntarget_qps : {peak_qps(search(100.0, answers(outcomes))):g}\n" in logs[SUMMARY]
    assert logged(logs, "effective_target_qps") == ["100"]
    assert logged(logs, "result_query_count") == ["1"]
    assert logged(logs, "result_perf_constraints_met") == ["true"]
    assert (logged(logs, "early_stopping_met"), logged(logs, "result_validity")) == (
        ["false"],
        ['"INVALID"'],
    )


def test_a_base_rate_that_fails_ends_both(official):
    logs = wheel(official, 100.0, [False])
    assert search(100.0, answers([False])) == [(100.0, False)]
    assert peak_qps([(100.0, False)]) is None
    assert logged(logs, "generated_query_duration") == [str(schedule(100.0).duration_ns)]
    assert "Initial lower bound does not satisfy" in logged(logs, "error_runtime")[0]
    assert "\ntarget_qps : 100\n" in logs[SUMMARY]


# ---- on its own


def test_doubled_until_it_fails_then_halved():
    tried = search(10.0, lambda qps: qps <= 33.0, decimals=0)
    assert tried == [
        (10.0, True), (20.0, True), (40.0, False), (30.0, True), (35.0, False), (32.5, True),
        (33.75, False),
    ]  # fmt: skip
    assert peak_qps(tried) == 32.5


@given(st.floats(0.01, 1e4), st.floats(1.0, 1e4), st.integers(0, 6), st.floats(0.05, 4.0))
def test_the_peak_holds_and_is_the_limit_but_for_the_last_decimal(base, times, decimals, step):
    limit = base * times
    tried = search(base, lambda qps: qps <= limit, decimals=decimals, step=step)
    peak = peak_qps(tried)
    assert base <= peak <= limit
    assert limit - peak < 2.0 / 10**decimals + 1e-9 * limit
    assert next_qps(tried, decimals=decimals, step=step) is None
    assert len({qps for qps, _ in tried}) == len(tried)


@given(rates, st.lists(st.booleans(), max_size=2000), st.integers(0, 255), st.floats(-1.0, 100.0))
def test_it_always_ends(base, outcomes, decimals, step):
    tried = search(base, answers([True, *outcomes]), decimals=decimals, step=step)
    assert len(tried) <= MAX_TRIES
    assert all(0 < qps <= MAX_QPS and math.isfinite(qps) for qps, _ in tried)


def test_a_system_that_never_fails_is_not_asked_for_more_than_a_schedule_can_say():
    tried = search(1.0, lambda qps: True)
    assert peak_qps(tried) == 2.0**29
    assert len(tried) == 30


def test_steps_too_small_to_get_anywhere_end_at_the_last_try():
    tried = search(1.0, lambda qps: True, step=1e-6)
    assert len(tried) == MAX_TRIES
    assert peak_qps(tried) == tried[-1][0]


@pytest.mark.parametrize("step", [0.0, 1e-17, -0.5])
def test_a_step_that_raises_nothing_ends_at_the_base(step):
    assert search(50.0, lambda qps: True, step=step) == [(50.0, True)]


def test_more_decimals_than_a_double_has_end_at_neighbouring_doubles():
    tried = search(100.0, lambda qps: qps <= 150.0, decimals=255)
    assert peak_qps(tried) == 150.0
    assert min(qps for qps, met in tried if not met) == math.nextafter(150.0, 151.0)
    assert len({qps for qps, _ in tried}) == len(tried)
