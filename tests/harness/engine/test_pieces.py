"""A step that breaks after the timed part costs its own piece and no more: the run is kept, the
verdict and the exit code stand, the piece is named, and `harness report` makes it later.

Every step is broken once, through the command line.
"""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

import accuracy
import sut
from harness import cli
from harness.engine import runlog
from harness.engine.pieces import Pieces, reason
from harness.kernel import files
from harness.kernel.types import MemoryUse, Sample
from harness.loads.library import Shaped
from scenarios.server import Server
from sut.simulated import Simulated

QUICK = ["--min-queries", "64", "--num-samples", "20"]
ANSWERED = [Sample(i, "?", reference="an answer") for i in range(20)]


class Speaks(Simulated):
    """Decodes its ids, says what it weighs and scores answers: every step has work to do."""

    def memory(self):
        return MemoryUse(weights_bytes=7, source="made up")

    def decode(self, outputs):
        return [" ".join(map(str, ids)) for ids in outputs]

    def evaluate(self, answers):
        return {"nll_nats": 1.0, "correct": 1, "tokens": 2, "samples": 1, "seconds": 1.0}


@pytest.fixture
def harness(tmp_path, monkeypatch):
    """`harness("run", ...)` in this process, on a simulated SUT that speaks: (code, stdout, stderr,
    result.json's content, the folder).
    """
    entry = sut.TABLE["simulated"]
    monkeypatch.setitem(
        sut.TABLE, "simulated", entry._replace(factory="tests.harness.engine.test_pieces:Speaks")
    )

    def call(*words, scenario="server"):
        if words[0] == "run":
            words = [*words, "--scenario", scenario, "--sut", "simulated", "--clock", "virtual"]
            words += ["--output-dir", str(tmp_path / "runs"), *QUICK]
        done = CliRunner().invoke(cli.app, [str(word) for word in words])
        folders = sorted((tmp_path / "runs").iterdir()) if (tmp_path / "runs").is_dir() else []
        found = [f for f in folders if (f / "result.json").is_file()]
        result = json.loads((found[-1] / "result.json").read_text()) if found else None
        return done.exit_code, done.stdout, done.stderr, result, folders[-1] if folders else None

    return call


def breaks(*args, **kwargs):
    raise ValueError("injected")


def missing(result):
    return {(row["kind"], row["name"]): row for row in result["missing"]}


DERIVED = {  # where it breaks, and the piece that is missing; `harness report` makes it later
    "scores": {
        target.replace(":", "."): ("score", name) for name, target in accuracy.METRICS.items()
    },
    "figures": {
        "scenarios.server.Server.result": ("figure", "result"),
        "harness.result.measured.latency": ("figure", "latency"),
        "harness.result.measured.throughput": ("figure", "throughput"),
        "harness.result.result._driver": ("figure", "driver"),
        "harness.result.result._memory": ("figure", "memory"),
        "harness.result.result.division": ("figure", "division"),
        "harness.result.result.energy": ("figure", "energy"),
    },
    "LoadGen's figures": {"scenarios.loadgen.results.results": ("figure", "LoadGen")},
    "which answers to log": {
        "scenarios.loadgen.accuracy_log.logged_samples": ("log", "MLPerf logs")
    },
    "the detail log": {"reports.mlperf.files.detail": ("log", "MLPerf logs")},
    "writing the logs": {"reports.mlperf.files.write": ("log", "MLPerf logs")},
    "the page": {"reports.pages.run.shown_samples": ("page", "report.html")},
    "plots": {
        "reports.plots.run.samples_over_run": ("picture", "over run"),
        "reports.plots.run.cumulative": ("picture", "cumulative"),
        "reports.plots.run.tpot_histogram": ("picture", "tpot"),
        "reports.plots.run.load_over_run": ("picture", "load"),
        "reports.plots.run.machine_over_run": ("picture", "machine"),
    },
}
RAW = [  # these can be had at the time only
    ("harness.running.untimed.read_back", ("texts", "texts")),
    ("tests.harness.engine.test_pieces.Speaks.decode", ("texts", "texts")),
    ("tests.harness.engine.test_pieces.Speaks.memory", ("figure", "memory")),
    ("harness.engine.runlog.write_telemetry", ("file", "telemetry.parquet")),
    ("harness.running.sampling.begin", ("file", "telemetry")),
    ("harness.engine.runlog.rewrite_log", ("file", "token ids and texts")),
]


@pytest.mark.parametrize("broken", DERIVED.values(), ids=DERIVED.keys())
def test_what_is_made_of_a_run_may_break_and_is_made_later(harness, monkeypatch, broken):
    with monkeypatch.context() as patched:
        for where in broken:
            patched.setattr(where, breaks)
        code, out, err, result, folder = harness("run")
    assert (code, result["status"]) == (0, "VALID"), err
    assert "VALID" in out
    for piece in broken.values():
        row = missing(result)[piece]
        assert (row["reason"], row["later"]) == ("ValueError: injected", True)
        assert f"{piece[1]} (ValueError: injected)" in out
    assert f"harness report {folder}" in out.replace("\n", "")
    assert len(runlog.read_log(folder)[0]) == 64
    code, out, _, result, _ = harness("report", folder)
    assert (code, result["status"], result["missing"]) == (0, "VALID", [])
    assert "missing" not in out
    assert (folder / "report.html").is_file()
    assert (folder / "mlperf_log_detail.txt").is_file()


@pytest.mark.parametrize(("where", "piece"), RAW, ids=[where for where, _ in RAW])
def test_what_can_only_be_asked_at_the_time_is_named_for_good(harness, monkeypatch, where, piece):
    with monkeypatch.context() as patched:
        patched.setattr(where, breaks)
        code, out, _, result, folder = harness("run")
    assert (code, result["status"]) == (0, "VALID")
    assert not missing(result)[piece]["later"]
    assert "injected" in out
    assert len(runlog.read_log(folder)[0]) == 64
    code, out, _, again, _ = harness("report", folder)
    assert (code, piece in missing(again)) == (0, True)


def test_rules_that_break_are_no_passes(harness, monkeypatch):
    with monkeypatch.context() as patched:
        for target in accuracy.RULES.values():
            patched.setattr(target.replace(":", "."), breaks)
        code, out, _, result, folder = harness("run")
    broken = {v["rule"]: (v["status"], v["error"]) for v in result["verdicts"] if v["error"]}
    assert broken == dict.fromkeys(accuracy.RULES, ("UNDECIDED", "ValueError: injected"))
    assert (code, result["status"]) == (1, "INVALID")
    assert result["status_reason"] == "could not be judged: " + ", ".join(accuracy.RULES)
    assert {("rule", name) for name in accuracy.RULES} <= missing(result).keys()
    assert "injected" in out
    code, _, _, result, _ = harness("report", folder)
    assert (code, result["status"], result["missing"]) == (0, "VALID", [])


def test_the_conditions_of_a_scenario_that_break_are_none_that_hold(harness, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Server, "judge", breaks)
        code, _, _, result, folder = harness("run")
    assert (code, result["status"]) == (1, "INVALID")
    assert result["status_reason"] == "could not be judged: server conditions"
    assert harness("report", folder)[0] == 0


def test_a_rule_that_breaks_hides_no_rule_that_fails(harness, monkeypatch):
    monkeypatch.setattr(accuracy.RULES["eos"].replace(":", "."), breaks)
    code, _, _, result, _ = harness("run", "--sut-option", "fault=wrong_count")
    assert code == 1
    assert result["status_reason"] == "failed: token_count; could not be judged: eos"


def test_a_scorer_whose_library_is_missing_is_named_and_scores_later(harness, monkeypatch):
    target = accuracy.METRICS["bleu"].split(":")[0]
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, target, None)
        code, _, _, result, folder = harness("run")
    assert (code, result["status"]) == (0, "VALID")
    row = missing(result)["score", "bleu"]
    assert row["reason"].startswith(("ImportError", "ModuleNotFoundError"))
    assert harness("report", folder)[3]["missing"] == []


def test_an_evaluation_that_breaks_is_a_note(harness, monkeypatch):
    monkeypatch.setattr(Speaks, "evaluate", breaks)
    monkeypatch.setattr(
        "harness.running.session.library", lambda config: Shaped(ANSWERED, {"name": "none"})
    )
    code, out, _, result, _ = harness("run", "--evaluate")
    assert (code, result["status"]) == (0, "VALID")
    row = missing(result)["evaluation", "of the reference answers"]
    assert (row["reason"], row["later"]) == ("ValueError: injected", False)
    assert "injected" in out


def test_a_screen_that_cannot_be_drawn_still_shows_the_verdict(harness, monkeypatch):
    monkeypatch.setattr("reports.terminal._conditions", breaks)
    code, out, err, _, folder = harness("run")
    assert (code, "VALID  server: every condition holds" in out) == (0, True)
    assert "injected" in err
    assert str(folder) in err


def test_a_system_that_cannot_be_closed_does_not_take_the_verdict_with_it(harness, monkeypatch):
    monkeypatch.setattr(Speaks, "close", breaks, raising=False)
    code, _, err, result, _ = harness("run")
    assert (code, result["status"], "injected" in err) == (0, "VALID", True)


@pytest.mark.parametrize("name", ["memory.json", "scores.json", "verdicts.json", "result.json"])
def test_a_file_that_cannot_be_written_costs_a_note(harness, monkeypatch, name):
    write = files.write_json
    monkeypatch.setattr(
        files,
        "write_json",
        lambda path, value: (breaks if path.name == name else write)(path, value),
    )
    code, out, err, _, _ = harness("run")
    assert (code, "VALID" in out, name in err) == (0, True, True)


def test_a_run_that_cannot_be_judged_at_all_is_kept_and_says_where(harness, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("harness.result.publish.build", breaks)
        code, _, err, _, folder = harness("run")
    assert (code, "This is a bug" in err, f"harness report {folder}" in err) == (4, False, True)
    code, _, _, result, _ = harness("report", folder)
    assert (code, result["status"]) == (0, "VALID")


def test_a_folder_that_takes_no_more_does_not_cost_the_run(harness, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    write = runlog._write

    def full(path, *args, **kwargs):
        if "runs" in path.parts and path.name == "samples.parquet":
            raise OSError(28, "No space left on device")
        return write(path, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(runlog, "_write", full)
        code = harness("run")[0]
    (place,) = (tmp_path / "elsewhere").glob("*_server_simulated_*")
    result = json.loads((place / "result.json").read_text())
    assert (code, result["status"]) == (0, "VALID")
    assert any(str(place) in note for note in result["notes"])
    assert len(runlog.read_log(place)[0]) == 64
    assert harness("report", place)[0] == 0


def test_a_writer_that_does_not_work_is_found_out_before_the_run(harness, monkeypatch, tmp_path):
    monkeypatch.setattr(runlog, "_write", breaks)
    code, _, err, _, _ = harness("run")
    assert (code, "injected" in err, list((tmp_path / "runs").iterdir())) == (3, True, [])


def test_the_parts_of_a_submission_name_what_they_miss(harness, monkeypatch):
    monkeypatch.setattr(accuracy.METRICS["characters"].replace(":", "."), breaks)
    monkeypatch.setattr("reports.mlperf.files.detail", breaks)
    code, _, _, result, _ = harness("run", "--mode", "submission")
    assert (code, result["status"]) == (0, "VALID")
    names = sorted(row["name"] for row in result["missing"])
    part = ["accuracy part: MLPerf logs", "accuracy part: characters"]
    assert names == sorted(["MLPerf logs", *part])


def test_a_search_survives_what_breaks_in_its_steps(harness, monkeypatch):
    monkeypatch.setattr("harness.engine.runlog.write_telemetry", breaks)
    monkeypatch.setattr("reports.mlperf.files.detail", breaks)
    words = ["--mode", "find-peak", "--target-qps", "60", "--min-duration", "2s"]
    code, _, _, result, _ = harness("run", *words, "--ttft-limit", "100ms")
    assert (code, len(result["search"]) > 3) in ((0, True), (1, True))
    assert ("file", "telemetry.parquet") in missing(result)


# ---- the collector itself


def test_a_piece_that_is_made_is_returned_and_one_that_breaks_is_named():
    pieces = Pieces([{"kind": "a", "name": "b", "reason": "c", "later": False}])
    assert pieces.make("score", "good", lambda: 5, 0) == 5
    assert pieces.make("score", "bad", breaks, 0) == 0
    assert pieces.make("score", "bad", breaks, 0) == 0
    assert [row["name"] for row in pieces.missing] == ["b", "bad"]


def test_a_reason_is_one_line():
    assert reason(ValueError("two\n  lines")) == "ValueError: two lines"
    assert reason(ValueError()) == "ValueError"
    assert len(reason(ValueError("x" * 9999))) < 400


def test_debugging_shows_where(monkeypatch, capsys):
    monkeypatch.setenv("TOUCHSTONE_DEBUG", "1")
    Pieces().make("score", "bad", breaks, 0)
    assert "in breaks" in capsys.readouterr().err


def test_the_speaking_sut_of_this_file_gives_every_step_work(harness):
    code, _, _, result, _ = harness("run", "--evaluate")
    assert (code, result["missing"]) == (0, [])
    assert result["accuracy"]["gen_len"] > 0
    assert result["memory"]["weights_bytes"] == 7


# ---- comparisons and gates


def test_a_page_or_a_screen_of_a_comparison_that_breaks_is_a_note(harness, monkeypatch, tmp_path):
    _, _, _, _, folder = harness("run")
    for broken in ("reports.pages.compare.render", "reports.pages.compare._head"):
        with monkeypatch.context() as patched:
            patched.setattr(broken, breaks)
            code, _, err, _, _ = harness(
                "compare", folder, folder, "--output-dir", tmp_path / "compared"
            )
        assert (code, "This is a bug" in err, "injected" in err) == (0, False, True), broken
    assert len(list((tmp_path / "compared").glob("*/compare.json"))) == 2


def test_whatever_breaks_in_one_variant_the_others_have_their_rows(monkeypatch, tmp_path):
    from harness.running import session
    from harness.study.comparison import compare
    from harness.study.study import Cell, begin

    config = session.RunConfig(scenario="offline", model="m", output_dir=tmp_path)
    study = begin("compare", {}, [Cell("one", config), Cell("two", config)], tmp_path, "m")
    monkeypatch.setattr("harness.study.executors.here.Run", breaks)
    found, _ = compare.go_on(study, lambda text: None, lambda row: None)
    assert [(row["status"], row["reason"]) for row in found["rows"]] == [
        ("FAILED", "ValueError: injected"),
        ("FAILED", "ValueError: injected"),
    ]
    assert not found["interrupted"]
