"""From run folders to one answer: companions are found or named, faults are told, exit codes
follow.
"""

import json

import pytest
from typer.testing import CliRunner

from harness.audit import audit
from harness.cli import app
from harness.errors import BadInput
from harness.session import Run
from harness.settings import load_config
from sut.simulated import Simulated


def run(folder, **flags):
    flags = {
        "scenario": "server",
        "sut": "simulated",
        "clock": "virtual",
        "output_dir": folder,
        "num_samples": 80,
    } | flags
    with Run(load_config(flags), lambda text: None, progress=False) as made:
        made.execute()
    return made.folder


def statuses(found):
    return {v["rule"]: v["status"] for v in found["verdicts"]}


def test_a_submission_brings_its_own_accuracy_part(tmp_path):
    found = audit(run(tmp_path, mode="submission"))
    assert found["status"] == "PASS"
    assert (
        statuses(found)["TEST01 same_answers"] == statuses(found)["TEST09 output_length"] == "PASS"
    )


def test_a_companion_that_is_missing_is_named_with_its_command(tmp_path):
    found = audit(run(tmp_path, min_queries=70))
    missing = next(v for v in found["verdicts"] if v["rule"] == "TEST01 same_answers")
    assert missing["status"] == "SKIPPED"
    assert "--mode accuracy" in missing["remedy"]
    assert "--min-queries 70" in missing["remedy"]
    assert str(tmp_path) not in missing["remedy"]


def test_the_command_it_names_makes_the_companion(tmp_path):
    folder = run(tmp_path / "a")
    remedy = next(
        v["remedy"] for v in audit(folder)["verdicts"] if v["rule"] == "TEST01 same_answers"
    )
    words = [
        *remedy.removeprefix("python -m harness ").split(),
        "--output-dir",
        str(tmp_path / "b"),
    ]
    assert CliRunner().invoke(app, words).exit_code == 0
    (companion,) = (tmp_path / "b").iterdir()
    assert statuses(audit(folder, [companion]))["TEST01 same_answers"] == "PASS"


@pytest.mark.parametrize("fault", ["two_eos", "wrong_first_token", "wrong_count", "lost_sample"])
def test_a_run_that_cheats_fails_and_the_sample_is_named(tmp_path, fault):
    found = audit(run(tmp_path, sut_options={"fault": fault}))
    assert found["status"] == "FAIL"
    assert any(6 in v["evidence"] for v in found["verdicts"] if v["status"] == "FAIL")


def test_a_companion_of_another_model_is_refused(tmp_path):
    with pytest.raises(BadInput):
        audit(run(tmp_path / "a"), [run(tmp_path / "b", sut="null", clock="real", mode="accuracy")])


def test_the_command_line_ends_with_the_verdicts_code(tmp_path):
    good, bad = (
        run(tmp_path / "a", mode="submission"),
        run(tmp_path / "b", sut_options={"fault": "two_eos"}),
    )
    result = CliRunner().invoke(app, ["audit", str(good), "--json"])
    assert (result.exit_code, json.loads(result.stdout.splitlines()[-1])["status"]) == (0, "PASS")
    assert CliRunner().invoke(app, ["audit", str(bad)]).exit_code == 1
    assert CliRunner().invoke(app, ["audit", str(tmp_path / "none")]).exit_code == 2


def with_questions(folder, monkeypatch, **flags):
    """A run of the simulated SUT on `qa`, its answers decoded: so there is something to score."""
    import sut

    entry = sut.TABLE["simulated"]._replace(factory=f"{__name__}:Speaks", uses_dataset=True)
    monkeypatch.setitem(sut.TABLE, "simulated", entry)
    return run(folder, **flags)


class Speaks(Simulated):
    def decode(self, outputs):
        return [
            " ".join(f"word{token}" if token % 3 else "the" for token in ids) for ids in outputs
        ]


@pytest.mark.parametrize("mode", ["performance", "submission"])
def test_the_scores_are_those_of_the_recorded_answers(tmp_path, monkeypatch, mode):
    folder = with_questions(tmp_path, monkeypatch, mode=mode)
    assert statuses(audit(folder))["SCORES recorded_answers"] == "PASS"
    file = folder / "result.json"
    result = json.loads(file.read_text())
    file.write_text(json.dumps(result | {"accuracy": result["accuracy"] | {"rouge1": 44.4}}))
    found = next(v for v in audit(folder)["verdicts"] if v["rule"] == "SCORES recorded_answers")
    assert (found["status"], found["measured"]) == ("FAIL", 1)
    assert found["detail"].startswith("rouge1 is 44.4 in result.json, the recorded answers score ")


class SaysMoreWhenItCounts(Speaks):
    """Its answers are better where nobody times them: it has been asked for the accuracy part
    first.
    """

    loads = 0

    def load(self, samples, sink):
        super().load(samples, sink)
        type(self).loads += 1

    def _answer(self, index):
        ids = super()._answer(index)
        return (
            ids
            if type(self).loads <= 2
            else [3 * (token // 3) if k % 2 else token for k, token in enumerate(ids[:-1])]
            + ids[-1:]
        )


def test_an_accuracy_part_that_differs_from_the_timed_part_is_caught(tmp_path, monkeypatch):
    import sut

    entry = sut.TABLE["simulated"]._replace(
        factory=f"{__name__}:SaysMoreWhenItCounts", uses_dataset=True
    )
    monkeypatch.setitem(sut.TABLE, "simulated", entry)
    SaysMoreWhenItCounts.loads = 0
    found = audit(run(tmp_path, mode="submission"))
    assert found["status"] == "FAIL"
    assert statuses(found)["TEST01 same_answers"] == "FAIL"
