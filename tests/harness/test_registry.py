"""Scenarios, SUTs, rules, metrics and datasets of other people: installed packages with entry
points, and modules on the path. No other file knows the names that are used here.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import accuracy
from harness.cli import app
from harness.kernel.entries import ScenarioEntry, SutEntry
from harness.kernel.types import MemoryUse, Metric, Output, Verdict
from scenarios.loadgen.sample_order import Shape, make_schedule
from scenarios.server import Server
from tests import ROOT

HERE = "tests.harness.test_registry"


# ---- what the others have written


class Gamma(Server):
    """Arrivals in bursts: the gaps are gamma distributed, with a squared variation of 1 / shape."""

    name = "gamma"
    shape = 0.5

    def schedule(self, settings):
        made = make_schedule(settings, Shape(1, settings.min_queries, settings.min_duration_ns))
        draw = np.random.default_rng(settings.seeds.schedule % 2**63)
        gaps_s = draw.gamma(self.shape, 1 / (self.shape * settings.target_qps), len(made))
        return replace(made, offsets_ns=np.cumsum(gaps_s * 1e9).astype(np.int64))


GAMMA = ScenarioEntry(Gamma, loop="open", summary="bursts of arrivals", has_limits=True)


class TextOnly:
    """Streams pieces of text, as many servers do: it knows no token ids."""

    isolated = False
    uses_dataset = False
    summary = "pieces of text"
    evidence = frozenset(("counts", "text"))
    real_time = ""
    warms_up = False
    name = "text-only"

    def __init__(self, clock, *, pieces: int = 4):
        self.clock, self.pieces = clock, pieces

    def load(self, samples, sink):
        self.sink = sink

    def issue(self, query):
        for sample in query.samples:
            start_ns = self.clock.now_ns()
            for k in range(self.pieces):
                at_ns = start_ns + (k + 1) * 10_000_000
                self.clock.call_at(at_ns, lambda i=sample.id: self.sink.text(i))
            self.clock.call_at(at_ns, lambda i=sample.id: self.sink.complete(self.answer(i)))

    def answer(self, sample_id):
        return Output(sample_id, "stop", text="four words of text", reported_tokens=self.pieces)

    def flush(self):
        """Nothing is held back."""

    def close(self):
        """Nothing is held."""

    def memory(self):
        return MemoryUse()

    def facts(self):
        return {"model": "text-only"}

    def decode(self, outputs):
        return None


class TextAlone(TextOnly):
    evidence = frozenset(("text",))

    def answer(self, sample_id):
        return Output(sample_id, "stop", text="four words of text")


class InAChild(TextOnly):
    isolated = True
    real_time = "works in real time"


def words(log, samples, ids):
    """Mean number of words in an answer."""
    counts = [len(log.texts.get(i, "").split()) for i in ids.tolist()]
    return [Metric("words", float(np.mean(counts)), "words", len(counts))]


def polite(log, facts):
    return Verdict("polite", "PASS", measured=0, limit=0, detail="nobody swore")


# ---- how they are installed


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that lets a package offer an entry point."""

    def offer(kind: str, name: str, target: str, package: str = "their-package") -> None:
        site = tmp_path / "site"
        folder = site / f"{package.replace('-', '_')}_{kind}_{name}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[touchstone.{kind}s]\n{name} = {target}\n")
        paths = [path for path in sys.path if path != str(site)]
        monkeypatch.setattr(sys, "path", [*paths, str(site), f"no folder: {folder.name}"])

    monkeypatch.chdir(tmp_path)
    return offer


def harness(command: str, code: int = 0) -> str:
    """Run a command here; return all that it says."""
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code == code, done.output
    return re.sub(r"\s+", " ", done.output)


def only_run() -> tuple[Path, dict]:
    (folder,) = Path("runs").iterdir()
    return folder, json.loads((folder / "result.json").read_text())


def rules(result: dict) -> dict[str, tuple[str, str]]:
    return {v["rule"]: (v["status"], v["detail"]) for v in result["verdicts"]}


VIRTUAL = "--clock virtual --num-samples 40 --target-qps 5"
GAMMA_RUN = f"run --scenario gamma --sut simulated {VIRTUAL}"


# ---- a scenario


@pytest.fixture
def gamma(install):
    install("scenario", "gamma", f"{HERE}:GAMMA")


def test_a_scenario_of_a_package_is_planned(gamma):
    told = harness("plan --scenario gamma --sut simulated --target-qps 5 --min-queries 30")
    assert "gamma, performance" in told
    assert "5/s" in told
    assert "expected" not in told
    assert "min_queries: 30 queries in" in told
    assert "if none is over its limit" in told


def test_a_scenario_of_a_package_runs_is_judged_and_reported(gamma):
    told = harness(f"{GAMMA_RUN} --min-queries 64")
    folder, result = only_run()
    assert (result["scenario"], result["status"]) == ("gamma", "VALID")
    assert result["result"]["name"] == "completed samples"
    assert {"ttft_p90", "tpot_early_stopping", "min_queries"} <= set(rules(result))
    assert "VALID gamma" in told
    page = (folder / "report.html").read_text()
    assert "gamma" in page
    assert ">loadgen<" not in page
    assert "LoadGen's own conditions" not in page


def test_nothing_is_claimed_of_loadgen_for_a_scenario_it_does_not_have(gamma):
    harness(f"{GAMMA_RUN} --min-queries 64")
    folder, result = only_run()
    assert result["loadgen_valid"] is None
    assert not list(folder.glob("mlperf_log*"))
    assert result["missing"] == []
    assert "scenario" in result["official_lacks"] or not result["official"]
    assert ["scenario", "gamma"] in [
        [row["name"], row["value"]] for row in result["division"]["differs"]
    ]


def test_a_scenario_of_a_package_can_be_compared_searched_and_reported_again(gamma):
    harness(f"{GAMMA_RUN} --min-queries 64")
    folder, before = only_run()
    harness(f"report {folder}")
    assert only_run()[1]["verdicts"] == before["verdicts"]
    assert "gamma" in harness(f"compare {folder} {folder}")
    search = "--mode find-peak --target-qps 300 --min-duration 1 --output-dir peaks"
    told = harness(f"run --scenario gamma --sut simulated --clock virtual {search}", code=1)
    assert "limits, not delivered" in told


def test_a_run_of_a_scenario_of_a_package_is_audited(gamma):
    harness(f"{GAMMA_RUN} --min-queries 64")
    folder, _ = only_run()
    done = CliRunner().invoke(app, ["audit", str(folder)])
    assert "Traceback" not in done.output
    assert done.exit_code in (0, 1), done.output


def test_a_scenario_that_mlperf_does_not_have_is_not_packaged(gamma):
    harness(f"{GAMMA_RUN} --min-queries 64")
    folder, _ = only_run()
    told = harness(f"package {folder} --submitter a --system b", code=2)
    assert "MLPerf has no scenario gamma" in told
    assert not Path("submission").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--mode submission", "LoadGen has no scenario gamma, so there is nothing to submit"),
        ("--driver mlcommons", "LoadGen has no scenario gamma; leave --driver out"),
        ("--user-conf user.conf", "LoadGen has no scenario gamma"),
    ],
)
def test_what_only_loadgens_scenarios_can_have_is_refused(gamma, flags, sentence):
    Path("user.conf").write_text("*.Server.target_qps = 5\n")
    assert sentence in harness(f"run --scenario gamma --sut simulated {flags}", code=2)


# ---- a SUT


def test_a_sut_that_sends_text_and_counts_is_valid_and_rules_on_ids_are_skipped(install):
    install("sut", "pieces", f"{HERE}:TextOnly")
    told = harness(f"run --scenario server --sut pieces {VIRTUAL} --min-queries 64")
    _, result = only_run()
    found = rules(result)
    assert result["status"] == "VALID"
    for rule in ("first_token", "eos", "token_count", "text"):
        assert found[rule] == ("SKIPPED", "the SUT sends no ids")
    assert found["not_empty"][0] == found["length_limit"][0] == "PASS"
    assert result["missing"] == []
    assert result["latency"]["ttft_ms"]["p50"] == 10.0
    assert result["latency"]["tpot_ms"]["p50"] == 10.0
    assert result["throughput"]["tokens_per_s"] > 0
    assert "pieces" in told


def test_a_sut_that_sends_text_alone_has_no_tokens_per_second(install):
    install("sut", "alone", f"{HERE}:TextAlone")
    harness(f"run --scenario single-stream --sut alone {VIRTUAL} --min-queries 64")
    _, result = only_run()
    assert result["status"] == "VALID"
    assert result["missing"] == []
    assert result["throughput"]["tokens_per_s"] is None
    assert result["latency"]["tpot_ms"]["p50"] is None
    assert rules(result)["length_limit"] == ("SKIPPED", "the SUT sends no ids and no counts")
    assert rules(result)["not_empty"][0] == "PASS"


def test_tpot_is_not_asked_of_a_sut_that_counts_no_tokens(install):
    install("sut", "alone", f"{HERE}:TextAlone")
    told = harness(f"run --scenario server --sut alone {VIRTUAL}", code=2)
    assert "TPOT cannot be judged" in told
    flags = "--target-latency 1s --min-queries 64"
    harness(f"run --scenario server --sut alone {VIRTUAL} {flags}")
    assert only_run()[1]["status"] == "VALID"


def test_a_factory_on_the_path_runs_in_a_child_and_takes_options(install):
    flags = "--target-qps 50 --min-queries 64 --num-samples 40 --sut-option pieces=3"
    harness(f"run --scenario server --sut {HERE}:InAChild {flags}")
    _, result = only_run()
    assert result["status"] == "VALID"
    assert (result["sut"], result["counts"]["tokens"]) == (f"{HERE}:InAChild", 3 * 64)
    assert rules(result)["eos"] == ("SKIPPED", "the SUT sends no ids")


def test_metrics_and_rules_are_listed_with_what_they_are_and_who_offers_them(install):
    install("metric", "words", f"{HERE}:words", package="their-metrics")
    install("rule", "broken", "no_such_module:rule")
    printed = harness("list --json")
    told = json.loads(printed[printed.index('{"models"') :])
    assert list(told["rules"]) == [*accuracy.RULES, *accuracy.RULES_OF_SERVERS, "broken"]
    assert list(told["metrics"]) == [*accuracy.METRICS, "words"]
    assert told["metrics"]["rouge"].endswith("as MLPerf scores it. (built in)")
    assert told["metrics"]["words"] == "Mean number of words in an answer. (from their-metrics)"
    assert "no_such_module" in told["rules"]["broken"]
    assert len(set(told["metrics"].values())) == len(told["metrics"])


def test_suts_of_packages_are_listed_with_the_package(install):
    install("sut", "pieces", f"{HERE}:TextOnly", package="their-suts")
    install("sut", "broken", "no_such_module:Sut")
    told = harness("list suts")
    assert "pieces of text (from their-suts)" in told
    assert "cannot be used" in told
    assert "no_such_module" in told


# ---- what cannot be


@pytest.mark.parametrize(
    ("sut", "code", "sentence"),
    [
        ("no_such_module:Sut", 3, "importing no_such_module failed: ModuleNotFoundError"),
        (f"{HERE}:TextOnyl", 2, "Did you mean 'TextOnly'?"),
        (f"{HERE}:VIRTUAL", 2, "it is a str"),
        ("piece", 2, "Did you mean 'pieces'?"),
        ("broken", 3, "of the package their-package: importing no_such_module failed"),
        ("simulated", 2, "offered by Touchstone itself and by their-package"),
        ("strange", 2, "its evidence is"),
        ("absent", 3, "--sut absent: importing no_such_module failed"),
        (f"{HERE}:NoClock", 2, "the first is the clock"),
        (f"{HERE}:Raises", 3, "ValueError: the licence has run out"),
        (f"{HERE}:Half", 3, "has no method issue, flush"),
        (f"{HERE}:Needs", 2, "Pass --sut-option url=VALUE"),
    ],
)
def test_a_sut_that_cannot_be_used_is_a_sentence(install, sut, code, sentence):
    install("sut", "pieces", f"{HERE}:TextOnly")
    install("sut", "broken", "no_such_module:Sut")
    install("sut", "simulated", f"{HERE}:TextOnly")
    install("sut", "strange", f"{HERE}:STRANGE")
    install("sut", "absent", f"{HERE}:ABSENT")
    told = harness(f"run --scenario server --sut {sut}", code)
    assert sentence in told
    assert "Traceback" not in told


class NoClock:
    isolated = False

    def __init__(self):
        """Take nothing."""


class Raises:
    isolated = False

    def __init__(self, clock):
        raise ValueError("the licence has run out\nbuy another")


class Half:
    isolated = False

    def __init__(self, clock):
        """Take a clock."""

    def load(self, samples, sink):
        """Forget them."""


class Needs(Half):
    def __init__(self, clock, *, url):
        """Take an address too."""


ABSENT = SutEntry("no_such_module:Sut")
STRANGE = SutEntry(f"{HERE}:TextOnly", evidence=frozenset(("smell",)))


def test_two_packages_may_not_give_the_same_name(install):
    install("scenario", "gamma", f"{HERE}:GAMMA", package="first")
    install("scenario", "gamma", f"{HERE}:Gamma", package="second")
    assert "by first and by second" in harness(GAMMA_RUN, code=2)


# ---- rules, metrics, datasets


def test_a_rule_and_a_metric_of_a_package_take_part_in_every_run(install):
    install("rule", "polite", f"{HERE}:polite")
    install("metric", "words", f"{HERE}:words")
    install("sut", "pieces", f"{HERE}:TextOnly")
    harness(f"run --scenario server --sut pieces {VIRTUAL} --min-queries 64")
    _, result = only_run()
    assert rules(result)["polite"] == ("PASS", "nobody swore")
    assert result["accuracy"]["words"] == 4.0


@pytest.mark.parametrize("kind", ["rule", "metric"])
def test_a_broken_rule_or_metric_stops_the_run_before_it_begins(install, kind):
    install(kind, "broken", "no_such_module:judge")
    told = harness(f"run --scenario server --sut simulated {VIRTUAL}", code=3)
    assert f"{kind} 'broken' of the package their-package" in told
    assert not Path("runs").exists()


def questions() -> Iterator[str]:
    yield from (json.dumps({"question": f"{i}?", "answer": str(i)}) for i in range(40))


def test_a_dataset_of_a_package_is_asked(install, tmp_path, monkeypatch):
    from accuracy.datasets import TABLE, Embedded
    from accuracy.datasets.files import load_dataset

    (tmp_path / "theirs.jsonl").write_text("\n".join(questions()))
    made = Embedded(str(tmp_path / "theirs.jsonl"), TABLE["qa"].format, "numbers")
    monkeypatch.setattr(sys.modules[HERE], "THEIRS", made, raising=False)
    install("dataset", "theirs", f"{HERE}:THEIRS")
    loaded = load_dataset("theirs", 8)
    assert (loaded.samples[3].prompt, loaded.samples[3].reference) == ("3?", "3")
    assert "numbers (from their-package)" in harness("list datasets")


# ---- the documentation


def test_the_example_of_the_documentation_runs_as_it_stands(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
    code, *_ = re.findall(r"```python\n(.*?)```", page, re.S)
    (command,) = re.findall(r"^(python -m harness run .+)$", page, re.M)
    (tmp_path / "echo_sut.py").write_text(code)
    assert len(code.splitlines()) <= 40
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # for the child
    harness(command.removeprefix("python -m harness "))
    assert only_run()[1]["accuracy"]["rougeL"] > 0
