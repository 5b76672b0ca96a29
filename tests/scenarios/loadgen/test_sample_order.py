"""Does the schedule equal LoadGen's, bit for bit? Against recorded runs, against the live wheel,
and against statistics.
"""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.kernel.types import Seeds
from harness.options.profiles import SEEDS
from reports.mlperf.files import DETAIL
from scenarios.loadgen.sample_order import Shape, loaded_sets, make_schedule
from scenarios.multi_stream import MultiStream
from scenarios.offline import Offline
from scenarios.server import Server
from scenarios.single_stream import SingleStream
from tests import ROOT
from tests.loadgen_logs import SHAPE, official_loadgen, settings_of
from tests.scenario_helpers import MS, run_settings

HERE = ROOT / "tests"
CASES = json.loads((HERE / "data" / "loadgen_schedules.json").read_text())["cases"]
SCENARIOS = {
    "SingleStream": SingleStream,
    "MultiStream": MultiStream,
    "Server": Server,
    "Offline": Offline,
}
ALL_SCENARIOS = pytest.mark.parametrize("scenario", [SingleStream, MultiStream, Server, Offline])
round_seeds = st.sampled_from(sorted(SEEDS))
drawn_seeds = st.builds(Seeds, *[st.integers(0, 2**64 - 1)] * 3)


SUT = SHAPE | {"first_ns": [0], "rest_ns": [0]}  # it answers at once


def schedule_of(case):
    return SCENARIOS[case["scenario"]]().schedule(settings_of(case))


def generated(schedule):
    return [[s.query_count, s.samples_per_query, s.duration_ns] for s in schedule.sets]


@pytest.fixture(scope="module")
def loadgen():
    with official_loadgen() as official:
        yield official


# ---- recorded runs of LoadGen


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_loads_the_samples_that_loadgen_loaded(case):
    assert schedule_of(case).loaded[:20] == case["first_loaded"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_issues_the_samples_that_loadgen_issued(case):
    assert schedule_of(case).indices[:60].tolist() == case["first_sample_indices"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_generates_as_many_queries_for_as_long_as_loadgen(case):
    assert generated(schedule_of(case)) == case["generated"]


@pytest.mark.parametrize(
    "case", [c for c in CASES if "scheduled_ns" in c], ids=lambda case: case["name"]
)
def test_schedules_each_arrival_at_loadgens_nanosecond(case):
    assert schedule_of(case).offsets_ns[:50].tolist() == case["scheduled_ns"]


def test_the_arrivals_of_mlperfs_llama_server_run_are_the_published_ones():
    s = run_settings(
        num_samples=13_368,
        performance_samples=13_368,
        target_qps=400.0,
        min_queries=8,
        equal_issue=True,
    )
    schedule = Server().schedule(s)
    assert schedule.indices[:8].tolist() == [766, 9593, 12722, 9083, 4052, 4006, 5885, 2255]
    published = [0, 4609135, 5753944, 8968599, 10751085, 11717101, 17337955, 20066904]
    assert schedule.offsets_ns[:8].tolist() == published


# ---- the live LoadGen (test_loadgen_live compares the schedules of drawn settings)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_live_loadgen_still_does_what_was_recorded(loadgen, case):
    logs = loadgen(SUT | case)
    issued = [index for _, _, index, *_ in logs["samples"]]
    loaded = re.search(r'"loaded_qsl_set", "value": (.*?), "time_ms"', logs[DETAIL])
    assert issued[:60] == case["first_sample_indices"]
    assert json.loads(loaded[1])[:20] == case["first_loaded"]


# ---- seeds


@ALL_SCENARIOS
@given(seeds=drawn_seeds, equal=st.booleans())
def test_the_same_seeds_give_the_same_plan_on_every_call(scenario, seeds, equal):
    s = run_settings(
        seeds=seeds, equal_issue=equal, samples_per_query=3 if scenario is MultiStream else 1
    )
    one, other = (list(scenario().plan(s, scenario().schedule(s))) for _ in range(2))
    assert one == other


@given(drawn_seeds, st.integers(0, 2**32 - 1))
def test_another_schedule_seed_gives_the_same_samples_at_other_times(seeds, other):
    one = Server().schedule(run_settings(seeds=replace(seeds, schedule=other)))
    two = Server().schedule(run_settings(seeds=replace(seeds, schedule=(other + 1) % 2**32)))
    assert one.loaded == two.loaded
    assert one.indices.tolist() == two.indices.tolist()
    assert one.offsets_ns[1:].tolist() != two.offsets_ns[1:].tolist()


@given(drawn_seeds, st.integers(0, 2**32 - 1))
def test_another_sample_seed_gives_other_samples_at_the_same_times(seeds, other):
    one = Server().schedule(run_settings(seeds=replace(seeds, sample_index=other)))
    two = Server().schedule(run_settings(seeds=replace(seeds, sample_index=(other + 1) % 2**32)))
    assert one.loaded == two.loaded
    assert one.offsets_ns.tolist() == two.offsets_ns.tolist()
    assert one.indices.tolist() != two.indices.tolist()


def test_another_qsl_seed_loads_another_selection():
    one, two = (run_settings(seeds=Seeds(qsl, 2, 3), performance_samples=10) for qsl in (1, 2))
    assert Server().schedule(one).loaded != Server().schedule(two).loaded


# ---- what a plan always holds


@ALL_SCENARIOS
@given(seeds=drawn_seeds, size=st.integers(1, 200))
def test_accuracy_mode_issues_every_sample(scenario, seeds, size):
    s = run_settings(mode="accuracy", seeds=seeds, num_samples=size, performance_samples=size)
    assert sorted(scenario().schedule(s).indices.tolist()) == list(range(size))


@given(drawn_seeds, st.integers(1, 50), st.integers(1, 400))
def test_equal_issue_uses_each_sample_equally_often(seeds, size, min_queries):
    s = run_settings(
        seeds=seeds,
        num_samples=size,
        performance_samples=size,
        min_queries=min_queries,
        equal_issue=True,
    )
    times = np.bincount(Server().schedule(s).indices, minlength=size)
    assert set(times.tolist()) == {-(-min_queries // size)}


@given(drawn_seeds, st.integers(1, 300), st.integers(1, 300))
def test_a_performance_run_loads_a_permutation_of_the_first_samples(seeds, total, loads):
    s = run_settings(seeds=seeds, num_samples=total, performance_samples=loads)
    ((loaded, distinct),) = loaded_sets(s, Shape(1, 64, 0))
    assert sorted(loaded) == list(range(min(total, loads)))
    assert distinct == len(loaded)


def test_multi_stream_pads_the_set_with_its_own_beginning():
    ((loaded, distinct),) = loaded_sets(
        run_settings(num_samples=5, performance_samples=5), Shape(8, 1, 0, contiguous=True)
    )
    assert distinct == 5
    assert loaded[5:] == (loaded[:5] * 2)[:7]


@given(drawn_seeds, st.integers(0, 10**9), st.integers(1, 200), st.floats(1.0, 1000.0))
def test_a_server_schedule_stops_as_soon_as_count_and_duration_are_reached(
    seeds, duration_ns, min_queries, qps
):
    shape = Shape(1, min_queries, duration_ns, poisson=True)
    schedule = make_schedule(run_settings(seeds=seeds, target_qps=qps), shape)
    before_last = schedule.offsets_ns[-2] if len(schedule) > 1 else -1
    assert schedule.offsets_ns[-1] >= duration_ns or duration_ns == 0
    assert len(schedule) >= min_queries
    assert len(schedule) == min_queries or before_last < duration_ns


@given(drawn_seeds, st.integers(2, 500))
def test_arrivals_start_at_zero_and_never_go_back(seeds, min_queries):
    offsets = Server().schedule(run_settings(seeds=seeds, min_queries=min_queries)).offsets_ns
    assert offsets[0] == 0
    assert (np.diff(offsets) >= 0).all()


def test_a_closed_loop_plans_at_the_expected_pace():
    s = run_settings(target_qps=8.0, min_duration_ns=1000 * MS)
    schedule = SingleStream().schedule(replace(s, min_queries=1))
    assert schedule.offsets_ns.tolist() == [125 * MS * i for i in range(17)]
    assert schedule.duration_ns == 17 * 125 * MS


def test_rows_are_the_columns_as_python_integers_across_blocks():
    schedule = Server().schedule(run_settings(min_queries=10_000))
    offsets, indices = zip(*schedule.rows(), strict=True)
    assert list(offsets) == schedule.offsets_ns.tolist()
    assert [index for row in indices for index in row] == schedule.indices.tolist()
    assert type(offsets[9_999]) is int


# ---- Poisson


@pytest.mark.parametrize("version", sorted(SEEDS))
@pytest.mark.parametrize("qps", [0.5, 25.0, 4000.0])
def test_inter_arrival_times_are_exponential(version, qps):
    s = run_settings(seeds=SEEDS[version], target_qps=qps, min_queries=20_001)
    gaps_s = np.diff(Server().schedule(s).offsets_ns) / 1e9
    assert stats.kstest(gaps_s, "expon", args=(0, 1 / qps)).pvalue > 0.01
    assert abs(gaps_s.mean() - 1 / qps) < 3 * (1 / qps) / np.sqrt(len(gaps_s))


@given(drawn_seeds)
def test_the_mean_rate_is_the_target_whatever_the_seed(seeds):
    gaps_s = (
        np.diff(
            Server()
            .schedule(run_settings(seeds=seeds, target_qps=50.0, min_queries=2_001))
            .offsets_ns
        )
        / 1e9
    )
    assert abs(gaps_s.mean() - 0.02) < 6 * 0.02 / np.sqrt(2000)


def test_arrivals_in_one_second_do_not_depend_on_those_in_the_second_before():
    s = run_settings(target_qps=20.0, min_queries=40_000)
    per_second = np.bincount(Server().schedule(s).offsets_ns // 1_000_000_000)[:-1]
    assert abs(np.corrcoef(per_second[:-1], per_second[1:])[0, 1]) < 3 / np.sqrt(len(per_second))
    assert per_second.var() / per_second.mean() == pytest.approx(1.0, abs=0.1)


# ---- draws


@given(seeds=drawn_seeds)
def test_samples_are_drawn_evenly_from_the_loaded_set(seeds):
    s = run_settings(seeds=seeds, num_samples=10, performance_samples=10, min_queries=5_000)
    times = np.bincount(SingleStream().schedule(s).indices, minlength=10)
    assert stats.chisquare(times).pvalue > 1e-9
