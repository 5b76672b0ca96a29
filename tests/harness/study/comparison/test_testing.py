"""Comparisons that test: by the command line, on runs of the virtual clock."""

from __future__ import annotations

import json
import re
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness import load
from tests import ROOT
from tests.harness.result.test_result import make
from tests.test_cli import harness

USUAL = {"min_queries": 200, "target_qps": 50.0}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two equal runs, one whose tokens take 10 % longer, one of too few samples."""
    place = tmp_path_factory.mktemp("runs")
    slow = {"sut_options": {"per_token_ms": 5.5}}
    made = {
        "a": make(place, **USUAL), "b": make(place, **USUAL), "slow": make(place, **USUAL, **slow),
        "short": make(place, **USUAL | {"min_queries": 16}),
    }  # fmt: skip
    return {name: folder for name, (folder, _) in made.items()}


@pytest.fixture
def compare(tmp_path):
    def call(*words):
        done = harness("compare", *words, "--output-dir", tmp_path / "out", "--json")
        lines = done.stdout.splitlines()
        return done, json.loads(lines[-1]) if lines else {}

    return call


def figures(found, number=0):
    return {row["name"]: row for row in found["effects"][number]["figures"]}


def test_equal_runs_do_not_differ_and_keep_every_limit(runs, compare):
    done, found = compare(runs["a"], runs["b"], "--fail-if", "tpot_p50>+5%, tokens_per_s<-3%")
    assert done.returncode == 0, done.stderr
    assert found["limits"]["status"] == "PASS"
    assert {row["verdict"] for row in figures(found).values()} <= {
        "no difference shown",
        "not tested",
    }


def test_a_slower_run_fails_and_the_exit_code_says_so(runs, compare):
    done, found = compare(runs["a"], runs["slow"], "--fail-if", "tpot_p50>+5%,ttft_mean>+5%")
    assert done.returncode == 1
    assert [term["status"] for term in found["limits"]["terms"]] == ["FAIL", "PASS"]
    change = figures(found)["tpot_p50_ms"]["change"]
    assert change["value"] == pytest.approx(0.1)
    assert "FAIL: tpot_p50>+5% of simulated #2: +10.0 %" in done.stderr


@pytest.mark.parametrize(("flag", "code"), [((), 1), (("--allow-inconclusive",), 0)])
def test_too_few_samples_are_inconclusive(runs, compare, flag, code):
    asked = ("--fail-if", "latency_p99>+5%")
    done, found = compare(runs["a"], runs["b"], *asked, *flag)
    assert (found["limits"]["status"], done.returncode) == ("INCONCLUSIVE", code)
    assert "about 1,000 would do" in done.stderr


def test_repeats_are_the_units(runs, compare):
    sides = ("--baseline", f"{runs['a']},{runs['b']}", runs["slow"])
    _, found = compare(*sides, "--fail-if", "tpot_p50>+5%")
    (effect,) = found["effects"]
    assert (effect["unit"], effect["runs"]) == ("runs", [2, 1])
    assert (effect["baseline"], effect["label"]) == ("baseline", "candidate")
    assert found["limits"]["status"] == "FAIL"
    assert len(found["rows"]) == 3


def on_other_hardware(run, tmp_path):
    """Return a copy of a run that says it had another processor."""
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in run.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    about = json.loads((copy / "environment.json").read_text())
    about["machine"]["cpu"] = "Another CPU"
    (copy / "environment.json").write_text(json.dumps(about))
    return copy


def test_runs_on_other_hardware_are_not_tested_unless_asked(runs, compare, tmp_path):
    other = on_other_hardware(runs["b"], tmp_path)
    _, found = compare(runs["a"], other)
    assert "different hardware" in found["effects"][0]["refused"]
    assert not found["effects"][0]["figures"]
    done, _ = compare(runs["a"], other, "--fail-if", "tpot_p50>+5%")
    assert done.returncode == 2
    assert "--across-hardware" in done.stderr
    _, found = compare(runs["a"], other, "--fail-if", "tpot_p50>+5%", "--across-hardware")
    assert found["limits"]["status"] == "PASS"
    assert found["comparable"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fail-if", "tftt_p99>+5%"), "Did you mean 'ttft_p99'"),
        (("--fail-if", ""), "it is empty"),
        (("--baseline", "A"), "given twice"),
        (("--github-summary",), "GITHUB_STEP_SUMMARY is not set"),
        (("--junit", "/nowhere/at/all.xml"), "does not exist"),
        (("--csv", "."), "is a folder"),
    ],
)
def test_bad_input_ends_before_anything_is_made(runs, compare, tmp_path, monkeypatch, words, said):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    words = [str(runs["a"]) if word == "A" else word for word in words]
    done, _ = compare(runs["a"], runs["b"], *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_baseline_needs_a_candidate(runs, compare):
    done, _ = compare("--baseline", runs["a"])
    assert done.returncode == 2
    assert "no run beside the baseline's" in done.stderr


# ---- runs that are made


def test_limits_are_kept_for_a_comparison_that_goes_on(tmp_path):
    asked = ("--sut", "simulated", "--clock", "virtual", "--max-concurrency", "8,16")
    done = harness(
        "compare", *asked, "--fail-if", "tokens_per_s<-3%", "--output-dir", tmp_path, "--json"
    )
    found = json.loads(done.stdout.splitlines()[-1])
    (study,) = tmp_path.iterdir()
    again = harness("resume", study, "--json")
    resumed = json.loads(again.stdout.splitlines()[-1])
    assert resumed["limits"] == found["limits"]
    assert again.returncode == done.returncode
    done = harness("compare", study, "--output-dir", tmp_path / "out", "--json")
    assert len(json.loads(done.stdout.splitlines()[-1])["rows"]) == 2


# ---- what others read


def test_ci_and_notebooks_get_the_verdict_the_samples_and_the_figures(
    runs, compare, tmp_path, monkeypatch
):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "summary.md").write_text("before\n")
    files = {name: tmp_path / f"x.{name}" for name in ("xml", "csv", "parquet")}
    exports = ("--junit", files["xml"], "--csv", files["csv"], "--parquet", files["parquet"])
    limits = ("--fail-if", "tpot_p50>+5%, latency_p99>+5%")
    done, found = compare(runs["a"], runs["slow"], *limits, *exports, "--github-summary")
    assert done.returncode == 1

    suites = ET.parse(files["xml"]).getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("5", "2")
    kinds = [failure.get("type") for failure in suites.iter("failure")]
    assert kinds == ["FAIL", "INCONCLUSIVE"]

    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("before\n### Touchstone: FAIL")
    assert "| simulated #2 | tpot_p50" in summary

    import pandas

    samples = pandas.read_csv(files["csv"])
    assert samples.groupby("run").size().to_dict() == {"simulated #1": 200, "simulated #2": 200}
    pandas.testing.assert_frame_equal(
        samples.drop(columns="error"),  # in CSV nothing and no words are the same
        pandas.read_parquet(files["parquet"]).drop(columns="error"),
        check_dtype=False,
    )
    own = pandas.read_csv(tmp_path / "x.figures.csv").set_index(["label", "figure"])
    assert own.loc[("simulated #2", "tpot_p50_ms"), "verdict"] == "worse"

    study = load(found["folder"])
    assert study.kind == "compare"
    assert list(study.limits["status"]) == ["FAIL", "INCONCLUSIVE"]
    assert set(study.effects["verdict"]) >= {"worse"}
    run = study.runs["simulated #2"]
    assert run.figures["tpot_p50_ms"] == run.samples["tpot_ms"].median() == 5.5


def test_words_of_strangers_stay_words(runs, tmp_path, compare):
    evil = tmp_path / "<b>&\x1b[31m"
    evil.mkdir()
    for file in runs["b"].iterdir():
        (evil / file.name).write_bytes(file.read_bytes())
    done, _ = compare(runs["a"], evil, "--junit", tmp_path / "x.xml")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in (tmp_path / "x.xml").read_text()
    ET.parse(tmp_path / "x.xml")


def test_the_page_shows_the_tests(runs, compare):
    _, found = compare(runs["a"], runs["slow"], "--fail-if", "tpot_p50>+5%")
    page = (Path(found["folder"]) / "compare.html").read_text(encoding="utf-8")
    assert "<h2>Tests</h2>" in page
    assert "FAIL: tpot_p50" in page
    assert "Smallest change" in page


def test_the_commands_of_the_page_work(runs, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python -m harness (compare .*--fail-if.*)$", page, re.M)
    assert len(commands) == 2
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "runs"
    made.mkdir()
    for name in ("BEFORE", "AFTER", "A1", "A2", "A3", "B1", "B2", "B3"):
        (made / name).mkdir()
        for file in runs["a"].iterdir():
            (made / name / file.name).write_bytes(file.read_bytes())
    for command in commands:
        done = harness(*shlex.split(command))
        assert "limits of changes" in done.stdout, done.stderr
        assert done.returncode in (0, 1)
