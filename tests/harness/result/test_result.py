"""From raw files to figures: what counts, what does not, and what a damaged folder says."""

import json
from dataclasses import replace

import numpy as np
import pytest

from harness.engine import runlog
from harness.kernel.errors import BadInput, RunBroke
from harness.kernel.log import RunLog
from harness.options.settings import load_config
from harness.result import measured
from harness.result import result as results
from harness.result.publish import publish
from harness.running.session import Run
from sut import TABLE
from sut.simulated import Simulated
from tests.scenario_helpers import MS, Row, hand_log, run_settings
from tests.seal_helpers import forget


def make(tmp_path, **flags):
    """A finished virtual run: (folder, Result)."""
    config = load_config(
        {
            "scenario": "server",
            "sut": "simulated",
            "clock": "virtual",
            "output_dir": tmp_path,
            **flags,
        }
    )
    with Run(config, lambda text: None, progress=False) as run:
        return run.folder, run.execute()


def with_stamps(log: RunLog, stamps) -> RunLog:
    starts = np.cumsum([0, *map(len, stamps)]).astype(np.int64)
    return replace(
        log,
        stamp_start=starts,
        stamp_ns=np.array([ms * MS for row in stamps for ms in row], np.int64),
    )


def test_itl_pools_the_gaps_of_completed_samples_only():
    rows = [
        Row(ids=(5, 6), ttft=10, latency=20),
        Row(ids=(5, 6), ttft=10, latency=6000, finish="error"),
        Row(ids=(7,)),
    ]
    log = with_stamps(hand_log(rows), [[10, 20], [10, 5020], [10]])
    assert measured.latency(log)["itl_ms"]["n"] == 1
    assert measured.latency(log)["itl_ms"]["max"] == 10.0


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "offline"])
def test_only_the_server_scenario_has_a_scheduled_rate(scenario):
    log = hand_log([Row(due=0), Row(due=100)])
    assert (
        measured.throughput(log, run_settings(scenario=scenario))["scheduled_samples_per_s"] is None
    )
    assert (
        measured.throughput(log, run_settings(scenario="server"))["scheduled_samples_per_s"] == 10.0
    )


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("settings.json", "{}"),
        ("settings.json", None),
        ("samples.parquet", "not parquet"),
    ],
)
def test_a_damaged_folder_is_bad_input_in_words(tmp_path, file, content):
    folder, _ = make(tmp_path)
    (folder / file).unlink() if content is None else (folder / file).write_text(content)
    with pytest.raises(BadInput, match="reading"):
        publish(folder)


@pytest.mark.parametrize("damage", ["", '{"platform": "Li', None])
def test_a_damaged_description_of_the_machine_does_not_cost_the_run(tmp_path, damage):
    folder, before = make(tmp_path)
    file = folder / "environment.json"
    file.unlink() if damage is None else file.write_text(damage)
    result = publish(folder)
    assert (result.status, result.latency) == (before.status, before.latency)
    assert [row["name"] for row in result.missing] == ["environment.json"]
    assert (folder / "report.html").exists()


def test_what_the_sampler_wrote_is_read_where_the_run_was_killed_before_it_was(tmp_path):
    folder, _ = make(tmp_path)
    log, facts = runlog.read_log(folder)
    facts.clock_start_ns = 1_000
    runlog.write_log(folder, log, facts)
    (folder / "telemetry.parquet").unlink(missing_ok=True)
    forget(folder)
    rows = [{"t_ns": 1_000 + i, "issued": i, "done": i} for i in range(3)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "telemetry.jsonl").write_text(lines + '{"t_ns": 10')
    publish(folder)
    assert runlog.read_telemetry(folder)["t_ns"] == [0, 1, 2]
    assert not (folder / "telemetry.jsonl").exists()


def test_settings_of_another_version_are_refused_in_words(tmp_path):
    folder, _ = make(tmp_path)
    saved = json.loads((folder / "settings.json").read_text())
    saved["run"]["a_field_of_tomorrow"] = 1
    (folder / "settings.json").write_text(json.dumps(saved))
    with pytest.raises(BadInput, match="other fields than this version writes"):
        publish(folder)


def test_a_cut_telemetry_file_does_not_cost_the_report(tmp_path):
    folder, result = make(tmp_path)
    (folder / "telemetry.parquet").write_bytes(b"PAR1")
    assert publish(folder).status == result.status == "VALID"


def test_the_dataset_of_a_sut_that_asks_no_questions_is_none(tmp_path):
    assert make(tmp_path)[1].dataset == "none"


class DiesAfterwards(Simulated):
    """Answers everything in the run and nothing after it."""

    def memory(self):
        raise RunBroke("the SUT", "is gone")

    def decode(self, outputs):
        raise RunBroke("the SUT", "is gone")


def test_a_sut_that_dies_after_the_run_is_still_judged_by_its_eos_ids(tmp_path, monkeypatch):
    import sut

    entry = sut.TABLE["simulated"]
    monkeypatch.setitem(
        sut.TABLE,
        "simulated",
        entry._replace(factory="tests.harness.result.test_result:DiesAfterwards"),
    )
    _, result = make(tmp_path, sut_options={"fault": "two_eos"})
    failed = [v["rule"] for v in result.verdicts if v["status"] == "FAIL"]
    assert ("eos" in failed, result.memory["weights_bytes"]) == (True, None)


def test_logs_that_cannot_be_written_cost_a_note_and_nothing_else(tmp_path, capsys):
    folder, _ = make(tmp_path)
    for name in ("result.json", "mlperf_log_detail.txt"):
        (folder / name).unlink()
    (folder / "mlperf_log_detail.txt").mkdir()
    assert publish(folder).status == "VALID"
    assert "note: no MLPerf logs" in capsys.readouterr().err
    assert (folder / "result.json").is_file()


def test_the_log_read_back_is_the_log_that_was_judged(tmp_path):
    folder, result = make(tmp_path)
    log, _ = runlog.read_log(folder)
    assert (len(log), int(log.tokens.sum())) == (result.counts["samples"], result.counts["tokens"])


@pytest.mark.parametrize(
    ("flags", "said"), [({}, True), ({"adapter": "mine"}, False), ({"dataset": "FILE"}, False)]
)
def test_the_shipped_adapter_is_not_praised_for_what_it_was_trained_on(tmp_path, flags, said):
    (tmp_path / "own.jsonl").write_text('{"prompt": "a", "reference": "b"}\n')
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).touch()
    own = {"FILE": str(tmp_path / "own.jsonl"), "mine": tmp_path}
    flags = {name: own[value] for name, value in flags.items()}
    config = load_config({"scenario": "offline", "variant": "lora", **flags})
    facts = runlog.RunFacts("run", "2026-11-21T10:00:00+00:00")
    notes = results._notes(config, facts, TABLE["local"])
    assert any("flattering" in note for note in notes) == said
