"""`harness decide` and `harness cost` by the command line: which runs are made, what is answered,
how it goes on, and what is refused.
"""

from __future__ import annotations

import json
import shutil

import pytest

from harness.study.decide import decide
from harness.study.study import load
from tests.test_cli import harness

pytestmark = pytest.mark.pictures

SIMULATED = ["--sut", "simulated", "--clock", "virtual"]
TINY = ["--truncate", "--num-samples", 24, "--max-new-tokens", 6, "--min-duration", "0.2s",
        "--min-queries", 8]  # fmt: skip


def decided(folder, *words, code=0):
    done = harness("decide", *words, "--output-dir", folder, "--json")
    codes = code if isinstance(code, tuple) else (code,)
    assert done.returncode in codes, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def refused(*words, code=2):
    done = harness(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return " ".join(done.stderr.split())


def simulated(folder, *words):
    """Make a run of a made-up system; return its folder."""
    done = harness("run", *SIMULATED, *words, "--output-dir", folder, "--json")
    assert done.returncode == 0, done.stderr
    return max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """Offline runs of two made-up systems: {name: folder}."""
    place = tmp_path_factory.mktemp("offline")
    words = ["--scenario", "offline", "--min-duration", "1s"]
    return {
        name: simulated(place / name, *words, "--sut-option", f"tpot_ms={ms}")
        for name, ms in (("fast", 2), ("slow", 8))
    }


@pytest.fixture(scope="module")
def made(tiny_llama, tmp_path_factory):
    """A decision between two variants of the tiny model, with the folder that it is in."""
    place = tmp_path_factory.mktemp("made")
    return decided(place, "--model", tiny_llama, "--variants", "fp32,bf16", *TINY,
                   "--require", "rouge>=1%, memory<=80GiB, latency_p50<=60s",
                   "--target-qps", 30, "--price-per-hour", 2.5, "--measure-all", code=(0, 1))  # fmt: skip


def test_every_stage_that_is_needed_is_measured(made):
    for one in made["candidates"]:
        assert list(one["runs"]) == ["speed", "quality", "rate"]
        assert one["status"] == "FITS", one
    assert made["objective"] == {
        "figure": "usd_per_m_tokens", "largest": False, "is_default": True,
    }  # fmt: skip


def test_the_reference_keeps_all_of_its_own_quality(made):
    judged = {one["figure"]: one for one in made["candidates"][0]["judged"]}
    assert (judged["rouge"]["status"], judged["rouge"]["value"]) == ("PASS", 1.0)


def test_figures_that_a_decision_rests_on_have_intervals(made):
    for one in made["candidates"]:
        for name in ("tokens_per_s", "usd_per_m_tokens", "latency_p50"):
            assert one["figures"][name]["low"] < one["figures"][name]["high"], name


def test_a_decision_goes_on_where_it_was_lost(made, tmp_path):
    place = tmp_path / "copy"
    shutil.copytree(made["folder"], place)
    rows = (place / "rows.jsonl").read_text().splitlines(keepends=True)
    (place / "rows.jsonl").write_text("".join(rows[:-1]))
    done = harness("resume", place, "--json")
    again = json.loads(done.stdout.splitlines()[-1])
    assert again["answer"] in ("fp32", "bf16")
    kept = [json.loads(line)["run"] for line in (place / "rows.jsonl").read_text().splitlines()]
    assert kept[:-1] == [json.loads(row)["run"] for row in rows[:-1]]
    assert len(kept) == len(rows)


def test_finished_runs_of_a_decision_are_decided_again(made, tmp_path):
    found = decided(tmp_path, made["folder"], "--require", "memory<=80GiB", "--maximise",
                    "tokens_per_s")  # fmt: skip
    assert [one["label"] for one in found["candidates"]] == ["fp32", "bf16"]
    speeds = {one["label"]: one["figures"]["tokens_per_s"]["value"] for one in found["candidates"]}
    assert found["answer"] == max(speeds, key=speeds.get)


def test_what_missed_a_requirement_is_not_measured_further(tiny_llama, tmp_path):
    found = decided(tmp_path, "--model", tiny_llama, "--variants", "fp32,bf16", *TINY,
                    "--require", "memory<=1KiB, rouge>=99%", code=1)  # fmt: skip
    assert found["answer"] is None
    assert [one["not_run"] for one in found["candidates"]] == [["quality"], ["quality"]]
    assert found["nearest"]["missed"][0]["requirement"] == "memory<=1KiB"
    study = load(decide.Path(found["folder"]), ("decide",))
    with study:
        assert list(study.ended) == ["fp32: speed", "bf16: speed"]


def test_a_candidate_that_cannot_be_loaded_is_a_row_with_its_reason(tmp_path):
    found = decided(tmp_path, "--model", tmp_path, "--variants", "fp32,bf16", code=3)
    assert {one["status"] for one in found["candidates"]} == {"FAILED"}
    assert all(one["reason"] for one in found["candidates"])


def test_the_valid_rate_says_how_many_servers(tmp_path):
    found = decided(tmp_path, *SIMULATED, "--max-concurrency", "8,16", "--min-duration", "20s",
                    "--target-qps", 60, "--need-qps", 500, "--price-per-hour", 2,
                    "--require", "ttft_p90<=200ms")  # fmt: skip
    one = found["candidates"][0]
    qps = one["figures"]["qps"]
    assert 70 < qps["value"] < 80  # 32 tokens a sample, 5 ms each, 16 at a time and 100 ms before
    assert qps["value"] == qps["low"] < qps["high"]
    assert one["figures"]["servers"]["value"] == 7
    assert one["figures"]["usd_per_hour"]["value"] == 14
    assert (decide.Path(found["folder"]) / "decide.html").is_file()


# ---- finished runs and their costs


def test_finished_runs_are_named_by_the_user(offline, tmp_path):
    words = [f"{name}={folder}" for name, folder in offline.items()]
    found = decided(tmp_path, *words, "--price-per-hour", "2.5,fast=20")
    assert found["answer"] == "slow"  # 4 times as slow, an eighth of the price
    assert found["sure"] > 0.99


def test_two_runs_that_tell_the_same_of_one_deployment_are_refused(offline):
    said = refused("decide", *offline.values())
    assert "both tell the speed of simulated" in said
    assert "name them: a=" in said


def test_a_cost_is_told_without_a_new_run(offline):
    done = harness("cost", f"fast={offline['fast']}", f"slow={offline['slow']}",
                   "--price-per-hour", 3.6, "--prompt-tokens", 64, "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    fast, slow = (one["figures"] for one in json.loads(done.stdout.splitlines()[-1])["candidates"])
    speed, cost = fast["tokens_per_s"], fast["usd_per_m_tokens"]
    assert cost["value"] == pytest.approx(1000 / speed["value"])
    assert cost["low"] == pytest.approx(1000 / speed["high"], rel=0.01)
    assert slow["usd_per_m_tokens"]["value"] > 2 * cost["value"]
    assert fast["usd_per_m_input_tokens"]["value"] < fast["usd_per_m_output_tokens"]["value"]


def test_servers_need_a_run_that_tells_the_valid_rate(offline):
    done = harness("cost", offline["fast"], "--price-per-hour", 2, "--need-qps", 500)
    assert "no run tells its valid rate; make one with --mode find-peak" in " ".join(
        (done.stdout + done.stderr).split()
    )


@pytest.mark.parametrize("form", ["csv", "markdown"])
def test_the_tables_can_be_exported(offline, tmp_path, form):
    done = harness("cost", offline["fast"], "--price-per-hour", 2, "--format", form)
    assert "usd_per_m_tokens_low" in done.stdout or "per M output tokens, USD" in done.stdout


# ---- what is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to choose from is named"),
        (["--variants", "fp32,bf16", "--scenario", "offline"], "--scenario is given"),
        (["--variants", "fp32,bf16", "--price-per-hour", "-1"], "it is -1; expected 0 or more"),
        (["--variants", "fp32,bf16", "--price-per-hour", "in8=2"], "'in8' is not known"),
        (["--variants", "fp32,bf16", "--require", "memori<=8GiB"], "Did you mean 'memory'?"),
        (["--variants", "fp32,bf16", "--target-qps", "1,2"], "several rates are given"),
        ([*SIMULATED, "--max-concurrency", "1,2", "--require", "rouge>=99%"],
         "the simulated SUT writes no answers"),
        (["nowhere"], "nowhere"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence(words, said, tmp_path):
    assert said in refused("decide", *words, "--output-dir", tmp_path)
    assert not list(tmp_path.iterdir())


def test_cost_of_nothing_and_of_a_negative_price():
    assert "no run is named" in refused("cost")
    assert "--need-qps: it is -5" in refused("cost", "x", "--need-qps", "-5")
