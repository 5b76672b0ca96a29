"""Does another limit, asked of a finished run, say what a run with that limit says?"""

from __future__ import annotations

import hashlib

import pytest

from harness.kernel.errors import BadInput
from harness.options.settings import load_config
from harness.result.capacity.whatif import asked, exit_code, what_if
from harness.running.session import Run
from reports.parts import whatif as shown

BASE = {"scenario": "server", "sut": "simulated", "clock": "virtual", "target_qps": 75.0}


def run(folder, **flags):
    flags = BASE | {"output_dir": folder, "min_queries": 300} | flags
    with Run(load_config(flags), lambda text: None, progress=False) as made:
        return made.folder, made.execute()


def contents(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


LIMITS = [
    {"ttft_limit": "100ms"},
    {"ttft_limit": "1s", "percentile": 99.0},
    {"tpot_limit": "4ms"},
    {"target_latency": "250ms"},
    {"target_latency": "10s", "percentile": 50.0},
]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_it_says_what_a_run_with_these_limits_says(tmp_path, limits):
    folder, _ = run(tmp_path)
    _, again = run(tmp_path, **limits)
    before = contents(folder)
    (found,) = what_if([folder], asked(limits))["runs"]
    assert (found["status"], found["status_reason"]) == (again.status, again.status_reason)
    assert found["goodput"] == again.goodput
    assert contents(folder) == before


def test_each_limit_tells_up_to_which_percentile_it_is_kept(tmp_path):
    folder, result = run(tmp_path)
    found = what_if([folder], asked({"slo": f"ttft:{result.latency['ttft_ms']['p90']!r}ms"}))
    row = next(
        row
        for row in found["runs"][0]["kept"]
        if row["metric"] == "ttft" and row["limit_ms"] != 2000.0
    )
    assert row["measured_ms"]["p90"]["value"] == result.latency["ttft_ms"]["p90"]
    assert 0.90 <= row["share"]["value"] <= 0.92
    assert row["share"]["low"] < 0.9 < row["share"]["high"]
    assert [table.title for table in shown.tables(found)] == ["What if", "Limits"]


def test_a_run_of_another_scenario_keeps_its_verdict(tmp_path):
    folder, result = run(tmp_path, scenario="offline")
    found = what_if([folder], asked({"ttft_limit": "1ms", "slo": "ttft:1ms"}))
    assert found["runs"][0]["status"] == result.status
    assert not found["runs"][0]["judged"]
    assert "Only the server scenario" in shown.verdicts(found).note


def test_a_search_is_asked_step_by_step(tmp_path):
    folder, result = run(tmp_path, mode="find-peak", target_qps=20, sut_options={"tokens": 2})
    found = what_if([folder], asked({"ttft_limit": "51ms"}))
    assert len(found["runs"]) == len(result.search)
    held = [one["target_qps"] for one in found["runs"] if one["status"] == "VALID"]
    assert max(held) < result.result["value"]
    assert exit_code(found) == 0
    assert f"{max(held):.4g} queries/s" in shown.sentences(found)[0]


def test_what_cannot_be_asked_is_a_sentence(tmp_path):
    with pytest.raises(BadInput, match="no other limits were given"):
        asked({"ttft_limit": None})
    with pytest.raises(BadInput, match="one or the other"):
        asked({"ttft_limit": "1s", "target_latency": "2s"})
    with pytest.raises(BadInput, match="expected the folder of a finished run"):
        what_if([tmp_path], {"ttft_limit": 1.0})
    folder, _ = run(tmp_path, mode="accuracy")
    with pytest.raises(BadInput, match="accuracy run"):
        what_if([folder], {"ttft_limit": 1.0})
