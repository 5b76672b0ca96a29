"""Are the files for MLPerf Endpoints what its tools and MLCommons' checker read?"""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.options.settings import load_config
from harness.result.publish import whole
from harness.running.session import Run
from reports.endpoints import yaml
from reports.endpoints.files import CONFIG, SCORES, SUMMARY, texts, write
from reports.endpoints.series import rollup
from scenarios.early_stopping import estimate_rank

WHERE = ("http://localhost:8000/v1", "completions")
SHORT = {
    "sut": "simulated",
    "clock": "virtual",
    "profile": "quick",
    "min_queries": 700,
    "min_duration": 1,
}


def files_of(tmp_path, scenario: str, **given) -> dict:
    """Return name -> content of the files of a run."""
    config = load_config({**SHORT, "scenario": scenario, "output_dir": tmp_path, **given})
    with Run(config, lambda text: None, progress=False) as run:
        run.execute()
    raw, result = whole(run.folder)
    found = texts(result.to_json(), raw.log, estimate_rank, "touchstone 1", WHERE)
    return {"log": raw.log, **found}


def test_the_summary_says_what_the_log_has(tmp_path):
    found = files_of(tmp_path, "server", target_qps=20)
    summary, log = json.loads(found[SUMMARY]), found["log"]
    assert summary["n_samples_issued"] == summary["n_samples_completed"] == len(log)
    assert summary["n_samples_failed"] == 0
    latencies = np.sort(log.latency_ns)
    assert summary["latency"]["max"] == latencies[-1]
    assert summary["latency"]["percentiles"]["99.0"] == latencies[int(0.99 * (len(log) - 1))]
    assert summary["latency"]["early_stopping_percentiles"]["99.9"] is None
    claim = summary["latency"]["early_stopping_percentiles"]["90.0"]
    assert summary["latency"]["percentiles"]["90.0"] <= claim <= latencies[-1]
    window_s = summary["legacy_loadgen_window_duration_ns"] / 1e9
    assert summary["qps"] == pytest.approx((len(log) - 1) / window_s)
    assert summary["finish_reason_counts"]["stop"] == len(log)
    assert summary["output_sequence_lengths"]["total"] == log.tokens.sum()


@pytest.mark.parametrize(
    ("scenario", "kind", "pattern"),
    [
        ("offline", "offline", 'type: "max_throughput"'),
        ("server", "online", 'type: "poisson"'),
        ("single-stream", "online", 'type: "concurrency"'),
    ],
)
def test_the_configuration_has_the_load(tmp_path, scenario, kind, pattern):
    text = files_of(tmp_path, scenario)[CONFIG]
    assert f'\ntype: "{kind}"\n' in text
    assert pattern in text
    assert '- "http://localhost:8000/v1"' in text
    assert 'api_type: "openai_completions"' in text
    assert "key" not in text


def test_a_load_that_endpoints_does_not_know_has_no_files(tmp_path):
    found = files_of(tmp_path, "multi-stream", samples_per_query=4)
    assert set(found) == {"log"}


def test_an_accuracy_run_has_scores_and_no_rates(tmp_path):
    found = files_of(tmp_path, "offline", mode="accuracy")
    assert SUMMARY not in found


def test_scores_stand_under_their_names(tmp_path):
    config = load_config({**SHORT, "scenario": "offline", "output_dir": tmp_path})
    with Run(config, lambda text: None, progress=False) as run:
        run.execute()
    raw, result = whole(run.folder)
    result.accuracy = {"rouge1": 38.8, "rougeL": 24.5}
    found = texts(result.to_json(), raw.log, estimate_rank, "touchstone 1", WHERE)
    (entry,) = json.loads(found[SCORES])["accuracy_scores"]
    assert entry["score"] == {"rouge1": 38.8, "rougeL": 24.5}
    assert entry["dataset_type"] == "performance"
    again = texts(
        result.to_json() | {"mode": "accuracy"}, raw.log, estimate_rank, "touchstone 1", WHERE
    )
    assert json.loads(again[SCORES])["accuracy_scores"][0]["dataset_type"] == "accuracy"
    write(tmp_path, found)
    assert (tmp_path / "endpoints" / "accuracy" / "accuracy_results.json").is_file()


@pytest.mark.parametrize("n", [1, 2, 44, 1000])
def test_a_histogram_holds_every_value(n):
    values = np.random.default_rng(n).integers(0, 10**9, n)
    found = rollup(values)
    assert sum(found["histogram"]["counts"]) == n
    assert rollup(np.empty(0, np.int64)) == {}


def test_yaml_is_read_as_what_was_written():
    value = {"a": {"b": [1, None], "c": []}, "d": [{"e": 'x: "y"\n', "f": {"g": 1.5}}], "h": True}
    read = pytest.importorskip("yaml").safe_load(yaml.text(value))
    assert read == value
