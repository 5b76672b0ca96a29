"""Is an edit of the run folder caught, by the system while it runs or by hand afterwards?"""

import json
import os
import shutil
import subprocess

import pytest

import sut
from harness.engine import runlog
from harness.options.settings import load_config
from harness.running.session import Run
from tests.cheats import suts
from tests.seal_helpers import forget

TOO_SLOW = {"target_qps": 40, "sut_options": {"slots": 1}, "min_queries": 20}


def limits(folder):
    return json.loads((folder / "settings.json").read_text())["run"]["percentile"]


def test_limits_edited_before_the_verdict_change_nothing_and_are_named(cheat, harness):
    folder, result = cheat(suts.RaisesItsLimits, **TOO_SLOW)
    assert limits(folder) == 0.5, "the cheat did not edit anything"
    assert result["status"] == "INVALID"
    assert "seal" not in [v["rule"] for v in result["verdicts"]]
    code, again, _ = harness("report", folder)
    (found,) = [v for v in again["verdicts"] if v["rule"] == "seal"]
    assert (code, found["status"]) == (1, "FAIL")
    assert found["detail"] == "settings.json was edited since the run was sealed"


def test_an_earlier_part_that_is_edited_changes_nothing_and_is_named(cheat, harness):
    folder, result = cheat(suts.EditsTheFirstPart, mode="submission")
    assert (folder / "accuracy" / "samples.parquet").read_bytes() == b"PAR1"
    assert result["status"] == "VALID"
    assert harness("report", folder)[0] == 2  # its accuracy part is damaged


def test_a_step_of_a_search_that_is_edited_changes_nothing(cheat, harness):
    kind = suts.EditsTheBestStep
    own = {"mode": "find-peak", "profile": "mlperf", "min_duration": "1s", "max_new_tokens": 4}
    folder, result = cheat(kind, **own, sut_options={"slots": 1, "tokens": 4}, target_qps=14)
    assert len(result["search"]) > 1
    assert (folder / "step_01" / "samples.parquet").read_bytes() == b"PAR1"
    assert harness("report", folder)[1]["result"] == result["result"]


def edit_limits(folder):
    suts.raise_limits(folder / "settings.json")


def edit_answers(folder):
    log, facts = runlog.read_log(folder)
    log.first_ns = log.first_ns // 2
    runlog.write_log(folder, log, facts)


def edit_run_id(folder):
    """Take the name by which the seal is found."""
    log, facts = runlog.read_log(folder)
    facts.run_id = "another"
    runlog.write_log(folder, log, facts)


def add_a_search(folder):
    (folder / "find_peak.json").write_text(json.dumps({"steps": []}))


EDITS = {edit_limits: "settings.json", edit_answers: "samples.parquet",
         edit_run_id: "samples.parquet", add_a_search: "find_peak.json"}  # fmt: skip


@pytest.mark.parametrize(("edit", "file"), EDITS.items(), ids=lambda v: getattr(v, "__name__", v))
def test_an_edit_by_hand_is_named_and_no_report_takes_it_for_the_truth(cheat, harness, edit, file):
    folder, before = cheat(suts.Simulated, num_samples=20, min_queries=20, target_qps=2)
    assert before["seal"]["status"] == "sealed"
    edit(folder)
    for _ in range(2):
        code, report, _ = harness("report", folder)
        assert (code, report["status"], report["seal"]["edited"]) == (1, "INVALID", [file])


def test_every_command_that_reads_a_run_names_an_edit(cheat, harness):
    folder, _ = cheat(suts.Speaks, mode="accuracy")
    other = shutil.copytree(folder, folder.parent / "other")
    edit_answers(folder)
    words = "samples.parquet was edited since the run was sealed"
    _, compared, _ = harness("compare", other, folder, "--output-dir", folder.parent / "compared")
    assert any(words in note for note in compared["notes"])
    _, audit, _ = harness("audit", folder)
    assert ("FAIL", words) in [(v["status"], v["detail"]) for v in audit["verdicts"]]
    gate = ["gate", "--reference", other, "--candidates", folder, "--output-dir"]
    _, judged, _ = harness(*gate, folder.parent / "gates")
    assert judged["rows"][0]["reason"].endswith(", seal")
    package = ["package", folder, "--submitter", "a", "--system", "b", "--accuracy-run", other]
    code, _, said = harness(*package, "--output", folder.parent / "tree")
    assert (code, words in " ".join(said.split())) == (2, True)


def test_a_result_edited_by_hand_is_named_and_not_believed(cheat, harness):
    folder, result = cheat(suts.Simulated)
    own = result["throughput"]["tokens_per_s"]
    file = folder / "result.json"
    edited = json.loads(file.read_text())
    edited["throughput"]["tokens_per_s"] = 9999.0
    file.write_text(json.dumps(edited))
    _, audit, _ = harness("audit", folder)
    (found,) = [v for v in audit["verdicts"] if v["rule"] == "RESULT as_measured"]
    assert found["status"] == "FAIL"
    assert found["detail"].startswith("throughput.tokens_per_s is 9999.0, the run gives ")
    _, compared, _ = harness("compare", folder, folder, "--output-dir", folder.parent / "compared")
    assert [row["tokens_per_s"] for row in compared["rows"]] == [own, own]
    assert "result.json was edited: throughput.tokens_per_s is 9999.0" in compared["notes"][0]


def test_a_seal_is_what_sha256sum_says_and_is_shown(cheat, harness):
    folder, result = cheat(suts.Simulated)
    names = "environment.json samples.parquet settings.json telemetry.parquet"
    if shutil.which("sha256sum"):
        line = f"sha256sum {names} | sha256sum"
        done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True)
        assert done.stdout.split()[0] == result["seal"]["noted"]
    assert f"seal:       {result['seal']['noted']}" in harness("report", folder)[2]


def test_a_run_without_a_seal_is_judged_as_ever_and_said_to_have_none(cheat, harness):
    folder, result = cheat(suts.Simulated)
    forget(folder)
    code, again, said = harness("report", folder)
    assert (code, again["status"], again["seal"]["status"]) == (0, result["status"], "not sealed")
    assert said.count("not sealed: an edit of the raw files would go unnoticed") == 1


def test_a_seal_that_cannot_be_kept_costs_the_run_nothing(cheat, monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TOUCHSTONE_STATE", str(tmp_path / "file"))
    assert cheat(suts.Simulated)[1]["status"] == "VALID"
    assert "note: the seal of the run is not kept (NotADirectoryError" in capsys.readouterr().err


def test_a_user_without_a_home_has_his_run_judged(cheat, monkeypatch, capsys):
    """As in a container with any user id: no HOME, and no line in the list of users."""
    for name in ("TOUCHSTONE_STATE", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    assert cheat(suts.Simulated)[1]["status"] == "VALID"
    assert "note: the seal of the run is not kept (RuntimeError" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["report", "audit"])
def test_a_result_that_nests_too_deeply_is_no_bug(cheat, harness, command):
    folder, _ = cheat(suts.Simulated)
    forget(folder)
    (folder / "result.json").write_text('{"seal": ' + "[" * 100_000 + "]" * 100_000 + "}")
    code, _, said = harness(command, folder)
    assert code in (0, 1)
    assert "This is a bug" not in said


# ---- in a process of its own


def isolated(kind, tmp_path, monkeypatch):
    own = sut.TABLE["null"]._replace(factory=f"{suts.__name__}:{kind.__name__}", isolated=True)
    monkeypatch.setitem(sut.TABLE, "null", own)
    flags = {"scenario": "single-stream", "sut": "null", "output_dir": tmp_path / "runs"}
    with Run(load_config(flags | {"num_samples": 8}), lambda text: None, progress=False) as run:
        run.execute()
    return run.folder


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="its stdout has no name")
def test_its_stdout_does_not_lead_to_the_run_folder(tmp_path, monkeypatch, audited):
    folder = isolated(suts.ReadsItsStdout, tmp_path, monkeypatch)
    assert limits(folder) != 0.5
    log = (folder / "sut.log").read_text()
    assert "beside: []" in log
    assert "settings.json" not in log
    found = audited(folder)
    assert (found["MEMORY as_seen"], found["SEAL raw_files"]) == ("FAIL", "PASS")
    notes = json.loads((folder / "result.json").read_text())["notes"]
    assert any(note.startswith("memory: the SUT tells of a peak of ") for note in notes)


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="a link is followed there")
def test_its_log_is_not_written_through_a_link(tmp_path, monkeypatch, capfd):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    monkeypatch.setenv(suts.VICTIM, str(victim))
    monkeypatch.setattr(suts.LinksItsLog, "__doc__", "")
    monkeypatch.chdir(tmp_path)
    folder = isolated(suts.LinksItsLog, tmp_path, monkeypatch)
    assert victim.read_text() == "mine"
    assert (folder / "sut.log").is_symlink(), "the cheat did not put its link"
    assert "note: sut.log could not be written" in capfd.readouterr().err
