"""A submission is two parts under one verdict; a search ends at LoadGen's rate. Through the public
door, in virtual time.
"""

import json

import pytest

from harness.engine import runlog
from harness.kernel.errors import BadInput
from harness.options.effective import effective
from harness.options.settings import load_config, run_settings
from harness.result.publish import publish
from harness.running.session import Run
from scenarios.loadgen.find_peak import next_qps, peak_qps
from tests.seal_helpers import forget


def run(folder, **flags):
    flags = {
        "scenario": "server",
        "sut": "simulated",
        "clock": "virtual",
        "output_dir": folder,
        "num_samples": 50,
    } | flags
    with Run(load_config(flags), lambda text: None, progress=False) as made:
        found = made.execute()
    return made.folder, found


def first_values(folder):
    lines = (folder / "mlperf_log_detail.txt").read_text().splitlines()
    events = [json.loads(line.removeprefix(":::MLLOG ")) for line in lines]
    return {event["key"]: event["value"] for event in reversed(events)}


# ---- submission


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "server", "offline"])
def test_a_submission_asks_every_sample_once_and_then_measures(tmp_path, scenario):
    folder, found = run(tmp_path, scenario=scenario, mode="submission")
    accuracy, performance = (
        json.loads((f / "result.json").read_text()) for f in (folder / "accuracy", folder)
    )
    assert (found.mode, accuracy["mode"], performance["mode"]) == (
        "submission",
        "accuracy",
        "submission",
    )
    assert set(runlog.read_log(folder / "accuracy")[0].index.tolist()) == set(range(50))
    assert found.counts["queries"] >= (64 if scenario != "offline" else 1)
    assert first_values(folder)["effective_test_mode"] == "PerformanceOnly"
    assert first_values(folder / "accuracy")["effective_test_mode"] == "AccuracyOnly"
    assert (found.status, found.loadgen_valid) == ("VALID", True)


def test_a_submissions_quality_is_that_of_its_accuracy_part(tmp_path):
    folder, found = run(tmp_path, mode="submission")
    (folder / "accuracy" / "scores.json").write_text("{}")
    again = publish(folder)
    assert (
        again.accuracy
        == found.accuracy
        == json.loads((folder / "accuracy" / "result.json").read_text())["accuracy"]
    )


def test_a_fault_in_the_accuracy_part_spoils_the_submission(tmp_path):
    _, found = run(
        tmp_path, mode="submission", sut_options={"fault": "two_eos", "fault_at": 6}, warmup=0
    )
    assert found.status == "INVALID"
    _, performance = run(tmp_path, sut_options={"fault": "two_eos", "fault_at": 80}, min_queries=64)
    assert performance.status == "VALID"  # sample 80 is never reached
    longer = {"accuracy_samples": 50, "num_samples": 100}
    _, found = run(
        tmp_path,
        mode="submission",
        sut_options={"fault": "two_eos", "fault_at": 80},
        min_queries=64,
        **longer,
    )
    assert (found.status, found.status_reason) == ("VALID", "every condition holds")
    _, found = run(
        tmp_path,
        mode="submission",
        sut_options={"fault": "two_eos", "fault_at": 80},
        num_samples=100,
    )
    assert (found.status, found.status_reason) == (
        "INVALID",
        "accuracy part failed: eos, length_limit",
    )
    failed = [v["rule"] for v in found.verdicts if v["status"] == "FAIL"]
    assert failed == ["accuracy part: eos", "accuracy part: length_limit"]


def test_the_performance_part_goes_on_with_loadgens_draw_of_logged_answers(tmp_path):
    sampled = {"accuracy_log_target": 10, "accuracy_log_seed": 5}
    alone, _ = run(tmp_path, **sampled)
    after, _ = run(tmp_path, mode="submission", **sampled)
    chosen = []
    for folder in (alone, after):
        entries = json.loads((folder / "mlperf_log_accuracy.json").read_text())
        chosen.append([entry["seq_id"] for entry in entries])
    assert 0 < len(chosen[0]) < 64
    assert 0 < len(chosen[1]) < 64
    assert chosen[0] != chosen[1]


def test_a_report_of_a_submission_is_made_again_from_its_raw_files(tmp_path):
    folder, found = run(tmp_path, mode="submission")
    for path in (*folder.glob("*.json"), *(folder / "accuracy").glob("*.json")):
        if path.name not in ("settings.json", "environment.json"):
            path.unlink()
    again = publish(folder)
    assert again.to_json() == found.to_json()


# ---- find-peak


def slow(**options):
    """A search over 19.5 queries/s: two tokens that take as long as the default's 32."""
    two_tokens = {"slots": 4, "tokens": 2, "per_token_ms": 155}
    return {"sut_options": two_tokens | options, "min_queries": 2000, "mode": "find-peak"}


def test_the_search_ends_between_the_rates_that_hold_and_those_that_do_not(tmp_path):
    _, found = run(tmp_path, target_qps=5, **slow())
    tried = [(step["target_qps"], step["held"]) for step in found.search]
    assert [qps for qps, _ in tried[:3]] == [5, 10, 20]
    assert all(next_qps(tried[:i]) == tried[i][0] for i in range(1, len(tried)))
    assert next_qps(tried) is None
    assert found.status == "VALID"
    held, failed = peak_qps(tried), min(qps for qps, kept in tried if not kept)
    assert held < failed <= held + 0.2
    # over long steps LoadGen's own condition is the stricter one: the search goes LoadGen's way
    assert [step["held"] for step in found.search] == [s["limits_kept"] for s in found.search]


def test_the_folder_is_that_of_the_best_run(tmp_path):
    folder, found = run(tmp_path, target_qps=5, **slow())
    log, facts = runlog.read_log(folder)
    best = max((s for s in found.search if s["held"]), key=lambda s: s["target_qps"])
    assert facts.run_id == folder.name == found.run_id
    assert log.done_ns.tolist() == runlog.read_log(folder / best["folder"])[0].done_ns.tolist()
    assert found.settings["run"]["target_qps"] == best["target_qps"]
    assert publish(folder).to_json() == found.to_json()


def test_a_first_rate_that_fails_ends_the_search_and_says_so(tmp_path):
    _, found = run(tmp_path, target_qps=80, **slow())
    assert (found.status, found.result["value"], len(found.search)) == ("INVALID", None, 1)
    assert "80/s did not" in found.status_reason


def test_a_sut_that_dies_ends_the_search_and_keeps_what_it_found(tmp_path):
    _, found = run(tmp_path, target_qps=5, **slow(fault="crash", fault_at=1500))
    assert found.status == "ERROR"
    assert found.status_reason == "the search ended in step 1"


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "offline"])
def test_only_the_server_scenario_has_a_peak(scenario):
    with pytest.raises(BadInput, match="only the server scenario"):
        load_config({"scenario": scenario, "mode": "find-peak"})


# ---- sampling and the whole latency


def test_a_performance_run_logs_about_as_many_answers_as_asked(tmp_path):
    folder, _ = run(tmp_path, accuracy_log_target=100, min_queries=1000)
    entries = json.loads((folder / "mlperf_log_accuracy.json").read_text())
    assert 70 < len(entries) < 130
    assert first_values(folder)["effective_accuracy_log_sampling_target"] == 100


def test_the_whole_latency_is_judged_instead_of_the_tokens_where_it_is_asked(tmp_path):
    folder, found = run(tmp_path, target_latency="100ms")  # simulated: 50 ms + 31 x 5 ms
    rules = {v["rule"]: v["status"] for v in found.verdicts if v["loadgen"]}
    assert rules["latency_p90"] == rules["latency_early_stopping"] == "FAIL"
    assert not any(rule.startswith(("ttft", "tpot")) for rule in rules)
    assert first_values(folder)["effective_target_latency_ns"] == 100_000_000
    assert not found.loadgen_valid
    assert run(tmp_path, target_latency="300ms")[1].status == "VALID"


def test_inferred_tokens_are_reported_as_loadgen_does(tmp_path):
    folder, found = run(tmp_path, infer_tokens=69, target_latency="1s")
    rate = first_values(folder)["result_inferred_completed_tokens_per_second"]
    assert rate == pytest.approx(69 * found.result["value"], rel=1e-5)


def test_a_run_that_was_written_before_the_newer_settings_is_read(tmp_path):
    folder, found = run(tmp_path)
    saved = json.loads((folder / "settings.json").read_text())
    for name in (
        "accuracy_log_target",
        "accuracy_log_probability",
        "accuracy_log_seed",
        "target_latency_ns",
    ):
        del saved["run"][name]
    (forget(folder) / "settings.json").write_text(json.dumps(saved))
    assert publish(folder).verdicts == found.verdicts


# ---- where a setting comes from


def test_every_setting_has_its_origin(tmp_path):
    (tmp_path / "user.conf").write_text("*.Server.min_query_count = 70\n")
    toml = tmp_path / "mine.toml"
    toml.write_text("ttft-limit = 3\n")
    flags = {
        "scenario": "server",
        "sut": "simulated",
        "clock": "virtual",
        "user_conf": tmp_path / "user.conf",
    }
    config = load_config(flags | {"sut_options": {"slots": 4}}, toml)
    shown = {
        row.name: (row.value, row.origin)
        for row in effective(config, run_settings(config, 100, 10.0))
    }
    assert shown["min_queries"] == (70, "user.conf, line 1")
    assert shown["ttft_limit"] == (3.0, "mine.toml")
    assert shown["tpot_limit"] == (200.0, "profile quick")
    assert shown["performance_samples"] == (100, "the library's size")
    assert shown["drain_timeout"] == (10.0, "default")
    assert shown["clock"] == ("virtual", "--clock")
    assert shown["sut_options"][1] == "--sut-option"
    assert "calibrates" in shown["target_qps"][1]
    assert "variant" not in shown


def test_a_search_is_the_origin_of_its_rate(tmp_path):
    _, found = run(tmp_path, target_qps=5, **slow())
    assert {row["name"]: row["origin"] for row in found.settings["effective"]}[
        "target_qps"
    ] == "the search"
