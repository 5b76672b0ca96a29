"""Do the settings that a submission carries make the same run again?"""

from __future__ import annotations

from dataclasses import asdict

import pytest

import scenarios
from harness.kernel.entries import Loadgen, ScenarioEntry
from harness.options.settings import load_config, run_settings
from reports.submission.texts import config_toml, user_conf


def conf(wanted, pattern):
    run = {"run_id": "r", "profile": "p", "settings": {"run": asdict(wanted)}}
    return user_conf(run, pattern)


def test_a_scenario_from_outside_is_written_by_what_its_entry_says():
    config = load_config({"scenario": "server", "sut": "simulated", "target_qps": 2.0})
    wanted = run_settings(config, 100, 2.0)
    closed = ScenarioEntry("bursts:Bursts", "closed", loadgen=Loadgen("Bursts", "rate"))
    opened = closed._replace(loop="open", has_limits=True)
    assert "*.Bursts.target_latency = 500\n" in conf(wanted, closed)
    assert "tpot_latency" not in conf(wanted, closed)
    assert "*.Bursts.target_qps = 2\n" in conf(wanted, opened)
    assert "*.Bursts.tpot_latency = 200\n" in conf(wanted, opened)


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "server", "offline"])
@pytest.mark.parametrize("issue", ["equal", "unique", "same", "random"])
def test_user_conf_reads_back_as_the_same_run(scenario, issue, tmp_path):
    own = {
        "percentile": 97.5,
        "min_duration": 601.0,
        "issue": issue,
        "same_index": 3 if issue == "same" else 0,
    }
    own |= {"max_duration": 900.0, "max_queries": 90_000} if scenario != "offline" else {}
    own |= {"accuracy_samples": 50} if scenario == "server" else {}
    flags = {"scenario": scenario, "sut": "simulated", "profile": "llama3.1-8b"}
    wanted = run_settings(load_config(flags | own | {"target_qps": 3.5}), 13368, 3.5)
    path = tmp_path / "user.conf"
    path.write_text(conf(wanted, scenarios.entry(scenario)))
    config = load_config({"scenario": scenario, "sut": "simulated", "user_conf": path})
    again = asdict(run_settings(config, 13368, config.target_qps))
    kept = {"max_new_tokens"}  # not LoadGen's business
    if scenario in ("single-stream", "multi-stream", "offline"):
        kept |= {"ttft_limit_ns", "tpot_limit_ns", "lag_limit_ns"}  # limits of the server scenario
    if scenario == "offline":
        kept |= {"percentile"}
    assert again.pop("target_qps") == pytest.approx(3.5, rel=1e-9)
    expected = asdict(wanted)
    assert {k: v for k, v in again.items() if k not in kept} == {
        k: expected[k] for k in again if k not in kept
    }


@pytest.mark.parametrize(
    "own",
    [
        {"target_latency": 5.0},
        {"target_latency": 5.0, "infer_tokens": 69},
        {"accuracy_log_target": 10, "accuracy_log_seed": 5},
    ],
)
def test_user_conf_keeps_a_whole_latency_inferred_tokens_and_the_logged_sample(own, tmp_path):
    flags = {"scenario": "server", "sut": "simulated", "target_qps": 2.0}
    wanted = run_settings(load_config(flags | own), 100, 2.0)
    path = tmp_path / "user.conf"
    path.write_text(conf(wanted, scenarios.entry("server")))
    again = run_settings(
        load_config({"scenario": "server", "sut": "simulated", "user_conf": path}), 100, 2.0
    )
    names = (
        "use_tokens",
        "target_latency_ns",
        "inferred_tokens_per_sample",
        "accuracy_log_target",
        "accuracy_log_seed",
    )
    assert [getattr(again, name) for name in names] == [getattr(wanted, name) for name in names]


def test_what_was_asked_is_written_as_toml_takes_it_without_folders():
    options = {"ttft_ms": 5.5, "name": 'a "b"'}
    settings = {
        "config": {
            "sut_options": options,
            "dataset": "/a/b.jsonl",
            "load": "trace:/c/d.csv",
            "base_url": "http://127.0.0.1:8000/v1",
            "variant": "fp32",
            "origins": {"sut_options": "--sut-option", "dataset": "", "load": "", "base_url": ""},
        },
        "run": {"target_qps": 2.0},
    }
    text = config_toml({"mode": "accuracy", "settings": settings})
    assert text.splitlines() == [
        'sut_options = { "ttft_ms" = 5.5, "name" = "a \\"b\\"" }',
        'dataset = "b.jsonl"',
        'load = "trace:d.csv"',
        'base_url = "http://127.0.0.1:8000/v1"',
        'mode = "accuracy"',
        "target_qps = 2.0",
    ]


@pytest.mark.parametrize(
    "asked",
    [
        {"scenario": "offline"},
        {"scenario": "server", "mode": "submission", "target_qps": 3.0},
        {"scenario": "server", "sut": "simulated", "load": "constant"},
        {"scenario": "server", "base_url": "http://127.0.0.1:8000/v1"},
        {"scenario": "offline", "input_tokens": "fixed:100"},
        {"task": "word-problems", "shots": 2, "chat": True},
        {"task": "boxed", "attempts": 4, "temperature": 0.5},
    ],
    ids=str,
)
def test_what_was_asked_can_be_asked_again(asked, tmp_path):
    config = load_config(asked)
    settings = {"config": config.model_dump(mode="json"), "run": {"target_qps": config.target_qps}}
    file = tmp_path / "again.toml"
    file.write_text(config_toml({"mode": config.mode, "settings": settings}))
    again = load_config({}, file)
    assert again.model_dump(exclude={"origins"}) == config.model_dump(exclude={"origins"})
