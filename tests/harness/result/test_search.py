"""find-peak through the public door: a figure that was delivered, or an INVALID that says why."""

import json

import pytest

from harness.kernel.errors import BadInput
from harness.kernel.types import MemoryUse
from harness.options.settings import load_config, run_settings
from harness.result import search
from harness.result.publish import publish
from harness.running.session import Run
from scenarios.peak import verdict as peak_verdict
from sut.simulated import Simulated

CAPACITY = 16 / (0.050 + 0.155)  # the simulated SUT's slots over the time of an answer
TWO_TOKENS = {"tokens": 2, "per_token_ms": 155}  # the time of the default's 32, in fewer events


def find(folder, **flags):
    base = {"scenario": "server", "mode": "find-peak", "sut": "simulated", "clock": "virtual"}
    flags = (
        base
        | {"output_dir": folder, "target_qps": 5, "search": "loadgen"}
        | {"sut_options": TWO_TOKENS}
        | flags
    )
    with Run(load_config(flags), lambda text: None, progress=False) as made:
        found = made.execute()
    return made.folder, found


def rule(found, name):
    return next(v for v in found.verdicts if v["rule"] == name)


def test_the_search_of_the_readme_finds_the_capacity_of_the_system(tmp_path):
    """It printed 671,088,640 queries/s, VALID, beside 78 samples/s."""
    folder, found = find(tmp_path)
    assert found.status == "VALID"
    assert found.result["name"] == "peak rate"
    assert found.result["value"] == pytest.approx(CAPACITY, rel=0.01)
    assert found.result["value"] <= 1.01 * found.throughput["samples_per_s"]
    kept = json.loads((folder / search.FILE).read_text())
    assert (kept["ended"], kept["steps"]) == ("closed", found.search)


def test_steps_too_short_to_show_a_queue_make_no_peak(tmp_path):
    _, found = find(tmp_path, min_duration=0)
    assert (found.status, found.official) == ("INVALID", False)
    assert rule(found, "peak_step_length")["status"] == "FAIL"
    assert "--min-duration 60s" in rule(found, "peak_step_length")["remedy"]
    assert "no peak" in found.result["name"]
    assert found.result["value"] < CAPACITY
    assert max(step["target_qps"] for step in found.search) < 1000


class Endless(Simulated):
    """Answers at once, however much is asked."""

    def __init__(self, clock, tokens=2, per_token_ms=0.0):
        super().__init__(clock, ttft_ms=0, per_token_ms=0, tokens=2, slots=10**9)

    def memory(self):
        return MemoryUse()


def test_a_system_that_never_fails_has_no_peak_and_the_search_ends(tmp_path, monkeypatch):
    import sut

    entry = sut.TABLE["simulated"]
    monkeypatch.setitem(
        sut.TABLE, "simulated", entry._replace(factory="tests.harness.result.test_search:Endless")
    )
    monkeypatch.setattr(peak_verdict, "MAX_STEP_QUERIES", 3000)
    _, found = find(tmp_path, min_duration="20s")
    assert (found.status, found.search[-1]["target_qps"]) == ("INVALID", 80.0)
    assert "every rate that was tried held, up to 80/s" in found.status_reason
    assert "no peak" in found.result["name"]
    assert found.result["value"] == pytest.approx(80.0, rel=0.1)


def test_a_report_of_a_search_says_the_same(tmp_path):
    folder, found = find(tmp_path, min_duration=0)
    assert publish(folder).to_json() == found.to_json()


@pytest.mark.parametrize("content", ["not json", "{}", '{"steps": 3', "[]"])
def test_a_damaged_list_of_steps_is_a_sentence(tmp_path, content):
    (tmp_path / search.FILE).write_text(content)
    with pytest.raises(BadInput, match="no readable find_peak"):
        search.read(tmp_path)


def test_a_search_of_an_older_version_is_judged_by_what_it_kept(tmp_path):
    folder, _ = find(tmp_path, min_duration=0)
    kept = json.loads((folder / search.FILE).read_text())
    names = ("target_qps", "status", "folder")
    rows = [{name: step[name] for name in names} | {"limits_kept": True} for step in kept["steps"]]
    (folder / search.FILE).write_text(json.dumps({"steps": rows}))
    again = publish(folder)
    assert again.status == "INVALID"
    assert "every rate that was tried held" in again.status_reason


@pytest.mark.parametrize(
    ("flags", "seconds", "origin"),
    [
        ({}, 60.0, "the search"),
        ({"ttft_limit": "500ms"}, 15.0, "the search"),
        ({"target_latency": "4s"}, 120.0, "the search"),
        ({"min_duration": "7s"}, 7.0, "--min-duration"),
        ({"profile": "mlperf"}, 600.0, "profile mlperf"),
    ],
)
def test_a_step_lasts_thirty_times_the_limit_unless_told_otherwise(flags, seconds, origin):
    from harness.options.effective import effective

    config = load_config({"scenario": "server", "mode": "find-peak", "sut": "simulated", **flags})
    settings = run_settings(config, 100, 5.0)
    assert settings.min_duration_ns == int(seconds * 1e9)
    assert {row.name: row.origin for row in effective(config, settings)}["min_duration"] == origin
    plain = load_config({"scenario": "server", "sut": "simulated"})
    assert run_settings(plain, 100, 5.0).min_duration_ns == 0
