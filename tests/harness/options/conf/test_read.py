"""LoadGen's configuration files as settings: order, names, units, idle lines, and errors where
LoadGen is silent or reads otherwise than it looks. (test_live asks LoadGen itself.)
"""

import json
import re

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.errors import BadInput
from harness.options.conf.read import read_confs
from harness.options.conf.settings import Base
from harness.options.profiles import SEEDS
from harness.options.settings import load_config, run_settings
from harness.options.table.load import ROUND
from reports.conf_lines import sentences

BASE = Base("profile m", equal_issue=False, tokens=None, inferred=None, seeds=SEEDS[ROUND])


@pytest.fixture
def conf(tmp_path):
    def write(text, name="user.conf"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def read(path, model, scenario, base=BASE):
    found = read_confs([path], model, scenario, base).settings
    return {name: setting.value for name, setting in found.items()}


def configured(*paths, **flags):
    asked = {"scenario": "server", "sut": "simulated", "user_conf": list(paths)}
    return load_config(asked | flags)


def idle(config):
    return [(line.number, line.reason) for file in config.conf_files for line in file.idle]


# ---- which line wins


def test_the_most_specific_line_wins_in_loadgens_order(conf):
    lines = [
        "*.*.min_query_count = 1",
        "m.*.min_query_count = 2",
        "*.Server.min_query_count = 3",
        "m.Server.min_query_count = 4",
    ]
    for known in range(1, 5):
        path = conf("\n".join(lines[:known]))
        assert read(path, "m", "server")["min_queries"] == known
    assert read(conf("\n".join(lines)), "other", "server")["min_queries"] == 3
    assert read(conf("\n".join(lines)), "m", "offline")["min_queries"] == 2
    assert read(conf("\n".join(lines[::-1])), "m", "server")["min_queries"] == 4


def test_among_equals_the_last_line_wins_and_the_other_says_so(conf):
    config = configured(conf("*.Server.target_qps = 3\n*.Server.target_qps = 4\n"))
    assert (config.target_qps, config.origins["target_qps"]) == (4.0, "user.conf, line 2")
    assert idle(config) == [(1, "overridden")]


def test_files_are_read_in_loadgens_order_whatever_the_command_line_says(conf):
    user = conf("*.Server.min_query_count = 5\n*.Server.target_qps = 7\n")
    audit = conf("*.*.min_query_count = 100\n*.*.min_duration = 0\n", "audit.config")
    own = conf("*.*.min_query_count = 1\n*.Server.min_duration = 600000\n", "mlperf.conf")
    for order in ([user, audit, own], [audit, own, user]):
        config = configured(*order)
        assert [file.kind for file in config.conf_files] == ["mlperf", "user", "audit"]
        assert (config.min_queries, config.min_duration, config.target_qps) == (100, 0.0, 7.0)
        assert config.origins["min_queries"] == "audit.config, line 1"
    assert idle(config) == [(1, "later_file"), (2, "later_file"), (1, "later_file")]


def test_a_second_user_conf_is_read_over_the_first_and_no_submission_may_have_it(conf):
    first = conf("*.*.min_query_count = 3\n*.*.min_duration = 5\n")
    config = configured(first, conf("*.*.min_query_count = 4\n", "mine.conf"))
    assert (config.min_queries, config.min_duration) == (4, 0.005)
    assert idle(config) == [(1, "later_file")]
    assert "no submission may have more" in sentences(config.conf_files)[-1]


def test_an_audit_config_is_read_for_any_model(conf):
    text = "llama3_1-8b.Server.min_query_count = 500\n*.Server.performance_issue_same = 1\n"
    config = configured(conf(text, "audit.config"), profile="llama3.1-8b")
    assert (config.min_queries, config.issue) == (None, "same+equal")
    assert idle(config) == [(1, "other_model")]


# ---- whose lines


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        ("llama2-70b", "llama2-70b"),
        ("llama2-70b-interactive", "llama2-70b-interactive"),
        ("llama3.1-8b", "llama3_1-8b"),
        ("llama3.1-8b-interactive", "llama3_1-8b-interactive"),
        ("llama3.1-8b-edge", "llama3_1-8b-edge"),
        ("llama3.1-405b", "llama3_1-405b"),
        ("llama3.1-405b-interactive", "llama3_1-405b-interactive"),
        ("mixtral-8x7b", "mixtral-8x7b"),
        ("deepseek-r1", "deepseek-r1"),
        ("deepseek-r1-interactive", "deepseek-r1-interactive"),
        ("gpt-oss-120b", "gpt-oss-120b"),
        ("gpt-oss-120b-interactive", "gpt-oss-120b-interactive"),
        ("gptj", "gptj"),
    ],
)
def test_a_profile_reads_the_lines_of_loadgens_name_of_its_model(conf, profile, name):
    config = configured(conf(f"{name}.Server.target_qps = 33\n"), profile=profile)
    assert (config.target_qps, idle(config)) == (33.0, [])


def test_our_name_of_the_model_is_an_error_that_gives_loadgens(conf):
    path = conf("llama3.1-8b.Server.target_qps = 33\n")
    with pytest.raises(
        BadInput, match=r"line 1: model 'llama3.1-8b'; LoadGen's name .*llama3_1-8b"
    ):
        configured(path, profile="llama3.1-8b")


def test_lines_that_apply_to_nothing_are_counted_with_their_reasons(conf):
    text = (
        "llama2-70b.Server.target_qps = 1\nlama3_1-8b.Server.target_qps = 2\n"
        "*.Offline.target_qps = 3\n*.*.target_duration = 4\n*.*.qsl_rng_seed = 5\n"
        "*.Server.target_qps = 6\n*.*.test07_accuracy_threshold = 60.698\n"
    )
    config = configured(conf(text), profile="llama3.1-8b")
    (file,) = config.conf_files
    assert (file.lines, file.applied, config.target_qps) == (7, 1, 6.0)
    assert idle(config) == [
        (1, "other_model"),
        (2, "unknown_model"),
        (3, "other_scenario"),
        (4, "not_read"),
        (5, "not_read"),
        (7, "not_read"),
    ]
    said = sentences(config.conf_files)
    assert said[0] == (
        "user.conf: 1 of 7 lines apply to this run (read as a user.conf, model llama3_1-8b, Server)"
    )
    assert "did you mean llama3_1-8b?" in said[2]
    assert "--seeds" in said[5]


def test_plan_and_run_say_what_applied_and_their_data_have_it(conf, tmp_path):
    path = conf("llama2-70b.Server.target_qps = 5\n*.Server.target_qps = 50\n")
    flags = ["--scenario", "server", "--sut", "simulated", "--user-conf", str(path)]
    planned = CliRunner().invoke(app, ["plan", *flags, "--json"])
    (file,) = json.loads(planned.stdout.splitlines()[-1])["conf_files"]
    assert (file["applied"], file["lines"], file["idle"][0]["reason"]) == (1, 2, "other_model")
    assert "user.conf: 1 of 2 lines apply to this run" in planned.output
    ran = CliRunner().invoke(
        app,
        ["run", *flags, "--clock", "virtual", "--output-dir", str(tmp_path / "runs"), "--json"],
    )
    result = json.loads(ran.stdout.splitlines()[-1])
    assert result["settings"]["config"]["conf_files"] == [file]
    assert "line 1 does not, llama2-70b.Server.target_qps = 5" in ran.output


# ---- units


def test_milliseconds_and_percent_become_our_units(conf):
    text = "*.Server.min_duration = 600000\n*.Server.ttft_latency = 2000\n"
    text += "*.Server.tpot_latency = 200\n*.Server.target_latency_percentile = 99\n"
    assert read(conf(text), "m", "server") == {
        "min_duration": 600.0,
        "ttft_limit": 2.0,
        "tpot_limit": 0.2,
        "percentile": 99.0,
    }


def test_a_percentile_is_loadgens_double_and_a_flags_is_the_nearest(conf):
    path = conf("*.Server.target_latency_percentile = 57\n")
    assert run_settings(configured(path), 100, 1.0).percentile == 57 * 0.01 != 0.57
    assert run_settings(configured(path, percentile=57), 100, 1.0).percentile == 0.57


@pytest.mark.parametrize("ms", [1, 7, 1001, 599_999, 600_000])
def test_no_millisecond_is_lost(conf, ms):
    config = configured(conf(f"*.*.min_duration = {ms}\n*.*.max_duration = {ms}\n"))
    settings = run_settings(config, 100, 1.0)
    assert (settings.min_duration_ns, settings.max_duration_ns) == (ms * 10**6, ms * 10**6)


def test_an_expected_latency_is_an_expected_rate_in_the_stream_scenarios_only(conf):
    path = conf("*.*.target_latency = 10")
    assert read(path, "m", "single-stream") == {"target_qps": 100.0}
    assert read(path, "m", "server")["target_latency"] == 0.01  # there it is a limit
    assert read(path, "m", "offline") == {}
    assert read(conf("*.*.target_qps = 5"), "m", "multi-stream") == {}


def test_sampling_and_inferred_tokens_are_read(conf):
    text = "*.*.accuracy_log_sampling_target = 100\n"
    text += "*.*.accuracy_log_rng_seed = 720381539243781796\n*.*.infer_token_latencies = 1\n"
    text += "*.*.token_latency_scaling_factor = 69\n*.*.mode = 0\n"
    assert read(conf(text), "m", "server") == {
        "accuracy_log_target": 100,
        "accuracy_log_seed": 720381539243781796,
        "infer_tokens": 69,
        "mode": "submission",
    }


def test_what_a_profile_infers_can_be_turned_off(conf):
    config = configured(conf("*.*.infer_token_latencies = 0\n"), profile="gptj")
    assert run_settings(config, 100, 1.0).inferred_tokens_per_sample is None


def test_an_override_of_zero_means_all_samples(conf):
    text = "*.*.performance_sample_count_override = 0\n*.*.accuracy_sample_count_override = 0\n"
    config = configured(conf(text), profile="gpt-oss-120b")
    settings = run_settings(config, 9000, 1.0)
    assert (settings.performance_samples, settings.accuracy_samples) == (9000, None)


def test_test05_is_refused_where_loadgen_reads_it_and_idle_where_it_does_not(conf):
    with pytest.raises(BadInput, match="LoadGen would take the seeds of TEST05"):
        configured(conf("*.*.test05 = 1\n", "mlperf.conf"))
    assert idle(configured(conf("*.*.test05 = 1\n"))) == [(1, "not_read")]


def test_seeds_count_in_an_mlperf_conf_alone(conf):
    numbers = SEEDS["v5.0"]
    text = (
        f"*.*.qsl_rng_seed = {numbers.qsl}\n*.*.sample_index_rng_seed = {numbers.sample_index}\n"
        f"*.*.schedule_rng_seed = {numbers.schedule}\n"
    )
    assert configured(conf(text, "mlperf.conf")).seeds == "v5.0"
    config = configured(conf(text))
    assert (config.seeds, [reason for _, reason in idle(config)]) == (ROUND, ["not_read"] * 3)


# ---- tokens, or the whole latency


def test_a_latency_limit_does_not_switch_tokens_off_where_loadgen_judges_them(conf):
    path = conf("*.Server.target_latency = 5000\n")
    settings = run_settings(configured(path, profile="llama3.1-8b"), 100, 1.0)
    assert (settings.use_tokens, settings.target_latency_ns) == (True, 5 * 10**9)
    settings = run_settings(configured(path, profile="quick"), 100, 1.0)
    assert (settings.use_tokens, settings.target_latency_ns) == (False, 5 * 10**9)


def test_the_flag_asks_for_the_whole_latency_whatever_the_file_says(conf):
    path = conf("*.Server.target_latency = 5000\n")
    config = configured(path, profile="llama3.1-8b", target_latency="3s")
    settings = run_settings(config, 100, 1.0)
    assert (settings.use_tokens, settings.target_latency_ns) == (False, 3 * 10**9)


def test_use_token_latencies_decides(conf):
    off = "*.Server.use_token_latencies = 0\n*.Server.target_latency = 12000\n"
    settings = run_settings(configured(conf(off), profile="llama3.1-8b"), 100, 1.0)
    assert (settings.use_tokens, settings.lag_limit_ns) == (False, 12 * 10**8)
    on = "*.Server.use_token_latencies = 1\n*.Server.target_latency = 12000\n"
    assert run_settings(configured(conf(on)), 100, 1.0).use_tokens
    with pytest.raises(
        BadInput, match=r"user\.conf, line 1: without TTFT and TPOT the whole latency"
    ):
        configured(conf("*.Server.use_token_latencies = 0\n"), profile="llama3.1-8b")
    offline = configured(conf("*.*.use_token_latencies = 0\n"), scenario="offline")
    assert not run_settings(offline, 100, 1.0).use_tokens


def test_token_limits_without_tokens_are_not_read_and_said_so(conf):
    text = "*.*.use_token_latencies = 0\n*.Server.target_latency = 9\n*.Server.ttft_latency = 5\n"
    config = configured(conf(text), profile="llama3.1-8b")
    assert (config.ttft_limit, idle(config)) == (None, [(3, "not_read")])


# ---- how samples are chosen


@pytest.mark.parametrize(
    ("lines", "issue"),
    [
        (["sample_concatenate_permutation = 1"], {"issue": "equal"}),
        (["sample_concatenate_permutation = 0"], {"issue": "random"}),
        (["performance_issue_unique = 1"], {"issue": "unique"}),
        (["performance_issue_same = 1"], {"issue": "same"}),
        (
            ["performance_issue_unique = 1", "sample_concatenate_permutation = 1"],
            {"issue": "unique+equal"},
        ),
        ([], {}),
    ],
)
def test_three_flags_of_loadgen_are_one_setting(conf, lines, issue):
    assert read(conf("\n".join(f"*.*.{line}" for line in lines)), "m", "server") == issue


def test_test04s_config_leaves_a_language_models_equal_issue_on(conf):
    text = "*.Server.mode = 2\n*.Server.performance_issue_unique = 0\n"
    text += "*.Server.performance_issue_same = 1\n*.Server.performance_issue_same_index = 3\n"
    config = configured(conf(text, "audit.config"), profile="llama3.1-8b")
    settings = run_settings(config, 100, 1.0)
    assert (settings.issue, settings.same_index, settings.equal_issue) == ("same", 3, True)


def test_unique_beside_equal_is_refused_where_loadgen_crashes(conf):
    text = "*.*.performance_issue_unique = 1\n*.*.sample_concatenate_permutation = 1\n"
    with pytest.raises(BadInput, match="LoadGen crashes"):
        configured(conf(text), scenario="multi-stream")


# ---- refused, with the difference


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("*.*.min_query_count = 010", "LoadGen reads it as 8. Write 10"),
        ("*.*.min_query_count = 1e3", "LoadGen reads it as 1. Write 1000"),
        ("*.*.min_query_count = 12.5", "LoadGen reads it as 12. Write 12 or 13"),
        ("*.*.min_query_count = -1", "LoadGen reads it as 18446744073709551615"),
        ("*.*.min_duration = 99999999999999999999", "LoadGen reads it as 18446744073709551615"),
        ("*.Server.ttft_latency = 18446744073710", "LoadGen reads it as 0"),
        ("*.*.use_token_latencies = 2", "LoadGen takes it for off. Write 0 or 1"),
        ("*.*.performance_issue_same = 2", "LoadGen takes it for on. Write 0 or 1"),
        ("*.Server.target_qps=5", r"LoadGen skips the line .* Write \*.Server.target_qps = 5"),
        ("*.Server.target_qps =5", r"refuses the whole file. Write \*.Server.target_qps = 5"),
        ("*.Server.target_qps = 5 # why", "LoadGen refuses the whole file"),
        ("*.Server.target_qps = 5 6", "LoadGen takes the last, 6"),
        ("*.Server.target_qps =", "has no value; LoadGen skips the line"),
        ("*.Server.target_qps = fast", "is no number; LoadGen refuses the whole file"),
        ("*.Server.target_qps = nan", "target_qps = nan"),
        ("*.Server.target_qps = -2", "LoadGen would take 1.0, with an error"),
        ("#comment here", "has no space after #; LoadGen refuses the whole file"),
        ("target_qps = 1", "Write model.scenario.key"),
        ("*.Server.target_qsp = 1", "key 'target_qsp' is not known; .* 'target_qps'"),
        ("*.Sever.target_qps = 1", "scenario 'Sever' is not known; .* 'Server'"),
        ("*.Interactive.target_qps = 1", "model-interactive.Server.key"),
        ("*.*.mode = 7", "LoadGen logs an error and keeps its mode"),
        ("*.*.min_query_count = 0", "LoadGen lets the duration alone decide"),
        ("*.Server.target_latency_percentile = 100", "target_latency_percentile = 100"),
        ("*.Server.coalesce_queries = 1", "coalesce_queries = 1; here"),
        ("*.Server.max_async_queries = 5", "max_async_queries = 5; here"),
        ("*.*.performance_issue_same = 1\n*.*.performance_issue_unique = 1", "both on"),
        ("*.*.infer_token_latencies = 1", "whatever number is in memory"),
        ("*.Server.target_latency = 9\n*.Server.ttft_latency = 9", "both set"),
        ("*.*.mode = 2\r*.*.mode = 3", "carriage return"),
    ],
)
def test_what_loadgen_reads_otherwise_than_it_looks_is_refused(conf, line, complaint):
    with pytest.raises(BadInput, match=rf"(?s)user.conf, line [23].*{complaint}"):
        configured(conf("# first\n" + line + "\n"))


def test_all_problems_of_a_file_are_reported_at_once(conf):
    with pytest.raises(BadInput, match=r"(?s)2 problems:.*line 1: .*line 3: "):
        configured(conf("*.*.mode = 7\n\n*.*.min_duration = 1e3\n"))


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff*.Server.target_qps = 7\n",
        "\ufeff# a comment\n*.Server.target_qps = 7\n",
    ],
)
def test_a_byte_order_mark_is_named(conf, text):
    with pytest.raises(BadInput, match="line 1: the file begins with a byte order mark"):
        configured(conf(text))


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("\uff0a.Server.target_qps = 7", "U+FF0A (fullwidth asterisk)"),
        ("*.Server.\uff54arget_qps = 7", "U+FF54 (fullwidth latin small letter t)"),
        ("*\uff0eServer\uff0etarget_qps = 7", "U+FF0E (fullwidth full stop)"),
        ("*.Server.target\u00ad_qps = 7", "U+00AD (soft hyphen)"),
        ("\ufeff*.Server.target_qps = 7", "U+FEFF (zero width no-break space)"),
        ("*.Server.target_qps\u00a0= 7", "U+00A0 (no-break space)"),
        ("*.Server.target_qps \uff1d 7", "U+FF1D (fullwidth equals sign)"),
        ("*.Server.target_qps = \uff17", "U+FF17 (fullwidth digit seven)"),
        ("*.Server.target_qps = 7\u200b", "U+200B (zero width space)"),
        ("*.Server.target_qps = \u22127", "U+2212 (minus sign)"),
        ("*.Server.target_qps = \u201c7\u201d", "U+201C (left double quotation mark)"),
        ("*.Server.min_query_count = 3\u2028*.Server.target_qps = 7", "U+2028 (line separator)"),
        ("*.Server.min_query_count = 3\u0085*.Server.target_qps = 7", "U+0085 (control character)"),
        ("*.Server.target_qps = 7\0", "U+0000 (control character)"),
        ("\uff03 a comment", "U+FF03 (fullwidth number sign)"),
    ],
)
def test_a_character_that_looks_like_another_or_like_nothing_is_named(conf, line, named):
    with pytest.raises(BadInput, match=r"line 2: .*" + re.escape(named)) as caught:
        configured(conf(f"# a comment\n{line}\n"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_conf_file_in_another_encoding_is_named(conf, encoding):
    with pytest.raises(BadInput, match=f"it is {encoding[:6].upper()} text; LoadGen reads UTF-8"):
        configured(conf("*.Server.target_qps = 7\n".encode(encoding)))


@pytest.mark.parametrize("line", ["*.Server. = 7", ".Server.target_qps = 7", "*..target_qps = 7"])
def test_a_part_of_a_key_that_is_blank_is_no_name(conf, line):
    with pytest.raises(BadInput, match="LoadGen skips the line without a word"):
        configured(conf(f"{line}\n"))


@pytest.mark.parametrize(
    "text",
    [
        b"\t*.Server.target_qps\t=  7 \r\n",
        b"# caf\xe9\n#\n#-----\n*.Server.target_qps = 7",
        b"\xef\xbb\xbf\r\n*.Server.target_qps = 0x7\n",
        b"\x0b\x0c\n*.Server.target_qps = 7.0\n",
    ],
)
def test_what_loadgen_reads_as_it_looks_is_read(conf, text):
    assert configured(conf(text)).target_qps == 7.0


def test_a_toml_file_may_begin_with_a_byte_order_mark(conf):
    path = conf("\ufefftarget_qps = 7\n", "run.toml")
    assert load_config({"scenario": "server", "sut": "null"}, path).target_qps == 7.0


# ---- beside flags and TOML


def test_every_setting_says_which_line_made_it(conf):
    text = (
        "*.*.min_query_count = 1\n\nm.Server.target_qps = 4\n*.Server.performance_issue_same = 1\n"
    )
    config = configured(conf(text), conf_model="m", min_duration=70)
    assert config.origins["target_qps"] == "user.conf, line 3"
    assert config.origins["issue"] == "user.conf, line 4"
    assert config.origins["min_duration"] == "--min-duration"


def test_flags_win_over_the_conf_file_and_it_over_the_toml_file(conf, tmp_path):
    (tmp_path / "run.toml").write_text("target_qps = 1\nmin_queries = 11\nmax_new_tokens = 5\n")
    path = conf("*.Server.target_qps = 2\n*.Server.min_query_count = 22")
    flags = {"scenario": "server", "sut": "simulated", "target_qps": "3", "user_conf": path}
    config = load_config(flags, tmp_path / "run.toml")
    assert (config.target_qps, config.min_queries, config.max_new_tokens) == (3.0, 22, 5)


def test_a_toml_file_may_name_several(conf, tmp_path):
    paths = [conf("*.*.min_query_count = 3\n"), conf("*.*.min_query_count = 4\n", "audit.config")]
    text = f"scenario = 'server'\nsut = 'null'\nuser_conf = {[str(path) for path in paths]}\n"
    (tmp_path / "run.toml").write_text(text)
    assert load_config({}, tmp_path / "run.toml").min_queries == 4


def test_values_of_the_conf_file_are_checked_like_any_other_and_name_their_line(conf):
    with pytest.raises(
        BadInput, match=r"user\.conf, line 1: --min-queries is 99999999999: it must"
    ):
        configured(conf("*.*.min_query_count = 99999999999"))


def test_a_missing_conf_file_is_a_sentence(tmp_path):
    with pytest.raises(BadInput, match=r"--user-conf .*nothing.conf: there is no such file"):
        configured(tmp_path / "nothing.conf")
