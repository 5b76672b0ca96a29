"""From run folders to a submission: are edited runs refused, do compliance runs become folders?"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.errors import BadInput
from harness.mlperf.submission import make as package
from harness.mlperf.submission import read
from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from reports.submission.places import read_tree
from tests.package_helpers import KNOWN
from tests.package_helpers import make as run

AUDIT = {"accuracy_log_seed": 720381539243781796, "min_duration": 0.0}
TEST06 = AUDIT | {"accuracy_log_target": 100, "min_queries": 100, "issue": "random"}
TEST07 = AUDIT | {"accuracy_log_target": 990, "min_queries": 990, "issue": "unique"}
TEST09 = AUDIT | {"accuracy_log_target": 10_000, "min_queries": 6396, "issue": "unique"}
# short, for what is tested here does not depend on the length
LLAMA = {"target_qps": 20, "num_samples": 500, "min_queries": 500, "min_duration": 0.0}
GPT_OSS = {"profile": "gpt-oss-120b", "target_qps": 20, "num_samples": 6396, "min_duration": 0.0}
PLACE = "closed/acme/results/box/llama3.1-8b/Server"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Runs of llama3.1-8b by name: performance, accuracy, TEST06."""
    kinds = {"performance": {}, "accuracy": {"mode": "accuracy"}, "TEST06": TEST06}
    return {
        name: run(tmp_path_factory.mktemp("runs"), **(LLAMA | own)) for name, own in kinds.items()
    }


@pytest.fixture
def copied(folders, tmp_path):
    """A run folder of its own, to be spoiled."""
    return lambda name: Path(shutil.copytree(folders[name], tmp_path / name))


@pytest.fixture
def made(folders, tmp_path):
    """made(performance=..., **given) -> Package"""

    def call(performance=None, accuracy=None, **given):
        own = {"division": "closed", "accuracy_run": accuracy or folders["accuracy"]} | given
        performance = performance or folders["performance"]
        return package(performance, tmp_path / "out", "acme", "box", **own)

    return call


def edited(folder, name, pattern, new):
    text = (folder / name).read_text()
    assert re.search(pattern, text)
    (folder / name).write_text(re.sub(pattern, new, text, count=1))


# ---- nothing but the raw files is believed


@pytest.mark.parametrize(
    ("name", "pattern", "new", "words"),
    [
        (DETAIL, r'("result_completed_tokens_per_second", "value": )\d+', r"\g<1>9", "is line 1"),
        (DETAIL, r'(\n:::MLLOG {"key": "sut_name")', r"\nnot an event\1", "is line 9"),
        (DETAIL, "touchstone_run_id", "some_run_id", "touchstone_run_id"),
        (SUMMARY, "Result is : VALID", "Result is : INVALID", "VALID"),
        (ACCURACY, r"\]", "", ACCURACY),
    ],
)
def test_edited_logs_are_refused(copied, made, name, pattern, new, words):
    folder = copied("performance")
    edited(folder, name, pattern, new)
    with pytest.raises(BadInput, match=re.escape(f"{name} is not what the run recorded")) as told:
        made(folder)
    assert "the logs as the run wrote them" in str(told.value)
    assert f"harness report {folder} makes the logs again" in str(told.value)


def test_an_edited_accuracy_log_is_refused_with_the_place(copied, made):
    folder = copied("accuracy")
    edited(folder, ACCURACY, r'"token_count" : 4', '"token_count" : 3')
    with pytest.raises(BadInput, match=r"line 2 is .*\"token_count\" : 3.*the run gives"):
        made(accuracy=folder)


def test_edited_results_do_not_matter(copied, made):
    """result.json is for readers: figures, verdict and scores are made once more."""
    folder = copied("accuracy")
    result = json.loads((folder / "result.json").read_text())
    result |= {"status": "INVALID", "accuracy": {"rouge1": 99.0}}
    (folder / "result.json").write_text(json.dumps(result))
    place = made(accuracy=folder).place
    assert "rouge1" not in (place / "accuracy" / "accuracy.txt").read_text()


def test_a_log_that_is_missing_is_named(copied):
    folder = copied("performance")
    (folder / SUMMARY).unlink()
    with pytest.raises(BadInput, match=r"no mlperf_log_summary\.txt; a finished run with its logs"):
        read(folder)
    with pytest.raises(BadInput, match=r"there is no such file or folder"):
        read(folder / "nothing")


def test_the_accuracy_run_inside_the_run_folder_is_found(copied, made, folders, tmp_path):
    with pytest.raises(BadInput, match="no accuracy run; RUN/accuracy, or --accuracy-run"):
        package(folders["performance"], tmp_path / "out", "acme", "box")
    folder = copied("performance")
    shutil.copytree(folders["accuracy"], folder / "accuracy")
    assert package(folder, tmp_path / "out", "acme", "box").place.is_dir()


# ---- compliance runs


def test_a_run_with_test06s_audit_config_becomes_its_folder(made, folders):
    found = made(compliance=[folders["TEST06"]])
    folder = found.place / "TEST06"
    assert (folder / "verify_accuracy.txt").read_text().splitlines() == [
        "First token check pass: True",
        "EOS check pass: True",
        "Sample length check pass: True",
        "TEST06 verification complete",
    ]
    whole = (folders["TEST06"] / ACCURACY).read_text()
    assert (folder / "accuracy" / ACCURACY).read_text() == whole
    assert len(json.loads(whole)) == 100
    assert not [p for p in found.problems if "TEST06" in p.path]


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("wrong_first_token", "First token check pass: False"),
        ("two_eos", "EOS check pass: False"),
        ("wrong_count", "Sample length check pass: False"),
    ],
)
def test_a_compliance_run_that_cheats_is_packaged_as_failed(made, tmp_path, fault, line):
    own = TEST06 | {"sut_options": {"tokens": 4, "fault": fault}}
    found = made(compliance=[run(tmp_path / "audit", **(LLAMA | own))])
    page = (found.place / "TEST06" / "verify_accuracy.txt").read_text()
    assert line in page.splitlines()
    assert page.endswith("TEST06 verification failed\n")
    assert line in [p.what for p in found.problems if p.seen]


def test_what_the_page_has_no_line_for_is_a_problem_beside_it(made, tmp_path):
    own = TEST06 | {"sut_options": {"tokens": 4, "fault": "lost_sample"}}
    found = made(compliance=[run(tmp_path / "audit", **(LLAMA | own))])
    told = [p.what for p in found.problems if p.path == f"{PLACE}/TEST06"]
    assert "TEST06 samples_complete" in told[-1]


@pytest.fixture(scope="module")
def gpt_oss(tmp_path_factory):
    kinds = {"performance": {}, "accuracy": {"mode": "accuracy"}, "TEST09": TEST09}
    return {
        name: run(tmp_path_factory.mktemp("runs"), **(GPT_OSS | own)) for name, own in kinds.items()
    }


def test_gpt_oss_asks_4395_samples_for_accuracy_and_has_two_tests_of_its_own(gpt_oss, tmp_path):
    test07 = run(tmp_path, **(GPT_OSS | TEST07 | {"num_samples": 990}))
    made = package(
        gpt_oss["performance"],
        tmp_path / "out",
        "acme",
        "box",
        division="closed",
        accuracy_run=gpt_oss["accuracy"],
        compliance=[gpt_oss["TEST09"], test07],
    )
    told = [str(p).removeprefix("closed/acme/results/box/gpt-oss-120b/") for p in made.problems]
    assert not [text for text in told if "4395" in text]
    page = (made.place / "TEST09" / "verify_output_len.txt").read_text()
    assert page.splitlines()[:2] == ["Total samples: 6396", "Mean output tokens: 4.00"]
    assert "'exact_match': not scored" in (made.place / "TEST07/verify_accuracy.txt").read_text()
    for test in ("TEST07/verify_accuracy.txt", "TEST09/verify_output_len.txt"):
        assert f"Server/{test}: no line TEST PASS: {test[:6]} was not passed" in told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accuracy_log_target": 90}, "it was made without an official audit.config; a run with"),
        (TEST09,
         "TEST09 is no test of llama3.1-8b; a run of TEST06"),
        ({"scenario": "offline"}, "they differ in scenario 'server' and 'offline'"),
        ({"max_new_tokens": 16}, "max_new_tokens 128 and 16"),
        ({"sut_options": {"fault": "crash"}}, "the run is ERROR; a run that came to its end"),
    ],
)  # fmt: skip
def test_a_run_that_is_no_compliance_run_of_this_is_refused(made, tmp_path, changes, words):
    folder = run(tmp_path / "audit", **(LLAMA | TEST06 | changes))
    with pytest.raises(BadInput, match=re.escape(words)):
        made(compliance=[folder])
    assert not (tmp_path / "out").exists()


def test_two_runs_of_one_test_are_refused(made, folders):
    with pytest.raises(BadInput, match="two runs of TEST06; one of each test"):
        made(compliance=[folders["TEST06"]] * 2)


# ---- on the command line


def test_the_command_makes_a_tree_and_check_looks_at_it_again(folders, tmp_path):
    words = ["package", folders["performance"], "--accuracy-run", folders["accuracy"]]
    words += ["--compliance", folders["TEST06"], "--division", "closed", "--output", tmp_path]
    words += ["--submitter", "acme", "--system", "box", "--json"]
    done = CliRunner().invoke(app, list(map(str, words)))
    told = json.loads(done.stdout.splitlines()[-1])
    assert (done.exit_code, told["place"]) == (1, str(tmp_path / PLACE))
    assert any("no model ran" in text for text in told["problems"])
    again = CliRunner().invoke(app, ["check", str(tmp_path), "--json"])
    seen = json.loads(again.stdout.splitlines()[-1])["problems"]
    assert (again.exit_code, set(seen) <= set(told["problems"])) == (1, True)
    assert CliRunner().invoke(app, ["check", str(tmp_path), "--round", "v6.0"]).exit_code == 1
    assert CliRunner().invoke(app, ["check", str(tmp_path / "none")]).exit_code == 2


def test_a_round_that_is_over_has_its_own_benchmarks(tmp_path):
    own = LLAMA | {"profile": "mixtral-8x7b", "seeds": "v6.0"}
    timed, scored = run(tmp_path, **own), run(tmp_path, mode="accuracy", **own)
    known = tmp_path / "known.json"
    known.write_text(json.dumps(KNOWN))
    words = ["package", timed, "--accuracy-run", scored, "--submitter", "acme", "--system", "box"]
    words += ["--system-json", known, "--output", tmp_path / "out", "--json"]
    done = CliRunner().invoke(app, list(map(str, words)))
    told = json.loads(done.stdout.splitlines()[-1])["problems"]
    assert not [text for text in told if "rng_seed" in text or "no language model" in text]
    assert "mixtral-8x7b/Server/README.md" in " ".join(read_tree(tmp_path / "out"))
    shutil.rmtree(tmp_path / "out")
    other = CliRunner().invoke(app, [*map(str, words), "--round", "v6.1"])
    assert (other.exit_code, "package with --round v6.0" in other.output) == (2, True)
