"""find-peak by the sequential search, through the public door, in virtual time."""

from __future__ import annotations

import json

import pytest

from harness.options.settings import load_config
from harness.result import search
from harness.result.publish import publish
from harness.running.session import Run
from harness.study import parts

CAPACITY = 16 / (0.050 + 0.155)  # the simulated SUT's slots over the time of an answer
TWO_TOKENS = {"tokens": 2, "per_token_ms": 155}
BASE = {"scenario": "server", "mode": "find-peak", "sut": "simulated", "clock": "virtual"}


def config(folder, **flags):
    flags = {"output_dir": folder, "target_qps": 5, "sut_options": TWO_TOKENS} | flags
    return load_config(BASE | flags)


def find(folder, **flags):
    with Run(config(folder, **flags), lambda text: None, progress=False) as made:
        found = made.execute()
    return made.folder, found


def told(folder):
    return json.loads((folder / search.FILE).read_text())


def test_the_capacity_is_found_with_less_than_half_of_bisections_queries(tmp_path):
    folder, found = find(tmp_path)
    assert found.status == "VALID"
    assert found.result["value"] == pytest.approx(CAPACITY, rel=0.03)
    peak = found.capacity["peak"]
    assert peak["peak_qps"]["low"] <= CAPACITY * 1.01
    assert peak["queries"] == sum(step["queries"] for step in found.search)
    assert peak["queries"] <= peak["bisection_queries"] / 2
    assert told(folder)["found"] == peak
    assert publish(folder).to_json() == found.to_json()

    hopeless = [step for step in found.search if "hopeless" in step["why"]]
    assert hopeless
    assert all(step["queries"] < 0.5 * step["planned_queries"] for step in hopeless)
    assert found.counts["queries"] >= 60 * found.settings["run"]["target_qps"]
    assert found.settings["run"]["min_duration_ns"] == 60_000_000_000


def test_a_first_rate_may_be_too_high_and_whole_answers_be_judged(tmp_path):
    _, found = find(tmp_path, target_latency="2s", target_qps=300)
    assert found.status == "VALID"
    assert found.result["value"] == pytest.approx(CAPACITY, rel=0.03)
    assert {name for step in found.search for name in step["tails"]} == {"latency"}


def test_where_nothing_can_hold_it_says_so(tmp_path):
    _, found = find(tmp_path, tpot_limit="1ms")
    assert found.status == "INVALID"
    assert "no rate held" in found.status_reason
    assert len(found.search) <= 6


class Interrupts(KeyboardInterrupt):
    """What Ctrl-C does to the fourth step."""


def test_a_search_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    slow = {"tokens": 2, "ttft_ms": 500, "per_token_ms": 500}
    _, whole = find(tmp_path / "whole", sut_options=slow)
    measure, made = search.of_sequence, []

    def stopped(*args):
        made.append(args)
        if len(made) == 4:
            raise Interrupts
        return measure(*args)

    monkeypatch.setattr(search, "of_sequence", stopped)
    with pytest.raises(KeyboardInterrupt):
        parts.run(config(tmp_path / "part", sut_options=slow), lambda text: None)
    monkeypatch.undo()
    (folder,) = (tmp_path / "part").iterdir()
    from harness.study.study import load

    found, _ = parts.go_on(load(folder, tuple(parts.KINDS)), lambda text: None, print)
    assert found["search"] == whole.to_json()["search"]
    assert found["result"] == whole.result
