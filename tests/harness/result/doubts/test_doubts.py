"""What makes a result shaky is said, with figures and a remedy; a clean run is not doubted."""

from dataclasses import replace

import numpy as np
import pytest

from harness.kernel.types import Verdict
from harness.result.doubts.doubts import KINDS, doubts
from harness.result.doubts.drift import change
from harness.result.doubts.modes import groups, ratio_of_one_peak
from tests.bench.doubts import CLEAN, SHAKY
from tests.doubt_helpers import known_of, log_of, one_by_one, queue, raised
from tests.harness.result.test_result import make

SIMPLE = ("long tail", "offline", "queue, 30 % busy", "single stream")


def rng(seed=1):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", SIMPLE)
def test_clean_runs_are_not_doubted(name):
    """A small form of `python -m tests.bench doubts`, which makes 500 of each."""
    for seed in range(12):
        assert not doubts(CLEAN[name](rng(seed)))


@pytest.mark.parametrize("name", sorted(SHAKY))
def test_a_shaky_run_is_doubted_for_its_own_reason(name):
    kind, make_run = SHAKY[name]
    assert sum(kind in raised(doubts(make_run(rng(seed)))) for seed in range(5)) >= 4


def test_every_doubt_has_figures_and_says_what_to_do():
    for kind, make_run in SHAKY.values():
        found = next(one for one in doubts(make_run(rng(2))) if one.name == kind)
        assert found.words
        assert found.remedy
        assert found.figures
        assert found.to_json()["name"] in KINDS


def test_too_few_samples_for_the_percentile_say_how_many_are_needed():
    log = log_of(*one_by_one(rng(), 100))
    known = known_of(log)
    known = known._replace(settings=replace(known.settings, percentile=0.99))
    found = doubts(known)[0]
    assert found.severity == "serious"
    assert found.about == ("ttft_p99_ms", "tpot_p99_ms", "latency_p99_ms")
    assert "have no upper bound: 100 samples, 368 are needed" in found.words
    assert "--min-queries" in found.remedy


def test_a_limit_inside_the_interval_is_serious():
    log = log_of(*one_by_one(rng(), 2000, spread=0.02))
    known = known_of(log)
    p99 = float(np.quantile(log.ttft_ns, 0.99)) / 1e6
    rule = Verdict("ttft_p99", "PASS", measured=p99, limit=p99 * 1.001, unit="ms")
    settings = replace(known.settings, percentile=0.99)
    found = doubts(known._replace(settings=settings, verdicts=[rule]))
    assert [one.severity for one in found if "ttft_p99_ms" in one.about] == ["serious"]
    assert f"the limit of {p99 * 1.001:.4g} ms lies in between" in found[0].words


def test_the_driver_and_the_client_are_doubted_before_they_break_a_rule():
    log = log_of(*one_by_one(rng(), 2000))
    rules = [
        Verdict("driver_error", "PASS", measured=7.0, limit=10.0, unit="%", detail="TTFT: late"),
        Verdict("client_limit", "PASS", measured=70.0, limit=80.0, unit="%", detail="at work"),
    ]
    known = known_of(log, "single-stream", verdicts=rules)
    assert raised(doubts(known)) == ["driver_lag", "client_limit"]
    quiet = [replace(rule, measured=1.0) for rule in rules]
    assert not doubts(known._replace(verdicts=quiet))


def test_a_busy_machine_and_a_hot_gpu_are_doubted(monkeypatch):
    monkeypatch.setattr("harness.result.quiet.NOTED_SHARE", 0.1)  # the tests' own machine is busy
    monkeypatch.setattr("harness.result.quiet.LEAST_S", 1.0)
    log = log_of(*one_by_one(rng(), 2000))
    load = {"wall_s": 400.0, "cpus": 2, "foreign_cpus": 1.0, "steal_cpus": 0.0,
            "driver_wait_s": 1.0, "sut_wait_s": 150.0}  # fmt: skip
    known = known_of(log, "single-stream", load=load, gpus=[{"gpu": 0, "throttled_percent": 20.0}])
    found = doubts(known)
    assert sorted(raised(found)) == ["busy_machine", "throttled"]
    assert {one.severity for one in found} == {"serious"}


def test_a_growing_queue_is_drift():
    """Twice what the servers can take: each waits longer than the one before."""
    found = doubts(known_of(log_of(*queue(rng(), 2000, busy=2.0))))
    drift = next(one for one in found if one.name == "drift")
    assert drift.severity == "serious"
    assert "ttft_p99_ms" in drift.about


def test_a_load_that_rises_by_intention_is_no_drift():
    known = known_of(log_of(*queue(rng(), 2000, busy=2.0)))
    settings = replace(known.settings, load="ramp:1..20")
    assert "drift" not in raised(doubts(known._replace(settings=settings)))


def test_drift_is_of_halves_that_differ_by_more_than_they_vary():
    values = rng().lognormal(0, 0.1, 2000)
    assert change(values) is None
    assert change(values * np.repeat([1.0, 1.2], 1000)) == pytest.approx(1.2, rel=0.02)


def test_a_warm_up_is_doubted_where_it_moves_the_mean():
    """By the part `steady` of result.json."""
    due, ttft, tpot = one_by_one(rng(), 2000)
    log = log_of(due, ttft * np.where(np.arange(2000) < 200, 3.0, 1.0), tpot)
    mean_ms = float(log.ttft_ns[200:].mean()) / 1e6
    steady = {
        "figure": "ttft", "is_found": True, "is_warm_up_clear": True, "kept_percent": 90.0,
        "from_ns": int(log.due_ns[200]), "latency": {"ttft_ms": {"mean": mean_ms}},
    }  # fmt: skip
    known = known_of(log, "single-stream", steady=steady)
    assert "warm_up" in raised(doubts(known))
    small = {**steady, "latency": {"ttft_ms": {"mean": float(log.ttft_ns.mean()) / 1e6}}}
    assert "warm_up" not in raised(doubts(known._replace(steady=small)))


def test_a_server_that_says_what_it_had_cached_is_believed():
    cached = {"cached": 300, "prompt": 1000, "source": "as its counters say"}
    known = known_of(log_of(*one_by_one(rng(), 2000)), "single-stream", served={"cached": cached})
    found = doubts(known)[0]
    assert found.name == "warm_cache"
    assert "30 % of the prompt tokens" in found.words


def test_one_peak_has_no_second_and_two_have():
    values = rng().lognormal(0, 0.5, 3000)
    assert ratio_of_one_peak(values) < 36
    both = np.concatenate((values, values + 6))
    assert ratio_of_one_peak(both) > 36
    low, high = groups(both)
    assert len(low) == pytest.approx(len(high), rel=0.05)


def test_doubts_are_in_the_result_and_on_the_page_and_change_no_verdict(tmp_path):
    folder, result = make(tmp_path, target_qps=5, min_queries=20)
    kept = result.to_json()["doubts"]
    assert "few_samples" in [one["name"] for one in kept]
    text = (folder / "report.html").read_text()
    assert 'id="doubts"' in text
    assert "None of this changes the verdict" in text


def test_a_clean_result_has_no_part_of_doubts(tmp_path):
    _, result = make(tmp_path, target_qps=5)
    assert "doubts" not in result.to_json()
