"""Is the tree what MLCommons' checker reads, filled with what the runs say and nothing else?"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace

import pytest

import scenarios
from harness.kernel.errors import BadInput
from harness.options.settings import load_config
from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from reports.submission import tree as packages
from reports.submission.accuracy import scores_in
from reports.submission.compliance import truncated
from reports.submission.places import read_tree
from reports.submission.texts import accuracy_txt
from reports.submission.tree import check_folder
from tests.package_helpers import (
    ANSWERS,
    MEASURED,
    PLACE,
    SCORED,
    SCORES,
    SCORES_FILE,
    SYSTEM,
    TIMED,
    changed,
)


def said(package):
    return [str(problem) for problem in package.problems]


def test_a_complete_package_has_no_problems_and_every_file_in_its_place(packed):
    made = packed()
    assert said(made) == []
    assert check_folder(made.root) == []
    sources = ("README.md", "performance.toml", "accuracy.toml")
    assert sorted(read_tree(made.root)) == sorted(
        [
            "open/Acme/systems/box-1.json",
            *(f"open/Acme/src/box-1/llama3.1-8b/Server/{n}" for n in sources),
            *(f"{PLACE}/{n}" for n in ("README.md", "measurements.json", "user.conf")),
            *(f"{PLACE}/performance/run_1/{n}" for n in (DETAIL, SUMMARY)),
            *(f"{PLACE}/accuracy/{n}" for n in (DETAIL, SUMMARY, ACCURACY, "accuracy.txt")),
        ]
    )


def test_the_logs_are_those_of_the_runs_and_the_hash_is_of_the_whole_accuracy_log(
    clean_tree, dressed_runs
):
    timed, scored = dressed_runs
    assert clean_tree[TIMED] == timed.detail
    assert clean_tree[SCORED] == scored.detail
    whole, text = scored.accuracy_log, clean_tree[SCORES_FILE]
    assert text.splitlines()[-1] == f"hash={hashlib.sha256(whole).hexdigest()}"
    assert text.startswith("'rouge1': 38.7792\n'rouge2': 15.9075\n")
    assert "'gen_len': 8167644\n" in text
    told = {"tokens_per_sample": 4.0} | SCORES
    assert scores_in(text, told) == {name: [value] for name, value in told.items()}
    cut = clean_tree[ANSWERS].encode()
    assert len(cut) <= 10240 < len(whole)
    assert whole.startswith(cut[:4096])
    assert whole.endswith(cut[-4096:])


def test_a_short_accuracy_log_is_not_cut_and_nothing_undefined_is_a_score():
    assert truncated(b"[\n]\n") == "[\n]\n"
    assert len(truncated(b"x" * 10240)) == 10240
    assert len(truncated(b"x" * 10241)) < 10240
    scores = {"rouge1": float("nan"), "rouge2": 1.0, "perplexity": 3.0}
    text = accuracy_txt(scores, b"", "llama3.1-8b")
    assert text.splitlines()[:-1] == ["'rouge2': 1.0000"]


def test_scores_are_written_as_the_checkers_patterns_read_them():
    scores = {"gsm8k": 73.66, "mbxp": 60.16, "exact_match": 81.3582, "tokens_per_sample": 144.84}
    text = accuracy_txt(scores, b"", "mixtral-8x7b")
    assert text.splitlines()[:-1] == [
        "'gsm8k': 73.6600", "'mbxp': 60.1600", "'tokens_per_sample': 144.8400"
    ]  # fmt: skip
    assert accuracy_txt(scores, b"", "deepseek-r1").startswith("'exact_match': 81.3582\n")


def test_nothing_in_the_tree_tells_where_on_the_machine_things_were(clean_tree):
    homes = ("/home/", "/tmp/", "/opt/")
    assert not [path for path, text in clean_tree.items() if any(home in text for home in homes)]
    measured = json.loads(clean_tree[MEASURED])
    assert measured["starting_weights_filename"] == "tiny"
    assert measured["weight_transformations"] == "loaded as fp32; its weights were tied"


def test_user_conf_has_whole_milliseconds_and_the_flag_before_the_limits(clean_tree):
    lines = clean_tree[f"{PLACE}/user.conf"].splitlines()
    assert lines[1] == "*.Server.use_token_latencies = 1"  # LoadGen reads the limits only after it
    assert {
        "*.Server.target_qps = 20",
        "*.Server.ttft_latency = 2000",
        "*.Server.min_duration = 600000",
    } <= set(lines)


def test_the_settings_in_src_run_again(clean_tree, tmp_path):
    path = tmp_path / "again.toml"
    path.write_text(clean_tree["open/Acme/src/box-1/llama3.1-8b/Server/accuracy.toml"])
    config = load_config({}, path)
    told = (config.mode, config.profile, config.target_qps, config.seeds)
    assert told == ("accuracy", "llama3.1-8b", 20.0, "v6.1")


def test_the_pages_say_what_was_run(clean_tree, dressed_runs):
    page = clean_tree[f"{PLACE}/README.md"]
    assert "| status | VALID: every condition holds |" in page
    assert "| p99 limits | TTFT 2000 ms, TPOT 100 ms |" in page
    assert "| rouge1 | 38.7792 |" in page
    assert "written by touchstone" in page
    source = clean_tree["open/Acme/src/box-1/llama3.1-8b/Server/README.md"]
    assert all(run.result["run_id"] in source for run in dressed_runs)
    assert "commit " in source


def by_loadgen(run):
    """The run as if the official LoadGen had written its logs."""
    detail = re.sub('"touchstone [^"]*"', '"6.0.17 @ d6147c7eb7"', run.detail, count=1)
    return replace(run, detail=detail.replace("Touchstone local tiny fp32", "PySUT"))


def test_touchstones_own_logs_are_told_apart_from_loadgens(packed, dressed_runs):
    assert "LoadGen itself" in packed().notes[0]
    assert packages.notes(by_loadgen(dressed_runs[0])) == []


# ---- what only the runs tell


def test_under_loadgen_too_it_is_said_that_no_model_ran(packed, dressed_runs):
    """LoadGen's own log names every Python SUT alike."""
    timed, scored = (changed(by_loadgen(run), sut="simulated") for run in dressed_runs)
    (problem,) = [p for p in packed(timed, scored).problems if "no model ran" in p.what]
    assert str(problem) == (
        f"{PLACE}: no model ran: the system under test was simulated (the official checker does"
        " not see this)"
    )


def test_an_open_run_in_the_closed_division_says_what_differs(packed, dressed_runs):
    rows = [
        {"name": "model", "value": "tiny", "asked": "llama", "unit": ""},
        {"name": "max_new_tokens", "value": 16, "asked": 128, "unit": "tokens"},
    ]
    open_runs = [changed(run, division={"name": "open", "differs": rows}) for run in dressed_runs]
    found = said(packed(*open_runs, division="closed"))
    told = (
        "the runs are of the open division: model tiny (closed: llama); max_new_tokens 16 tokens"
        " (closed: 128 tokens)"
    )
    assert len([text for text in found if told in text]) == 1


def test_the_seeds_of_an_older_round_are_the_checkers_business(packed, dressed_runs):
    seeds = {"name": "seeds", "value": "v6.0", "asked": "those of v6.1", "unit": ""}
    older = [changed(r, division={"name": "open", "differs": [seeds]}) for r in dressed_runs]
    assert not [text for text in said(packed(*older, division="closed")) if "open div" in text]


def test_an_open_run_in_the_open_division_is_fine(packed, dressed_runs):
    assert dressed_runs[0].result["division"]["name"] == "open"
    assert said(packed()) == []


# ---- which runs are taken


def test_an_invalid_run_is_refused_with_its_reason_unless_it_is_allowed(dressed_runs):
    bad = changed(dressed_runs[0], status="INVALID", status_reason="failed: ttft_p99")
    with pytest.raises(BadInput, match=r"INVALID \(failed: ttft_p99\); a VALID run"):
        packages.check(bad, dressed_runs[1], "llama3.1-8b")
    packages.check(bad, dressed_runs[1], "llama3.1-8b", allow_invalid=True)


def test_the_modes_must_be_right(dressed_runs):
    with pytest.raises(BadInput, match="a run in performance mode; one in accuracy mode"):
        packages.check(dressed_runs[0], dressed_runs[0], "llama3.1-8b")


def with_run(run, **settings):
    """The run with other settings."""
    own = run.result["settings"]
    return changed(run, settings=own | {"run": own["run"] | settings})


def with_hash(run, sha256):
    own = run.result["settings"]
    return changed(run, settings=own | {"dataset": own["dataset"] | {"sha256": sha256}})


def with_seed(run, seed):
    seeds = run.result["settings"]["run"]["seeds"] | {"schedule": seed}
    return with_run(run, seeds=seeds)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda run: changed(run, variant="int8"), "variant 'fp32' and 'int8'"),
        (lambda run: changed(run, model="other"), "model"),
        (lambda run: changed(run, dataset="news"), "dataset 'none' and 'news'"),
        (lambda run: with_hash(run, "1"), "dataset's hash '' and '1'"),
        (lambda run: changed(run, scenario="offline"), "scenario 'server' and 'offline'"),
        (lambda run: with_seed(run, 7), "schedule seed"),
        (lambda run: with_run(run, max_new_tokens=16), "max_new_tokens 128 and 16"),
    ],
)
def test_two_runs_of_different_things_are_refused(dressed_runs, change, words):
    first = re.escape("they differ in " + words.split(" ")[0])
    with pytest.raises(BadInput, match=first) as caught:
        packages.check(dressed_runs[0], change(dressed_runs[1]), "llama3.1-8b")
    assert words in str(caught.value)


def test_gpt_oss_has_another_dataset_and_length_for_accuracy(dressed_runs):
    other = with_run(changed(dressed_runs[1], dataset="another"), max_new_tokens=32768)
    packages.check(dressed_runs[0], other, "gpt-oss-120b")
    with pytest.raises(BadInput, match="dataset"):
        packages.check(dressed_runs[0], other, "llama3.1-8b")


# ---- where it goes


@pytest.mark.parametrize(
    ("profile", "scenario", "benchmark", "version", "place"),
    [
        ("llama3.1-8b", "server", None, "v6.1", ("llama3.1-8b", "Server")),
        ("llama3.1-8b-interactive", "server", None, "v6.1", ("llama3.1-8b", "Interactive")),
        ("llama2-70b-interactive", "server", None, "v6.1", ("llama2-70b-99.9", "Interactive")),
        ("llama2-70b", "offline", "llama2-70b-99.9", "v6.1", ("llama2-70b-99.9", "Offline")),
        ("llama3.1-8b-edge", "single-stream", None, "v6.1", ("llama3.1-8b-edge", "SingleStream")),
        ("mlperf", "multi-stream", "deepseek-r1", "v6.1", ("deepseek-r1", "MultiStream")),
        ("mixtral-8x7b", "server", None, "v6.0", ("mixtral-8x7b", "Server")),
        ("llama3.1-405b-interactive", "server", None, "v6.0", ("llama3.1-405b", "Interactive")),
        ("llama2-70b", "server", "llama2-70b-99", "v6.0", ("llama2-70b-99", "Server")),
    ],
)
def test_profiles_have_benchmarks_and_interactive_is_a_scenario(
    profile, scenario, benchmark, version, place
):
    result = {"run_id": "r", "profile": profile, "scenario": scenario}
    assert (
        packages.place_of(
            result, scenarios.entry(scenario), "open", "Acme", "box", benchmark, version
        )[3:]
        == place
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"profile": "quick"},
            "profile quick is no benchmark of MLPerf; --benchmark NAME: llama2-70b-99.9",
        ),
        ({"benchmark": "llama3.1-8b-egde"}, "Did you mean 'llama3.1-8b-edge'"),
        (
            {"benchmark": "deepseek-r1"},
            "--benchmark deepseek-r1: the run is of profile llama3.1-8b",
        ),
        (
            {"profile": "mixtral-8x7b"},
            "v6.1 has dropped it; round v6.0. Make the runs with --seeds",
        ),
        ({"profile": "llama2-70b", "benchmark": "llama2-70b-99"}, "package with --round v6.0"),
        ({"division": "opne"}, "Did you mean 'open'"),
        ({"division": "network"}, "through a network, and none is offered here; open or closed"),
        ({"submitter": "../else"}, "--submitter: '../else'"),
        ({"system": ""}, "--system: ''"),
    ],
)
def test_names_that_cannot_be_are_refused(changes, words):
    given = {"division": "open", "submitter": "Acme", "system": "box", "benchmark": None}
    given |= {"version": "v6.1"} | changes
    profile = given.pop("profile", "llama3.1-8b")
    result = {"run_id": "r", "profile": profile, "scenario": "server"}
    with pytest.raises(BadInput, match=re.escape(words)):
        packages.place_of(result, scenarios.entry("server"), **given)


def test_the_round_is_the_one_whose_seeds_the_run_had_unless_another_is_asked_for(dressed_runs):
    assert packages.round_of(dressed_runs[0].result, None) == "v6.1"
    seeds = {
        "qsl": 2465351861681999779,
        "sample_index": 14276810075590677512,
        "schedule": 3936089224930324775,
    }
    older = with_run(dressed_runs[0], seeds=seeds).result
    assert packages.round_of(older, None) == "v6.0"
    assert packages.round_of(older, "v6.1") == "v6.1"
    assert packages.round_of(with_seed(dressed_runs[0], 7).result, None) == "v6.1"
    with pytest.raises(BadInput, match="--round: 'v1' is not known"):
        packages.round_of(older, "v1")


def test_what_is_there_is_never_overwritten(packed):
    made = packed()
    before = read_tree(made.root)
    with pytest.raises(BadInput, match="it is there already; a new place"):
        packed()
    assert read_tree(made.root) == before


def test_a_source_folder_in_the_way_leaves_no_half_written_tree(packed, tmp_path):
    obstacle = tmp_path / "out/open/Acme/src/box-1/llama3.1-8b/Server/accuracy.toml"
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("mine")
    with pytest.raises(BadInput, match=r"accuracy\.toml: it is there already"):
        packed()
    files = [path for path in read_tree(tmp_path / "out") if not path.endswith("/")]
    assert files == [obstacle.relative_to(tmp_path / "out").as_posix()]
    obstacle.unlink()
    assert said(packed()) == []


def test_a_second_benchmark_joins_and_a_description_completed_by_hand_stays(packed):
    made = packed(system_json=None)
    path = made.root / SYSTEM
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cooling": "liquid"}))
    by_hand = path.read_text()
    shutil.rmtree(made.place)
    shutil.rmtree(made.root / "open/Acme/src")
    with pytest.raises(BadInput, match="it is there already, with another status"):
        packed()
    packed(system_json=None)
    assert path.read_text() == by_hand


def test_a_bad_system_file_is_a_sentence(packed, known):
    for text in ("[]", "{", '{"a": '):
        known.write_text(text)
        with pytest.raises(BadInput, match="--system-json"):
            packed()
