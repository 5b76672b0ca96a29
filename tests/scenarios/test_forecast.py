"""What `harness plan` says of a run's length: the condition that decides it, and the shortest valid
run.
"""

import pytest

from scenarios.forecast import forecast
from scenarios.multi_stream import MultiStream
from scenarios.offline import Offline
from scenarios.server import Server
from scenarios.single_stream import SingleStream
from tests.scenario_helpers import S, run_settings


def said(scenario, **changes):
    settings = run_settings(scenario=scenario.name, **changes)
    return forecast(settings, scenario().schedule(settings))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"min_queries": 64, "min_duration_ns": 0}, "min_queries: 64 queries"),
        ({"min_queries": 64, "min_duration_ns": 60 * S}, "min_duration: "),
        ({"min_queries": 64, "min_duration_ns": 0, "equal_issue": True, "num_samples": 200,
                "performance_samples": 200},
         "equal issue (whole rounds of 200 samples): 200 queries"),
    ],
)  # fmt: skip
def test_the_server_run_names_what_makes_it_long(changes, reason):
    assert said(Server, target_qps=10.0, **changes)["length"].startswith(reason)


@pytest.mark.parametrize("scenario", [SingleStream, MultiStream])
def test_a_closed_loop_is_as_long_as_its_count_or_its_duration(scenario):
    n = 8 if scenario is MultiStream else 1
    assert said(scenario, target_qps=2.0, min_queries=64, samples_per_query=n)["length"].startswith(
        "min_queries: 64 queries, 32 s"
    )
    long = said(
        scenario, target_qps=2.0, min_queries=64, min_duration_ns=600 * S, samples_per_query=n
    )
    assert long["length"] == "min_duration: 600 s, about 1,200 queries at the expected rate"


def test_equal_issue_in_single_stream_says_how_many_it_asks_for():
    found = said(
        SingleStream,
        target_qps=1.0,
        min_queries=64,
        equal_issue=True,
        num_samples=100,
        performance_samples=100,
    )
    assert found["length"].startswith("equal issue asks for 100 queries")


def test_offline_is_sized_by_its_duration_at_the_expected_rate():
    assert (
        said(Offline, target_qps=5.0, min_queries=64, min_duration_ns=60 * S)["length"]
        == "min_duration at the expected rate: 330 samples, 66 s at the expected 5/s"
    )


@pytest.mark.parametrize(
    ("scenario", "p", "words"),
    [
        (Server, 0.99, "459 queries if none is over its limit, 662 with one over"),
        (SingleStream, 0.90, "64 queries bound p90"),
        (Offline, 0.9, "one sample"),
    ],
)
def test_the_shortest_valid_run_is_early_stoppings_floor(scenario, p, words):
    assert said(scenario, percentile=p)["shortest"].startswith(words)


def test_accuracy_mode_is_as_long_as_the_library():
    assert said(Server, mode="accuracy", num_samples=30, performance_samples=30)["length"].endswith(
        "each of 30 samples once"
    )
