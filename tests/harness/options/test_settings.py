"""Are good settings taken over exactly, and bad ones refused all at once, each with its remedy?"""

import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from harness.kernel.errors import BadInput
from harness.kernel.types import Seeds
from harness.options import profiles
from harness.options.names import parse_seeds
from harness.options.settings import RunConfig, load_config, run_settings

S = 1_000_000_000


def config(file=None, **flags):
    return load_config({"scenario": "server", **flags}, file)


def complaint(file=None, **flags):
    with pytest.raises(BadInput) as caught:
        config(file, **flags)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.fixture
def toml(tmp_path):
    def write(text):
        path = tmp_path / "run.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# ---- names


@pytest.mark.parametrize(
    ("flag", "name", "known", "guess"),
    [
        ("scenario", "sever", "multi-stream, offline, server, single-stream", "server"),
        ("variant", "fp23", "bf16, ", "fp32"),
        ("dataset", "qqa", "qa", "qa"),
        ("model", "smollm2-135", "smollm2-135m", "smollm2-135m"),
        ("profile", "quik", "mlperf, quick", "quick"),
        ("sut", "simulate", "local, null, ", "simulated"),
        ("seeds", "v6.9", "v4.1, v5.0, v5.1, v6.0, v6.1", "v6."),
    ],
)
def test_an_unknown_name_lists_the_known_and_suggests_the_near_one(flag, name, known, guess):
    found = complaint(**{flag: name})
    assert f"{flag}: {name!r} is not known; known: " in found
    assert known in found
    assert f"Did you mean '{guess}" in found


@pytest.mark.parametrize("flag", ["scenario", "variant", "model", "profile", "sut", "seeds"])
def test_a_name_like_no_other_gets_no_guess(flag):
    found = complaint(**{flag: "zzzzzzzzzz"})
    assert "'zzzzzzzzzz' is not known; known: " in found
    assert "Did you mean" not in found


def test_a_missing_dataset_file_is_found_before_anything_is_loaded():
    assert "there is no such file" in complaint(dataset="questions.jsonl")


@pytest.mark.parametrize("flag", ["variant", "dataset", "model"])
def test_what_a_simulated_sut_does_not_use_is_not_checked(flag):
    assert config(sut="simulated", **{flag: "whatever"}).sut == "simulated"


def test_an_unknown_flag_suggests_the_near_one():
    found = complaint(min_querys=3)
    assert "'min_querys' is not known" in found
    assert "Did you mean 'min_queries'?" in found


# ---- numbers

COUNTS = [
    "min_queries",
    "max_queries",
    "num_samples",
    "max_new_tokens",
    "samples_per_query",
    "max_concurrency",
]
POSITIVE_SECONDS = ["max_duration", "ttft_limit", "tpot_limit", "sample_timeout"]


@pytest.mark.parametrize("flag", ["target_qps", *COUNTS, *POSITIVE_SECONDS])
@pytest.mark.parametrize("value", [0, -1])
def test_zero_and_negative_are_refused_with_flag_value_and_limit(flag, value):
    found = complaint(**{flag: value})
    assert f"--{flag.replace('_', '-')}" in found
    assert f"{value}" in found
    assert "must be above 0" in found
    assert "problems" not in found  # one mistake, one complaint


@pytest.mark.parametrize("flag", ["min_duration", "drain_timeout", "warmup"])
def test_some_may_be_zero_but_not_negative(flag):
    assert getattr(config(**{flag: 0}), flag) == 0
    assert "must be at least 0" in complaint(**{flag: -1})


@pytest.mark.parametrize("flag", ["target_qps", "min_duration", *POSITIVE_SECONDS])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_must_be_finite(flag, value):
    assert f"--{flag.replace('_', '-')}" in complaint(**{flag: value})


@pytest.mark.parametrize("flag", COUNTS)
@pytest.mark.parametrize("value", [2.5, "many", 2**31])
def test_counts_are_whole_numbers_within_reason(flag, value):
    assert f"--{flag.replace('_', '-')}" in complaint(**{flag: value})


@pytest.mark.parametrize(
    ("flag", "value"), [("target_qps", 2e8), ("min_duration", 1e8), ("warmup", 100_001)]
)
def test_numbers_beyond_reason_are_refused(flag, value):
    assert "must be at most" in complaint(**{flag: value})


@pytest.mark.parametrize("rate", ["fast", "", "5 qps"])
def test_a_rate_is_a_number_or_auto(rate):
    assert "--target-qps" in complaint(target_qps=rate)


@pytest.mark.parametrize(
    ("given", "qps"), [("auto", "auto"), (2, 2.0), ("2.5", 2.5), (0.001, 0.001)]
)
def test_a_good_rate_is_taken_over(given, qps):
    assert config(target_qps=given).target_qps == qps


@pytest.mark.parametrize(("flag", "value"), [("mode", "fast"), ("clock", "atomic")])
def test_a_choice_lists_its_alternatives(flag, value):
    found = complaint(**{flag: value})
    assert f"--{flag}" in found
    assert (
        "'real' or 'virtual'" in found
        or "'performance', 'accuracy', 'submission' or 'find-peak'" in found
    )


# ---- durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90.0),
        ("90", 90.0),
        ("90s", 90.0),
        ("1.5m", 90.0),
        ("2min", 120.0),
        ("200ms", 0.2),
        ("0.5h", 1800.0),
        (" 3 s ", 3.0),
        ("1e-3s", 0.001),
        ("0", 0.0),
    ],
)
def test_a_duration_is_seconds_or_has_a_unit(text, seconds):
    assert config(min_duration=text).min_duration == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["3 days", "1.2.3s", "s", "", "-1s", "1e400", "ten", "5 M", [3]])
def test_what_is_no_duration_is_refused(text):
    assert "--min-duration" in complaint(min_duration=text)


@given(
    st.floats(0.001, 1e4), st.sampled_from([("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)])
)
def test_every_unit_scales(number, unit):
    name, factor = unit
    if number * factor <= 1e7:
        assert config(
            target_qps=0.01, min_duration=f"{number:.6f}{name}"
        ).min_duration == pytest.approx(number * factor, rel=1e-3)


# ---- several problems, and contradictions


def test_all_problems_are_reported_at_once():
    found = complaint(
        target_qps=-1, min_queries=0, mode="fast", scenario="sever", variant="fp23", colour="blue"
    )
    assert "6 problems:" in found
    for part in ("--target-qps", "--min-queries", "--mode", "'sever'", "'fp23'", "'colour'"):
        assert part in found
    assert len(found.splitlines()) == 7


def test_one_problem_is_one_line():
    assert len(complaint(min_queries=0).splitlines()) == 1


def test_a_missing_scenario_is_named():
    with pytest.raises(BadInput, match="--scenario is missing"):
        load_config({})


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ({"max_queries": 3, "min_queries": 5}, "--max-queries 3 is below --min-queries 5"),
        (
            {"max_duration": "1s", "min_duration": "5s"},
            "--max-duration 1 s is below --min-duration 5 s",
        ),
        ({"clock": "virtual"}, "use it with --sut simulated"),
        ({"clock": "virtual", "sut": "null"}, "the null SUT takes no time at all"),
        ({"sut_options": {"ttft_ms": 1}}, "--sut-option: local takes none"),
    ],
)
def test_contradictions_are_refused(flags, found):
    assert found in complaint(**flags)


def test_equal_bounds_do_not_contradict():
    both = config(max_queries=5, min_queries=5, max_duration=3, min_duration=3)
    assert (both.max_queries, both.max_duration) == (5, 3.0)


# ---- the TOML file


def test_a_file_sets_what_flags_leave_open(toml):
    found = config(
        toml('target_qps = 3\nmin-duration = "2s"\nsut = "simulated"\n[sut_options]\nttft_ms = 7\n')
    )
    assert (found.target_qps, found.min_duration, found.sut_options) == (3.0, 2.0, {"ttft_ms": 7})


def test_a_flag_wins_over_the_file(toml):
    found = config(toml("target_qps = 3\nmin_queries = 9\n"), target_qps=4.0, min_queries=None)
    assert (found.target_qps, found.min_queries) == (4.0, 9)


def test_the_file_may_name_the_scenario(toml):
    assert load_config({"scenario": None}, toml('scenario = "offline"')).scenario == "offline"


def test_an_unknown_key_in_the_file_is_refused_with_a_suggestion(toml):
    found = complaint(toml("min_querries = 3\ntarget_qps = 0\n"))
    assert "Did you mean 'min_queries'?" in found
    assert "--target-qps" in found


@pytest.mark.parametrize("text", ["min_queries = \n", "= 3", "a = 1\na = 2", b"a = '\xff'"])
def test_a_malformed_file_is_named(toml, text):
    path = toml(text)
    assert complaint(path).startswith(f"--config {path}: ")
    assert "it is not TOML" in complaint(path) or "it is not UTF-8 text" in complaint(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_toml_file_in_another_encoding_is_named(toml, encoding):
    found = complaint(toml("min_queries = 30\n".encode(encoding)))
    assert f"it is {encoding[:6].upper()} text; expected a TOML file in UTF-8" in found


def test_the_line_of_a_toml_error_is_given(toml):
    assert "line 2" in complaint(toml("min_queries = 3\nmax_queries = \n"))


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "none.toml"
    assert f"--config {path}: there is no such file or folder; expected a TOML" in complaint(path)


def test_a_wrong_type_in_the_file_is_refused(toml):
    assert "--variant" in complaint(toml("variant = 3"))


# ---- seeds


@pytest.mark.parametrize("version", sorted(profiles.SEEDS))
def test_a_round_names_its_seeds(version):
    assert parse_seeds(version) == profiles.SEEDS[version]


@given(*[st.integers(0, 2**64 - 1)] * 3)
def test_three_numbers_are_seeds(qsl, sample, schedule):
    assert parse_seeds(f"{qsl}, {sample},{schedule}") == Seeds(qsl, sample, schedule)


@pytest.mark.parametrize(
    "text", ["1,2", "1,2,3,4", "1,2,x", "-1,2,3", f"1,2,{2**64}", "1.5,2,3", ""]
)
def test_other_texts_are_no_seeds(text):
    with pytest.raises(BadInput, match="Or three integers below 2\\^64: QSL,SAMPLE,SCHEDULE"):
        parse_seeds(text)


# ---- what the scenario gets


def settings(**flags):
    return run_settings(config(**flags), num_samples=200, target_qps=3.5)


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "server", "offline"])
@pytest.mark.parametrize("name", sorted(profiles.TABLE))
def test_open_settings_come_from_the_profile(scenario, name):
    found, profile = settings(scenario=scenario, profile=name), profiles.TABLE[name]
    assert (found.min_queries, found.percentile) == (
        profile.least_queries(scenario),
        profile.tail(scenario),
    )
    assert (found.min_duration_ns, found.equal_issue) == (
        int(profile.min_duration_s * S),
        profile.equal_issue,
    )
    assert (found.ttft_limit_ns, found.max_new_tokens) == (
        int(profile.ttft_limit_s * S),
        profile.max_new_tokens,
    )


def test_own_settings_win_over_the_profile():
    found = settings(
        profile="mlperf",
        min_queries=7,
        min_duration=0,
        ttft_limit="500ms",
        tpot_limit=0.03,
        max_new_tokens=5,
    )
    assert (found.min_queries, found.min_duration_ns, found.max_new_tokens) == (7, 0, 5)
    assert (found.ttft_limit_ns, found.tpot_limit_ns) == (S // 2, 30_000_000)


def test_the_driver_may_lag_a_tenth_of_the_ttft_limit():
    assert settings(ttft_limit=1.5).lag_limit_ns == 150_000_000


def test_library_rate_and_seeds_arrive():
    found = settings(seeds="1,2,3", max_queries=90, max_duration=4, mode="accuracy")
    assert (found.num_samples, found.target_qps, found.seeds) == (200, 3.5, Seeds(1, 2, 3))
    assert (found.max_queries, found.max_duration_ns, found.mode) == (90, 4 * S, "accuracy")


@pytest.mark.parametrize(
    ("scenario", "n"), [("multi-stream", 4), ("server", 1), ("single-stream", 1), ("offline", 1)]
)
def test_only_multi_stream_has_several_samples_per_query(scenario, n):
    assert settings(scenario=scenario, samples_per_query=4).samples_per_query == n


def outcome(**flags):
    try:
        return config(**flags)
    except BadInput as refused:
        return str(refused)


@hypothesis_settings(deadline=None)
@given(
    st.text(max_size=12).filter(lambda key: key != "file"),
    st.one_of(st.text(max_size=8), st.integers(), st.floats(), st.none(), st.booleans()),
)
def test_whatever_is_passed_is_either_taken_or_refused_in_words(key, value):
    for name in (key, "target_qps", "min_duration", "min_queries", "seeds", "dataset", "scenario"):
        found = outcome(**{name: value})
        assert isinstance(found, RunConfig | str)
        assert found


def test_a_toml_file_may_use_the_aliases_of_the_flags(toml):
    found = load_config(
        {"scenario": "server"}, toml("request-rate = 3\nnum-prompts = 5\nconcurrency = 7\n")
    )
    assert (found.target_qps, found.num_samples, found.max_concurrency) == (3.0, 5, 7)


@pytest.mark.parametrize(
    ("flags", "asked", "rows"),
    [
        ({}, "auto", 32),  # the model finds out; until then, 32
        ({"max_concurrency": 8}, 8, 8),
        ({"sut": "simulated"}, 32, 32),
        ({"base_url": "http://127.0.0.1:8000"}, 32, 32),
        ({"sut": "vllm"}, 32, 32),
        ({"sut": "vllm", "max_concurrency": "auto"}, "auto", 32),
    ],
)
def test_a_model_of_ours_alone_finds_out_how_many_requests_are_batched(flags, asked, rows):
    found = load_config({"scenario": "offline"} | flags)
    assert (found.max_concurrency, found.rows) == (asked, rows)


def test_requests_in_a_batch_are_a_number_or_auto():
    assert complaint(max_concurrency="many").endswith("or auto.")


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "gpu"])
def test_an_unknown_device_lists_the_known(name):
    assert f"device: '{name}' is not known; known: auto, cpu, cuda" in complaint(device=name)
