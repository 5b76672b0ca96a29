"""Is a configuration file read as the official LoadGen reads it? Its `FromConfig` is asked; what we
refuse is let pass here, and what we accept must be LoadGen's to the last bit.

LOADGEN_EXAMPLES=2000 draws that many files; the ordinary suite draws some.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from harness.kernel.errors import BadInput
from harness.official.wheel import settings_of as wheel_settings
from harness.options import profiles
from harness.options.conf.keys import KEYS, NEVER_READ, SCENARIOS
from harness.options.conf.lines import is_number, loadgens_integer, read_lines
from harness.options.conf.read import kind_of, read_confs
from harness.options.conf.settings import Base
from harness.options.settings import load_config, run_settings
from harness.options.table.load import ROUND

SIZE = 50_000  # of the library: more than any model loads
EXAMPLES = int(os.environ.get("LOADGEN_EXAMPLES", "150"))
pytestmark = pytest.mark.timeout(0 if "LOADGEN_EXAMPLES" in os.environ else 300)  # seconds
BENCHMARKS = {name: row for name, row in profiles.TABLE.items() if row.loadgen_model}
EQUAL_ISSUE = "sample_concatenate_permutation"


@pytest.fixture(scope="module")
def loadgen():
    """Ask the official LoadGen: model, scenario and (model, text) of each file -> its settings."""
    if find_spec("mlperf_loadgen") is None:
        pytest.skip(
            "the wheel mlcommons-loadgen is not installed (it exists for Linux on x86-64 only)"
        )
    with subprocess.Popen(
        [sys.executable, "-m", "tests.loadgen_conf_oracle"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def ask(model, scenario, files=()):
            case = {"model": model, "scenario": scenario, "files": files}
            process.stdin.write(json.dumps(case) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        with suppress(BrokenPipeError):
            process.stdin.close()


@pytest.fixture(scope="module")
def own_conf(tmp_path_factory):
    """The mlperf.conf that the wheel has inside, as a file."""
    spec = find_spec("mlperf_loadgen")
    if spec is None:
        pytest.skip("the wheel mlcommons-loadgen is not installed")
    found = re.search(rb"# The format of this config file[^\0]*", Path(spec.origin).read_bytes())
    path = tmp_path_factory.mktemp("own") / "mlperf.conf"
    path.write_bytes(found[0])
    return path


def ours(profile, scenario, paths, **flags):
    """(settings of a run, its config), as the command line makes them."""
    asked = {"scenario": scenario, "sut": "simulated", "profile": profile, "user_conf": paths}
    config = load_config(asked | flags)
    rate = 10.0 if config.target_qps == "auto" else config.target_qps
    return run_settings(config, SIZE, rate), config


def differences(settings, config, official):
    """Settings that are not LoadGen's. Those that have no effect on the run are not compared."""
    found = wheel_settings(settings)
    for stream in ("single_stream", "multi_stream"):
        if f"{stream}_expected_latency_ns" in found:
            found["rate"] = settings.target_qps
            official = official | {"rate": 1e9 / official.pop(f"{stream}_expected_latency_ns")}
            del found[f"{stream}_expected_latency_ns"]
    if config.target_qps == "auto":
        for rate in ("rate", "server_target_qps", "offline_expected_qps"):
            found.pop(rate, None)
    for override in ("performance_sample_count_override", "accuracy_sample_count_override"):
        del found[override]
    found["performance_samples"] = settings.performance_samples
    found["accuracy_samples"] = settings.accuracy_samples or SIZE
    found.setdefault("use_token_latencies", settings.use_tokens)
    found.setdefault("infer_token_latencies", False)
    modes = {"submission": "SubmissionRun", "accuracy": "AccuracyOnly"}
    modes |= {"performance": "PerformanceOnly", "find-peak": "FindPeakPerformance"}
    official = official | {
        "performance_samples": min(official["performance_sample_count_override"] or SIZE, SIZE),
        "accuracy_samples": official["accuracy_sample_count_override"] or SIZE,
    }
    found["mode"] = modes[config.mode]
    if settings.scenario == "offline":  # one query, which nothing ends early
        official = official | {"max_duration_ms": 0, "max_query_count": 0}
    del found["scenario"]
    return {
        key: (value, official[key])
        for key, value in found.items()
        if value != official[key] and key != "print_timestamps"
    }


# ---- no file: a profile is its model's part of mlperf.conf


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("profile", BENCHMARKS)
def test_a_profile_is_its_models_part_of_mlperf_conf(loadgen, profile, scenario):
    official = loadgen(BENCHMARKS[profile].loadgen_model, scenario)
    differs = set(differences(*ours(profile, SCENARIOS[scenario], []), official))
    if profile == "llama3.1-8b-edge":  # it has no server scenario, hence no limits there
        differs -= {"ttft_latency", "server_target_latency_ns"}
    if scenario == "Offline" and ("interactive" in profile or "gpt-oss" in profile):
        differs -= {"min_query_count"}  # not in mlperf.conf: equal issue makes it so many
    assert not differs


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("model", ["quick", "mlperf", *BENCHMARKS])
def test_mlperf_conf_itself_is_read(loadgen, own_conf, model, scenario):
    official = loadgen(profiles.TABLE[model].loadgen_model or "*", scenario)
    settings, config = ours(model, SCENARIOS[scenario], [own_conf])
    differs = set(differences(settings, config, official))
    if not profiles.TABLE[model].loadgen_model:  # tests nothing of LoadGen's own defaults
        differs -= {"min_query_count", "performance_samples", "ttft_latency", "tpot_latency"}
        differs -= {EQUAL_ISSUE, "use_token_latencies"}
    assert differs <= {"min_query_count", "ttft_latency"}
    (file,) = config.conf_files
    assert (file.kind, file.lines) == ("mlperf", 148)
    assert config.seeds == ROUND
    assert {line.reason for line in file.idle} >= {"other_model", "other_scenario", "not_read"}
    assert "unknown_model" not in {line.reason for line in file.idle}


def test_every_model_of_mlperf_conf_is_known_and_every_profile_has_one_of_them(own_conf):
    lines, problems = read_lines(own_conf)
    assert not problems
    models = {line.model for line in lines} - {"*"}
    assert models <= profiles.LOADGEN_MODELS
    assert {row.loadgen_model for row in BENCHMARKS.values()} <= models
    assert {line.key for line in lines} <= {*KEYS, *NEVER_READ}


# ---- drawn files

_integers = st.sampled_from(["0", "1", "2", "3", "5", "64", "600", "70000"])
_odd = st.sampled_from([
    "010", "08", "0x10", "0X1f", "1e3", "1e0", "12.5", "12.0", "5.", ".5", "-1", "-0", "+5",
    "99999999999999999999", "18446744073709551615", "18446744073710", "1e400", "inf", "nan",
    "NaN(1)", "0x1p4", "0x", "0b1", "1_000", "five", "5ms", "²", "٣",
])  # fmt: skip
_percents = st.sampled_from(["90", "99", "99.9", "57", "0", "100"])
_values = st.one_of(*[_integers] * 8, *[_percents] * 3, _odd)
_models = st.sampled_from(["*", "*", "{model}", "{model}", "llama2-70b", "gptj", "nobody"])
_scenarios = st.sampled_from(["*", *SCENARIOS, "{scenario}"] * 5 + ["Sever"])
_keys = st.sampled_from([*KEYS] * 3 + [*NEVER_READ, "test07_accuracy_threshold", "target_qsp"])
_forms = st.sampled_from([
    *["{key} = {value}"] * 200, "{key}\t=  {value} ", "  {key} = {value}\r", "{key}={value}",
    "{key} ={value}", "{key}= {value}", "{key} = {value} # why", "{key} = {value} 7", "{key} =",
    "{key}", "# {key} = {value}", "#{key} = {value}", "#{key} {value}", "##", "", " \f\v",
    "{key} = {value}\r{key} = 3", "{key} : {value}", "{key} # = {value}", "= {value}",
])  # fmt: skip


@st.composite
def confs(draw, model, scenario):
    """The text of a file, as bytes in Latin-1."""
    lines = []
    for _ in range(draw(st.integers(0, 6))):
        key = f"{draw(_models)}.{draw(_scenarios)}.{draw(_keys)}"
        line = draw(_forms).format(key=key, value=draw(_values))
        lines.append(line.replace("{model}", model).replace("{scenario}", scenario))
    start = draw(st.sampled_from([*[""] * 40, "\ufeff", "\ufeff\n", "# \xe9\n"]))
    end = draw(st.sampled_from(["\n", "", "\r\n"]))
    return (start + "\n".join(lines) + end).encode().decode("latin-1")


@st.composite
def cases(draw):
    profile, scenario = draw(st.sampled_from([*BENCHMARKS])), draw(st.sampled_from([*SCENARIOS]))
    model = BENCHMARKS[profile].loadgen_model
    files = [("user.conf", draw(confs(model, scenario)))]
    if draw(st.booleans()):
        files.insert(draw(st.integers(0, 1)), ("audit.config", draw(confs(model, scenario))))
    return profile, scenario, files


@hypothesis_settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="LOADGEN_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(case=cases())
def test_what_is_accepted_means_what_loadgen_takes_it_for(loadgen, tmp_path_factory, case):
    profile, scenario, files = case
    folder = tmp_path_factory.mktemp("conf")
    for name, text in files:
        (folder / name).write_bytes(text.encode("latin-1"))
    try:
        settings, config = ours(profile, SCENARIOS[scenario], [folder / name for name, _ in files])
    except BadInput:
        event("refused")
        return
    event("accepted")
    model = BENCHMARKS[profile].loadgen_model
    in_order = sorted(files, reverse=True)  # user.conf, then audit.config
    texts = [(model if kind_of(Path(name)) == "user" else "*", text) for name, text in in_order]
    official = loadgen(model, scenario, texts)
    assert official["codes"] == [0] * len(files)
    differs = differences(settings, config, official)
    base = differences(*ours(profile, SCENARIOS[scenario], []), loadgen(model, scenario))
    assert {key: pair for key, pair in differs.items() if pair != base.get(key)} == {}


@st.composite
def plain_lines(draw):
    """A line as it is meant to be written."""
    key = draw(st.sampled_from([*KEYS]))
    row, value = KEYS[key], str(draw(st.integers(1, 10**6)))
    if "switch" in row.form or key in ("mode", "coalesce_queries", "max_async_queries"):
        value = "0"
    if key in ("target_latency_percentile", "accuracy_log_probability"):
        value = draw(st.sampled_from(["1", "90", "99.9"]))
    model, scenario = (
        draw(st.sampled_from(["*", "m", "bert"])),
        draw(st.sampled_from(["*", *SCENARIOS])),
    )
    return f"{model}.{scenario}.{key} = {value}"


@hypothesis_settings(deadline=None)
@given(st.lists(plain_lines(), max_size=8), st.sampled_from([*SCENARIOS.values()]))
def test_what_is_written_plainly_is_never_refused(tmp_path_factory, lines, scenario):
    path = tmp_path_factory.mktemp("conf") / "user.conf"
    path.write_text("# settings\n" + "\n".join(lines) + "\n")
    base = Base("profile m", False, True, 69, profiles.SEEDS[ROUND])
    (file,) = read_confs([path], "m", scenario, base).files
    assert (file.lines, file.applied) == (len(lines), len(lines) - len(file.idle))


@hypothesis_settings(deadline=None)
@given(st.text("0123456789.eExXabfp+-in_ ", max_size=12).filter(str.strip))
def test_numbers_are_what_loadgen_takes_for_numbers(loadgen, text):
    value = text.replace(" ", "")
    official = loadgen("*", "Server", [("*", f"*.*.accuracy_log_rng_seed = {value}\n")])
    assert (official["codes"] == [0]) == is_number(value)
    if is_number(value):
        assert official["accuracy_log_rng_seed"] == loadgens_integer(value)


# ---- letters that look like others, or like nothing


@pytest.mark.parametrize(
    "line",
    [
        "\uff0a.Server.target_qps = 7",
        "*.Server.\uff54arget_qps = 7",
        "\ufeff*.Server.target_qps = 7",
        "*.Server.target\u00ad_qps = 7",
        "*.Server.target_qps\u00a0= 7",
        "*.Server.target_qps \uff1d 7",
        "*.Server.target_qps = \uff17",
        "*.Server.target_qps = 7\u200b",
        "*.Server.target_qps = \u22127",
        "*.Server.min_query_count = 3\u2028*.Server.target_qps = 7",
        "*.Server.target_qps = 7\0",
        "\uff03 a comment",
        "\u00a0",
        "\x1a",
        "*.Server. = 7",
        "*..target_qps = 7",
        ".*.target_qps = 7",
    ],
)
def test_what_is_said_of_a_line_is_what_loadgen_does(loadgen, tmp_path, line):
    path = tmp_path / "user.conf"
    path.write_text(f"#\n{line}\n", encoding="utf-8")
    official = loadgen("*", "Server", [("*", path.read_bytes().decode("latin-1"))])
    with pytest.raises(BadInput) as caught:
        read_confs(
            [path], "*", "server", Base("profile m", False, True, None, profiles.SEEDS[ROUND])
        )
    said = "refuses the whole file" if official["codes"] == [-22] else "skips the line"
    assert f"LoadGen {said}" in str(caught.value)
    assert official["server_target_qps"] == 1.0  # as without a file
