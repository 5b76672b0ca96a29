"""Do the profiles promise what MLPerf asks for, and can the quick one ever pass?"""

import pytest

import scenarios
from harness.kernel.types import Seeds
from harness.options.profiles import SEEDS, TABLE
from scenarios.early_stopping import queries_needed

quick, mlperf = TABLE["quick"], TABLE["mlperf"]


@pytest.mark.parametrize("profile", TABLE.values(), ids=list(TABLE))
def test_a_profile_knows_every_scenario(profile):
    for scenario in scenarios.TABLE:
        assert 0 < profile.tail(scenario) < 1
        assert profile.least_queries(scenario) >= 64


def test_only_the_long_profile_is_official():
    assert (mlperf.official, mlperf.min_duration_s, mlperf.equal_issue) == (True, 600.0, True)
    assert (quick.official, "not an MLPerf result" in quick.summary) == (False, True)


def test_mlperf_judges_p90_in_single_stream_and_p99_elsewhere():
    assert {scenario: mlperf.tail(scenario) for scenario in scenarios.TABLE} == {
        "single-stream": 0.9,
        "multi-stream": 0.99,
        "server": 0.99,
        "offline": 0.99,
    }


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "server"])
def test_a_quick_run_has_just_enough_queries_to_be_certain_with_one_over(scenario):
    assert quick.least_queries(scenario) == queries_needed(1, quick.tail(scenario))


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream"])
def test_the_official_stream_runs_have_enough_queries_for_an_estimate(scenario):
    assert mlperf.least_queries(scenario) >= queries_needed(1, mlperf.tail(scenario))


@pytest.mark.parametrize(
    ("version", "published"),
    [
        ("v4.1", (3066443479025735752, 10688027786191513374, 14962580496156340209)),
        ("v5.0", (6023615788873153749, 15036839855038426416, 9933818062894767841)),
        ("v5.1", (1780908523862526354, 14771362308971278857, 18209322760996052031)),
        ("v6.0", (2465351861681999779, 14276810075590677512, 3936089224930324775)),
        ("v6.1", (2085463073848966840, 2747215439041700203, 16159082839903944936)),
    ],
)
def test_the_seeds_of_a_round_are_those_of_its_mlperf_conf(version, published):
    assert SEEDS[version] == Seeds(*published)


def test_no_seed_is_used_twice():
    numbers = [n for s in SEEDS.values() for n in (s.qsl, s.sample_index, s.schedule)]
    assert len(set(numbers)) == 3 * len(SEEDS)
    assert max(numbers) < 2**64


# mlperf.conf of LoadGen 6.0.17: samples, server TTFT and TPOT in ms, interactive TTFT and TPOT in
# ms
MLPERF_CONF = {
    "llama2-70b": (24576, 2000, 200, 450, 40),
    "llama3.1-8b": (13368, 2000, 100, 500, 30),
    "llama3.1-405b": (8313, 6000, 175, 4500, 80),
    "deepseek-r1": (4388, 2000, 80, 1500, 15),
    "gpt-oss-120b": (6396, 3000, 80, 2000, 15),
}


@pytest.mark.parametrize(("key", "row"), MLPERF_CONF.items())
def test_the_models_of_mlperf_have_their_sizes_and_limits(key, row):
    server, interactive = TABLE[key], TABLE[f"{key}-interactive"]
    for profile in (server, interactive):
        assert (
            profile.performance_samples,
            profile.least_queries("offline"),
            profile.official,
        ) == (
            row[0],
            row[0],
            True,
        )
    limits = [
        limit * 1000 for p in (server, interactive) for limit in (p.ttft_limit_s, p.tpot_limit_s)
    ]
    assert limits == pytest.approx(row[1:])
