"""Settings that contradict each other are found before the run, and the remedy removes them."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from typer.testing import CliRunner

from harness import cli, registry
from harness.options.profiles import SEEDS
from scenarios.conflicts import conflicts
from tests.helpers import simulated, virtual_run
from tests.scenario_helpers import S, run_settings

FLAG = re.compile(r"--([a-z-]+) to ([0-9.]+)(s?)")
EQUAL = {"equal_issue": True, "num_samples": 100, "performance_samples": 100}


def found_in(warmup=0, search=False, **changes):
    settings = run_settings(**{"scenario": "server"} | changes)
    schedule = registry.scenario(settings.scenario).schedule(settings)
    return {c.kind: c for c in conflicts(settings, schedule, warmup, search)}


CASES = {  # settings, the kind of conflict, whether no run can be VALID
    "time-out below the first token's limit": (
        {"sample_timeout_ns": S},
        "timeout_below_limit",
        False,
    ),
    "time-out below a token's limit": (
        {"sample_timeout_ns": 5 * S, "tpot_limit_ns": 6 * S},
        "timeout_below_limit",
        False,
    ),
    "time-out below an answer that keeps its limits": (
        {"sample_timeout_ns": 5 * S},
        "timeout_below_answer",
        False,
    ),
    "time-out below the whole latency's limit": (
        {"sample_timeout_ns": 5 * S, "target_latency_ns": 20 * S, "use_tokens": False},
        "timeout_below_limit",
        False,
    ),
    "server: too few to be sure": ({"min_queries": 43}, "early_stopping_out_of_reach", True),
    "server: too few for p99": (
        {"min_queries": 100, "percentile": 0.99},
        "early_stopping_out_of_reach",
        True,
    ),
    "single-stream: too few to be sure": (
        {"scenario": "single-stream", "min_queries": 63},
        "early_stopping_out_of_reach",
        True,
    ),
    "single-stream: too few at the expected rate": (
        {"scenario": "single-stream", "min_queries": 5, "min_duration_ns": 5 * S},
        "early_stopping_out_of_reach",
        False,
    ),
    "a percentile of too few": ({"min_queries": 8}, "percentile_is_the_slowest", False),
    "maximum duration below the plan": (
        {"max_duration_ns": 2 * S},
        "fewer_queries_than_needed",
        True,
    ),
    "maximum number below the duration": (
        {"max_queries": 64, "min_duration_ns": 60 * S},
        "shorter_than_min_duration",
        True,
    ),
    "maximum number below equal issue's": (
        {"scenario": "single-stream", "max_queries": 64, **EQUAL},
        "fewer_queries_than_needed",
        True,
    ),
    "maximum duration below the expected time": (
        {"scenario": "single-stream", "max_duration_ns": 5 * S},
        "max_duration_below_plan",
        False,
    ),
    "maximum number below the expected time": (
        {"scenario": "multi-stream", "max_queries": 64, "min_duration_ns": 60 * S},
        "max_queries_below_plan",
        False,
    ),
    "each sample once is too few": (
        {"issue": "unique", "num_samples": 50, "performance_samples": 50},
        "fewer_queries_than_needed",
        True,
    ),
    "each sample once is too short": (
        {"issue": "unique", "min_duration_ns": 60 * S},
        "shorter_than_min_duration",
        True,
    ),
    "a rate that needs longer than the minimum": (
        {"target_qps": 1.0, "min_duration_ns": 30 * S},
        "longer_than_min_duration",
        False,
    ),
    "more samples asked for than there are": (
        {"mode": "accuracy", "accuracy_samples": 101},
        "accuracy_samples_beyond_library",
        False,
    ),
}


@pytest.mark.parametrize(("changes", "kind", "certain"), CASES.values(), ids=CASES.keys())
def test_a_contradiction_is_found_and_says_what_it_is_about(changes, kind, certain):
    conflict = found_in(**changes)[kind]
    assert conflict.certain == certain
    assert conflict.settings
    assert conflict.detail
    assert conflict.remedy


@pytest.mark.parametrize(("changes", "kind", "certain"), CASES.values(), ids=CASES.keys())
def test_the_value_that_the_remedy_names_removes_it(changes, kind, certain):
    named = FLAG.findall(found_in(**changes)[kind].remedy)
    if not named:
        return
    for flag, value, seconds in named:
        name = flag.replace("-", "_")
        changes = changes | (
            {f"{name}_ns": int(float(value) * S)} if seconds else {name: int(value)}
        )
    assert kind not in found_in(**changes)


def test_a_warm_up_that_is_larger_than_the_run_is_named():
    conflict = found_in(warmup=65)["warmup_larger_than_run"]
    assert conflict.settings == {"warmup": 65, "samples": 64}
    assert "warmup_larger_than_run" not in found_in(warmup=64)


def test_the_steps_of_a_search_need_time_and_no_certainty():
    found = found_in(search=True, min_queries=20, min_duration_ns=S)
    assert found.keys() == {"search_steps_too_short"}
    assert "--min-duration to 60s" in found["search_steps_too_short"].remedy
    assert found_in(search=True, min_queries=20, min_duration_ns=20 * S) == {}


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "server", "offline"])
@pytest.mark.parametrize("mode", ["performance", "accuracy"])
def test_the_defaults_are_at_peace(scenario, mode):
    n = 8 if scenario == "multi-stream" else 1
    assert found_in(scenario=scenario, mode=mode, samples_per_query=n) == {}


def test_a_rate_that_is_still_to_be_calibrated_proves_nothing():
    settings = run_settings(scenario="single-stream", max_duration_ns=5 * S)
    schedule = registry.scenario("single-stream").schedule(settings)
    assert conflicts(settings, schedule, rate_known=False) == []


@examples(max_examples=60, deadline=None)
@given(
    scenario=st.sampled_from(["single-stream", "multi-stream", "server"]),
    min_queries=st.integers(1, 90),
    min_duration_s=st.sampled_from([0, 0, 2, 10]),
    qps=st.sampled_from([2.0, 10.0, 40.0]),
    more_queries=st.none() | st.integers(0, 30),
    more_s=st.none() | st.integers(0, 20),
    issue=st.sampled_from(["random", "unique"]),
    equal=st.booleans(),
    p=st.sampled_from([0.9, 0.97]),
)
def test_what_is_certain_is_true_of_the_run_that_is_made_all_the_same(
    scenario, min_queries, min_duration_s, qps, more_queries, more_s, issue, equal, p
):
    changes = {
        "scenario": scenario,
        "min_queries": min_queries,
        "min_duration_ns": min_duration_s * S,
        "target_qps": qps,
        "max_queries": None if more_queries is None else min_queries + more_queries,
        "max_duration_ns": None if more_s is None else (min_duration_s + more_s) * S + 1,
        "issue": issue,
        "equal_issue": equal and issue == "random",
        "num_samples": 40,
        "performance_samples": 40,
        "samples_per_query": 4 if scenario == "multi-stream" else 1,
        "percentile": p,
        "sample_timeout_ns": 600 * S,
        "seeds": SEEDS["v6.1"],
    }
    settings = run_settings(**changes)
    driven = registry.scenario(scenario)
    schedule = driven.schedule(settings)
    found = conflicts(settings, schedule)
    fast = simulated(ttft_ms=10, per_token_ms=1, tokens=2, slots=99)
    limits = changes | {"min_queries": max(min_queries, schedule.min_issued)}
    log = virtual_run(driven, fast, **limits)
    failed = {v.rule for v in driven.judge(log, settings) if v.status == "FAIL"}
    if any(conflict.certain for conflict in found):
        assert failed, found
    if scenario == "server":  # its plan does not depend on the system: nothing comes as a surprise
        certain = {conflict.kind for conflict in found if conflict.certain}
        assert ("min_queries" in failed) == ("fewer_queries_than_needed" in certain)
        assert ("min_duration" in failed) == ("shorter_than_min_duration" in certain)
        assert ("ttft_early_stopping" in failed) == ("early_stopping_out_of_reach" in certain)


# ---- through the public door


def harness(*words):
    done = CliRunner().invoke(cli.app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


BAD = ["--scenario", "server", "--sut", "simulated", "--min-queries", 30, "--target-qps", 10]


def test_plan_shows_conflicts_in_words_and_as_typed_entries():
    code, out, _ = harness("plan", *BAD, "--sample-timeout", "1s")
    assert (code, "conflict: cannot be VALID: p90 needs 44 queries" in out) == (0, True)
    assert "raise --min-queries to 44" in out
    _, out, _ = harness("plan", *BAD, "--sample-timeout", "1s", "--json")
    rows = json.loads(out.splitlines()[-1])["conflicts"]
    assert [(row["kind"], row["certain"]) for row in rows] == [
        ("early_stopping_out_of_reach", True),
        ("timeout_below_limit", False),
    ]
    assert rows[0]["settings"] == {"percentile": 90.0, "min_queries": 30, "queries": 30}


def test_a_run_says_them_at_its_start_and_keeps_them(tmp_path):
    words = [*BAD, "--clock", "virtual", "--output-dir", tmp_path, "--json"]
    code, out, err = harness("run", *words)
    assert code == 1
    assert err.splitlines()[0].startswith("note: this run cannot be VALID: p90 needs 44 queries")
    kept = json.loads(out.splitlines()[-1])["settings"]["conflicts"]
    assert [row["kind"] for row in kept] == ["early_stopping_out_of_reach"]


def test_a_run_at_peace_says_nothing(tmp_path):
    words = ["--scenario", "server", "--sut", "simulated", "--clock", "virtual"]
    _, out, err = harness("run", *words, "--output-dir", tmp_path, "--json")
    assert "cannot be VALID" not in err
    assert json.loads(out.splitlines()[-1])["settings"]["conflicts"] == []


def test_a_limit_of_tpot_where_no_answer_can_have_a_second_token_is_told():
    conflict = found_in(max_new_tokens=1)["tpot_of_one_token"]
    assert not conflict.certain
    assert "--target-latency" in conflict.remedy
    assert "tpot_of_one_token" not in found_in(max_new_tokens=2)
    assert "tpot_of_one_token" not in found_in(max_new_tokens=1, use_tokens=False)
    assert "tpot_of_one_token" not in found_in(max_new_tokens=1, scenario="single-stream")
