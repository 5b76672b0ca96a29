"""LoadGen's configuration files as settings: precedence, units, and errors where LoadGen is
silent.
"""

import pytest

from harness import conf as conf_module
from harness.errors import BadInput
from harness.settings import load_config


def read_conf(path, model, scenario):
    return {
        name: setting.value
        for name, setting in conf_module.read_conf(path, model, scenario).items()
    }


@pytest.fixture
def conf(tmp_path):
    def write(text):
        path = tmp_path / "user.conf"
        path.write_text(text)
        return path

    return write


def test_the_most_specific_line_wins_in_loadgens_order(conf):
    lines = [
        "*.*.target_qps = 1",
        "m.*.target_qps = 2",
        "*.Server.target_qps = 3",
        "m.Server.target_qps = 4",
    ]
    for known in range(1, 5):
        assert read_conf(conf("\n".join(lines[:known])), "m", "server")["target_qps"] == known
    assert read_conf(conf("\n".join(lines)), "other", "server")["target_qps"] == 3
    assert read_conf(conf("\n".join(lines)), "m", "offline")["target_qps"] == 2


def test_milliseconds_and_percent_become_our_units(conf):
    text = (
        "*.Server.min_duration = 600000\n*.Server.ttft_latency = 2000\n*.Server.tpot_latency ="
        " 200\n"
    )
    text += "*.Server.target_latency_percentile = 99 # per cent\n"
    found = read_conf(conf(text), "m", "server")
    assert found == {
        "min_duration": 600.0,
        "ttft_limit": 2.0,
        "tpot_limit": 0.2,
        "percentile": 99.0,
    }


def test_an_expected_latency_is_an_expected_rate_in_the_stream_scenarios_only(conf):
    path = conf("*.*.target_latency = 10")
    assert read_conf(path, "m", "single-stream") == {"target_qps": 100.0}
    assert read_conf(path, "m", "server") == {"target_latency": 0.01}  # there it is a limit
    assert read_conf(conf("*.*.target_latency = 0"), "m", "server") == {
        "target_latency": None
    }  # tokens have theirs
    assert read_conf(path, "m", "offline") == {}


def test_every_setting_says_which_line_made_it(conf):
    path = conf(
        "*.*.target_qps = 1\n\nm.Server.target_qps = 4\n*.Server.performance_issue_same = 1\n"
    )
    config = load_config(
        {
            "scenario": "server",
            "sut": "null",
            "user_conf": path,
            "conf_model": "m",
            "min_queries": 70,
        }
    )
    assert config.origins["target_qps"] == "user.conf, line 3"
    assert config.origins["issue"] == "user.conf, line 4"
    assert config.origins["min_queries"] == "--min-queries"


def test_sampling_and_inferred_tokens_are_read(conf):
    text = (
        "*.*.accuracy_log_sampling_target = 100\n*.*.accuracy_log_rng_seed = 720381539243781796\n"
    )
    text += "*.*.infer_token_latencies = 1\n*.*.token_latency_scaling_factor = 69\n*.*.mode = 0\n"
    assert read_conf(conf(text), "m", "server") == {
        "accuracy_log_target": 100,
        "accuracy_log_seed": 720381539243781796,
        "infer_tokens": 69,
        "mode": "submission",
    }


@pytest.mark.parametrize("line", ["*.*.coalesce_queries = 1", "*.*.max_async_queries = 5"])
def test_what_is_not_offered_is_refused_and_not_ignored(conf, line):
    with pytest.raises(BadInput, match="line 1"):
        read_conf(conf(line), "m", "server")


@pytest.mark.parametrize(
    ("lines", "issue"),
    [
        (["sample_concatenate_permutation = 1"], {"issue": "equal"}),
        (["sample_concatenate_permutation = 0"], {"issue": "random"}),
        (
            ["performance_issue_unique = 1", "sample_concatenate_permutation = 0"],
            {"issue": "unique"},
        ),
        (["performance_issue_same = 1"], {"issue": "same"}),
        ([], {}),
    ],
)
def test_three_flags_of_loadgen_are_one_setting(conf, lines, issue):
    assert read_conf(conf("\n".join(f"*.*.{line}" for line in lines)), "m", "server") == issue


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            "*.Server.target_qsp = 1",
            r"user.conf, line 2: key: 'target_qsp' is not known; .* Did you mean 'target_qps'\?",
        ),
        (
            "*.Sever.target_qps = 1",
            r"line 2: scenario: 'Sever' is not known; .* Did you mean 'Server'\?",
        ),
        ("target_qps = 1", r"line 2: 'target_qps = 1'; model.scenario.key = value"),
        ("*.Server.target_qps = fast", r"line 2: target_qps = fast"),
        ("*.Server.min_query_count = 1.5", r"line 2: min_query_count = 1.5"),
        ("*.*.mode = 7", r"line 2: mode = 7"),
        ("*.*.qsl_rng_seed = 7", r"line 2: qsl_rng_seed cannot be set here; LoadGen ignores seeds"),
        ("*.*.performance_issue_same = 1\n*.*.performance_issue_unique = 1", "both on"),
    ],
)
def test_what_loadgen_would_swallow_is_refused_with_its_line(conf, line, complaint):
    with pytest.raises(BadInput, match=complaint):
        read_conf(conf("# first\n" + line), "m", "server")


def test_flags_win_over_the_conf_file_and_it_over_the_toml_file(conf, tmp_path):
    (tmp_path / "run.toml").write_text("target_qps = 1\nmin_queries = 11\nmax_new_tokens = 5\n")
    path = conf("*.Server.target_qps = 2\n*.Server.min_query_count = 22")
    flags = {"scenario": "server", "sut": "simulated", "target_qps": "3", "user_conf": path}
    config = load_config(flags, tmp_path / "run.toml")
    assert (config.target_qps, config.min_queries, config.max_new_tokens) == (3.0, 22, 5)


def test_values_of_the_conf_file_are_checked_like_any_other(conf):
    with pytest.raises(BadInput, match="--target-qps is -2"):
        load_config(
            {"scenario": "server", "sut": "simulated", "user_conf": conf("*.*.target_qps = -2")}
        )


def test_a_missing_conf_file_is_a_sentence(tmp_path):
    with pytest.raises(BadInput, match=r"reading .*nothing.conf"):
        load_config({"scenario": "server", "user_conf": tmp_path / "nothing.conf"})
