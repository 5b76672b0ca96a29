"""From run folders to one answer: companions are found or named, faults are told, exit codes
follow.
"""

import json

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.errors import BadInput
from harness.mlperf.audit import audit
from harness.options.settings import load_config
from harness.running.session import Run
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
    other = run(tmp_path / "b", sut="null", clock="real", mode="accuracy", target_qps=10_000.0)
    with pytest.raises(BadInput, match="has model 'null', this run 'simulated'"):
        audit(run(tmp_path / "a", target_qps=10_000.0), [other])


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


AUDIT_CONFIG = """\
*.*.mode = 2
*.*.accuracy_log_rng_seed = 720381539243781796
*.*.accuracy_log_sampling_target = 100
*.*.min_query_count = 100
*.*.min_duration = 0
*.*.sample_concatenate_permutation = 0
"""


@pytest.mark.parametrize("scenario", ["server", "offline", "single-stream"])
def test_an_honest_run_with_test06s_audit_config_stands_the_audit(tmp_path, scenario):
    """100 queries are too few for early stopping at p99, which wants 459."""
    (tmp_path / "audit.config").write_text(AUDIT_CONFIG)
    flags = {"user_conf": tmp_path / "audit.config", "profile": "llama3.1-8b", "num_samples": 2000}
    folder = run(tmp_path, scenario=scenario, target_qps=20, **flags)
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"] == "INVALID") == (scenario == "server")
    found = audit(folder)
    assert (found["status"], found["reason"][3:14]) == ("PASS", "checks hold")
    assert statuses(found)["TEST06 logged_answers"] == "PASS"


def test_a_compliance_run_is_not_let_off_its_answers(tmp_path):
    (tmp_path / "audit.config").write_text(AUDIT_CONFIG)
    folder = run(
        tmp_path, user_conf=tmp_path / "audit.config", sut_options={"fault": "wrong_first_token"}
    )
    found = audit(folder)
    assert (found["status"], statuses(found)["TEST06 first_token"]) == ("FAIL", "FAIL")


def test_an_audit_says_that_no_model_ran(tmp_path):
    folder = run(tmp_path)
    assert audit(folder)["notes"] == [
        "no model ran: --sut simulated makes its answers up, so this audit says nothing of one"
    ]
    shown = CliRunner().invoke(app, ["audit", str(folder)]).output
    assert "no model ran: --sut simulated" in shown
    notes = json.loads((folder / "result.json").read_text())["notes"]
    assert "no model ran: --sut simulated makes its answers up" in notes


def test_edited_logs_fail_the_audit_and_missing_ones_are_named(tmp_path):
    folder = run(tmp_path)
    assert statuses(audit(folder))["LOGS as_recorded"] == "PASS"
    log = folder / "mlperf_log_detail.txt"
    log.write_text(
        log.read_text().replace('"result_validity", "value": "VALID"', '"x", "value": 1')
    )
    found = audit(folder)
    assert (found["status"], statuses(found)["LOGS as_recorded"]) == ("FAIL", "FAIL")
    log.unlink()
    assert statuses(audit(folder))["LOGS as_recorded"] == "SKIPPED"


def test_the_command_of_a_companion_has_what_a_conf_file_set(tmp_path):
    (tmp_path / "my user.conf").write_text("*.Server.target_qps = 25\n*.*.min_query_count = 70\n")
    folder = run(tmp_path, user_conf=tmp_path / "my user.conf")
    remedies = {v["rule"]: v["remedy"] for v in audit(folder)["verdicts"]}
    assert "--min-queries 70" in remedies["TEST01 same_answers"]
    assert "--target-qps 25.0" in remedies["TEST04 same_sample"]
