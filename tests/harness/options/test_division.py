"""Is a run closed only where nothing differs from its profile, and is each difference told with
what was asked?
"""

from dataclasses import replace

import pytest

from harness.options.division import division, official_lacks
from harness.options.profiles import TABLE
from harness.options.settings import load_config, run_settings
from harness.registry import sut_entry
from harness.running.session import Run
from reports.terminal import difference, division_text, not_mlperf

MODELS = {
    "llama2-70b": "meta-llama/Llama-2-70b-chat-hf",
    "llama3.1-8b": "meta-llama/Llama-3.1-8B-Instruct",
    "llama3.1-8b-interactive": "meta-llama/Meta-Llama-3.1-8B-Instruct",
}
DATA = {
    "llama2-70b": ("openorca", 24576),
    "llama3.1-8b": ("cnn-dailymail", 13368),
    "llama3.1-8b-interactive": ("cnn-dailymail", 13368),
}


def found(profile="llama3.1-8b", scenario="server", dataset=None, facts=(), changes=(), **flags):
    """The division of a run that is as the profile asks, but for what is given."""
    kind, rows = DATA.get(profile, ("questions", 200))
    flags = {
        "scenario": scenario,
        "profile": profile,
        "model": MODELS.get(profile, "smollm2-135m"),
        "target_qps": 10,
    } | flags
    config = load_config(flags)
    settings = replace(run_settings(config, rows, 10.0), **dict(changes))
    told = {"name": "/data/set.parquet", "format": kind, "rows": rows} | (dataset or {})
    return division(config, settings, told, dict(facts), sut_entry(config.sut).runs_model)


def lacking(profile="llama3.1-8b", scenario="server", loadgen_valid=True, dataset=None, **flags):
    """What a run lacks to be official that is as the profile asks, but for what is given."""
    own = {"profile": profile, "scenario": scenario, "target_qps": 10}
    config = load_config(own | {"model": MODELS.get(profile, "smollm2-135m")} | flags)
    settings = run_settings(config, DATA.get(profile, ("questions", 200))[1], 10.0)
    closed = found(profile, scenario, dataset=dataset, **flags)
    return official_lacks(config, settings, closed, loadgen_valid)


def differences(**given):
    return {row.name: (row.value, row.asked) for row in found(**given).differs}


@pytest.mark.parametrize("profile", MODELS)
@pytest.mark.parametrize("scenario", ["server", "offline", "single-stream", "multi-stream"])
def test_a_run_as_its_profile_asks_is_closed(profile, scenario):
    assert found(profile, scenario) == found(profile, scenario, model=MODELS[profile].upper())
    assert found(profile, scenario).to_json() == {"name": "closed", "differs": []}


@pytest.mark.parametrize("scenario", ["server", "offline"])
@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"issue": "same"}, "issue"),
        ({"issue": "unique"}, "issue"),
        ({"equal_issue": False}, "issue"),
        ({"use_tokens": False}, None),
    ],
)
def test_samples_and_tokens_are_those_of_the_benchmark(scenario, changes, name):
    differs = {row.name for row in found(scenario=scenario, changes=changes).differs}
    limits = "target_latency" if scenario == "server" else "use_token_latencies"
    assert differs == {name or limits}


@pytest.mark.parametrize(
    ("flags", "name", "value", "asked"),
    [
        ({"model": "smollm2-135m"}, "model", "smollm2-135m", "meta-llama/Llama-3.1-8B-Instruct"),
        ({"dataset": {"format": "questions"}}, "dataset", "questions", "cnn-dailymail"),
        ({"dataset": {"rows": 5000}}, "num_samples", 5000, 13368),
        ({"variant": "lora-int8"}, "weights", "lora-int8", "without further training"),
        ({"max_new_tokens": 64}, "max_new_tokens", 64, 128),
        ({"max_new_tokens": 256}, "max_new_tokens", 256, 128),
        ({"facts": {"truncated_samples": [3, 4]}}, "truncated prompts", 2, 0),
        ({"min_duration": "60s"}, "min_duration", 60.0, 600.0),
        ({"min_queries": 64}, "min_queries", 64, 100),
        ({"percentile": 90}, "percentile", 90.0, 99.0),
        ({"ttft_limit": "3s"}, "ttft_limit", 3.0, 2.0),
        ({"tpot_limit": "200ms"}, "tpot_limit", 200.0, 100.0),
        ({"target_latency": "20s"}, "target_latency", 20.0, "limits of TTFT and TPOT"),
        ({"issue": "random"}, "issue", "random", "equal"),
        ({"seeds": "v6.0"}, "seeds", "v6.0", "those of v6.1"),
        ({"performance_samples": 100}, "performance_samples", 100, 13368),
        ({"accuracy_samples": 100}, "accuracy_samples", 100, 13368),
        ({"scenario": "multi-stream", "samples_per_query": 4}, "samples_per_query", 4, 8),
        ({"scenario": "offline", "min_queries": 5000}, "min_queries", 5000, 13368),
        ({"profile": "gptj", "target_latency": "30s"}, "target_latency", 30.0, 20.0),
    ],
)
def test_each_difference_is_told_with_what_was_asked(flags, name, value, asked):
    assert found(**flags).name == "open"
    row = differences(**flags)[name]
    assert row == (pytest.approx(value) if isinstance(value, float) else value, asked)
    assert "profile" in flags or list(differences(**flags)) == [name]


@pytest.mark.parametrize(
    "flags",
    [{"min_duration": "700s"}, {"min_queries": 1000}, {"percentile": 99.9}, {"ttft_limit": "1s"},
        {"tpot_limit": "50ms"},
     {"variant": "int8"}, {"scenario": "offline", "ttft_limit": "90s"}],
)  # fmt: skip
def test_what_is_stricter_or_not_judged_is_no_difference(flags):
    assert found(**flags).name == "closed"


@pytest.mark.parametrize("profile", ["quick", "mlperf"])
def test_a_profile_of_no_benchmark_is_open_and_says_which_would_do(profile):
    differs = differences(profile=profile)
    assert differs == {"profile": (profile, "an MLPerf benchmark's, such as llama3.1-8b")}


def test_a_simulated_run_is_open_whatever_its_profile():
    assert differences(sut="simulated")["sut"] == ("simulated", "one that runs a model")


def test_every_benchmark_names_its_model_and_dataset():
    assert {name for name, row in TABLE.items() if not row.models} == {"quick", "mlperf"}
    assert all(row.dataset and row.performance_samples for row in TABLE.values() if row.models)


def test_a_run_shows_its_division_on_every_surface(tmp_path):
    flags = {
        "scenario": "server",
        "sut": "simulated",
        "clock": "virtual",
        "output_dir": tmp_path,
        "percentile": 80,
    }
    with Run(load_config(flags), lambda text: None, progress=False) as run:
        result = run.execute().to_json()
    assert result["division"]["name"] == "open"
    assert result["division"]["differs"][2] == {
        "name": "percentile",
        "value": 80.0,
        "asked": 90.0,
        "unit": "%",
        "by": "profile",
    }
    words = division_text(result)
    assert words.startswith(
        "Open division: profile is quick (closed needs an MLPerf benchmark's, such as llama3.1-8b);"
        " sut is simulated (closed needs one that runs a model);"
    )
    assert words.endswith("; percentile is 80 % (profile: 90 %)")
    page = (run.folder / "report.html").read_text()
    assert "Open division" in page
    assert "the closed division needs" in page
    assert (
        division_text(result | {"division": {"name": "closed", "differs": []}}) == "Closed division"
    )
    assert division_text({}) == ""


# ---- official: a result that may stand beside MLPerf's


@pytest.mark.parametrize(
    ("flags", "lacks"),
    [
        ({}, []),
        ({"scenario": "offline"}, []),
        ({"mode": "submission"}, []),
        ({"driver": "mlcommons"}, []),
        ({"model": "smollm2-135m"}, ["model"]),
        ({"max_new_tokens": 16}, ["max_new_tokens"]),
        ({"min_duration": 60.0}, ["min_duration"]),
        ({"mode": "accuracy"}, ["mode"]),
        ({"mode": "find-peak"}, ["mode"]),
        ({"in_process": True}, ["in_process"]),
        ({"issue": "same"}, ["issue"]),
        ({"performance_samples": 1}, ["performance_samples"]),
        ({"dataset": {"rows": 1}}, ["num_samples"]),
        ({"seeds": "v5.0"}, ["seeds"]),
        ({"infer_tokens": 3}, ["infer_tokens"]),
        ({"prompt_column": "highlights"}, ["prompt_column"]),
        ({"scenario": "single-stream"}, ["scenario"]),
        ({"scenario": "multi-stream"}, ["scenario"]),
        ({"loadgen_valid": False}, ["loadgen_valid"]),
        ({"loadgen_valid": None}, ["loadgen_valid"]),
    ],
)
def test_a_run_that_mlperf_would_take_is_official_and_no_other(flags, lacks):
    """SmolLM2 under the name of llama3.1-8b's profile is a run of its own kind."""
    assert lacking(**flags) == lacks


@pytest.mark.parametrize(
    ("profile", "taken"),
    [
        ("llama3.1-8b", {"server", "offline"}),
        ("llama3.1-8b-interactive", {"server"}),
        ("llama3.1-8b-edge", {"single-stream", "offline"}),
    ],
)
def test_each_suite_has_its_scenarios(profile, taken):
    model, every = MODELS["llama3.1-8b"], ("server", "offline", "single-stream", "multi-stream")
    lacks = {name: lacking(profile, name, model=model) for name in every}
    assert {name for name, found in lacks.items() if "scenario" not in found} == taken


def test_a_run_on_a_virtual_clock_is_never_official():
    """The simulated SUT runs no model either: each is a reason of its own."""
    assert {"clock", "sut"} <= set(lacking(sut="simulated", clock="virtual"))


def test_a_profile_for_any_model_is_never_official():
    assert lacking("mlperf")
    assert lacking("quick") == ["profile"]


def test_an_accuracy_run_may_have_the_dataset_of_its_own_benchmark():
    own = {"profile": "gpt-oss-120b", "model": "openai/gpt-oss-120b"}
    own["dataset"] = {"format": "reasoning", "rows": 4395}
    small = {"num_samples": 4395, "performance_samples": 4395, "accuracy_samples": None}
    assert found(**own, mode="accuracy", changes=small).differs == ()
    assert set(differences(**own, changes=small)) == {"num_samples", "performance_samples"}


def test_a_difference_says_which_value_is_the_users_and_which_the_profiles():
    (row,) = [row for row in found(max_new_tokens=80).differs if row.name == "max_new_tokens"]
    assert difference(row._asdict()) == "max_new_tokens is 80 tokens (profile: 128 tokens)"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ""),
        ({"status": "INVALID"}, "the run is INVALID."),
        ({"lacks": ["sut"]}, "the simulated SUT runs no model."),
        ({"lacks": ["min_duration"]}, "the minimum duration is 60 s (MLPerf: 600 s)."),
        ({"lacks": ["profile"]}, "profile quick is not that of an MLPerf benchmark."),
        ({"lacks": ["division"]}, "its division is not known."),
        (
            {"lacks": ["model", "sut", "seeds"]},
            "the simulated SUT runs no model; not as the closed division asks: model, seeds.",
        ),
        (
            {"lacks": ["model", "weights", "issue", "seeds", "percentile"]},
            "not as the closed division asks: model, weights, issue and 2 more.",
        ),
    ],
)
def test_what_a_run_lacks_to_be_an_mlperf_result_is_named(given, words):
    status, lacks = given.get("status", "VALID"), given.get("lacks", [])
    result = {"official": status == "VALID" and not lacks, "official_lacks": lacks}
    result |= {"status": status, "sut": "simulated", "profile": "quick"}
    result["settings"] = {
        "run": {"min_duration_ns": 60 * 10**9, "official_min_duration_ns": 600 * 10**9}
    }
    said = not_mlperf(result)
    assert said == (f"Not an MLPerf result: {words}" if words else "")
