"""Are runs on a cluster the runs that would be made here, whatever happens to its nodes?"""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from accuracy.gate.metrics import METRICS
from harness.cli import app
from harness.kernel.machine import installed
from harness.study import scoring
from harness.study.cluster import crew

RUNS = "compare --sut simulated --clock virtual --scenario server --min-queries 64"


def call(words, place):
    done = CliRunner().invoke(app, [*words.split(), "--output-dir", str(place)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def compared(place):
    (folder,) = place.iterdir()
    return folder, json.loads((folder / "compare.json").read_text())


def figures(row):
    """Return what a row says of the run, without where and when it was made."""
    return {k: v for k, v in row.items() if k not in ("run", "conditions")}


def test_runs_on_two_nodes_are_the_runs_made_here(two_nodes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = f"{RUNS} --target-qps 5,10"
    assert call(words, Path("here")).exit_code == 0
    where = f"--executor ray --ray-address {two_nodes.head}"
    done = call(f"{words} {where}", Path("ray"))
    assert done.exit_code == 0, done.stderr
    _, here = compared(Path("here"))
    folder, there = compared(Path("ray"))
    assert list(map(figures, here["rows"])) == list(map(figures, there["rows"]))
    assert "2 runs on" in done.stderr
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "study.json", "rows.jsonl", "compare.json", "compare.html", ".study.lock"
    }  # fmt: skip


LONG = f"{RUNS} --target-qps 20,25 --min-duration 3s".replace("virtual", "real")


def begun(place, runs):
    """Wait until so many runs are being timed."""
    until = time.monotonic() + 60
    while len(list(place.glob("*/*/telemetry.jsonl"))) < runs:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_node_that_is_killed_costs_its_run_another_try_and_nothing_else(two_nodes, tmp_path):
    def kill():
        begun(tmp_path, 2)
        two_nodes.kill(two_nodes.nodes[0])

    killer = Thread(target=kill)
    killer.start()
    done = call(f"{LONG} --executor ray --ray-address {two_nodes.head}", tmp_path)
    killer.join()
    assert done.exit_code == 0, done.stderr
    assert "was lost while it made the run" in done.stderr
    folder, found = compared(tmp_path)
    assert [row["label"] for row in found["rows"]] == [f"target-qps={n}" for n in (20, 25)]
    assert {row["status"] for row in found["rows"]} == {"VALID"}
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 2


def test_folders_come_back_where_no_path_is_shared(two_nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "write_token", lambda place, word: None)
    where = f"--executor ray --ray-address {two_nodes.head}"
    done = call(f"{RUNS} --target-qps 5,10 {where}", tmp_path)
    assert done.exit_code == 0, done.stderr
    folder, found = compared(tmp_path)
    runs = [folder / row["run"] for row in found["rows"]]
    assert all(
        (run / "result.json").is_file() and (run / "samples.parquet").is_file() for run in runs
    )
    assert not list(folder.glob(".*.half"))


def texts(number):
    return [f"The sky is {n * number} times as blue. It rains {n}." for n in range(40)]


def test_scores_of_the_nodes_are_those_of_this_machine_to_the_last_bit(two_nodes, monkeypatch):
    ours, theirs, metric = texts(1), texts(2), METRICS["rouge"]
    made, done = crew.joined(two_nodes.head, 0), []
    study = SimpleNamespace(is_spread=True, crew=made)
    monkeypatch.setattr(scoring, "LEAST_SPREAD", 0)
    monkeypatch.setattr(scoring, "OF_A_PART", 1000)
    there = scoring.scorer_of(study)(metric, ours, theirs, done.append)
    made.close()
    assert there.tobytes() == metric.scores(ours, theirs).tobytes()
    assert (len(done) > 2, done[-1]) == (True, 40)


def test_nodes_with_another_harness_are_not_used(two_nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(installed, "versions", lambda: {"touchstone": "0.0.1"})
    where = f"--executor ray --ray-address {two_nodes.head}"
    done = call(f"{RUNS} --target-qps 5,10 {where}", tmp_path)
    assert done.exit_code == 3
    assert "no node can be used" in done.stderr
    assert "(here 0.0.1)" in done.stderr


def test_a_run_that_fits_no_node_says_what_is_lacking(two_nodes, tmp_path, tiny_llama):
    (tmp_path / "q.jsonl").write_text('{"prompt": "why"}\n' * 2)
    words = f"compare --model {tiny_llama} --dataset {tmp_path / 'q.jsonl'} --device cuda"
    words += f" --variants fp32,bf16 --executor ray --ray-address {two_nodes.head}"
    done = call(words, tmp_path / "out")
    assert done.exit_code == 1
    _, found = compared(tmp_path / "out")
    assert "no node has what it needs" in found["rows"][0]["reason"]
    assert "1 GPU (it has 0)" in found["rows"][0]["reason"]


@pytest.mark.parametrize("is_open", [False, True])
def test_an_address_that_does_not_answer_is_a_sentence_within_15_s(tmp_path, is_open):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if not is_open:
            listener.close()
        began = time.monotonic()
        done = call(
            f"{RUNS} --target-qps 5,10 --executor ray --ray-address 127.0.0.1:{port}",
            tmp_path / "runs",
        )
    assert time.monotonic() - began < 15
    assert done.exit_code == 3
    words = "no cluster answered" if is_open else "refused"
    assert (words in done.stderr, not (tmp_path / "runs").exists()) == (True, True), done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--executor here --ray-address auto", "it belongs to --executor ray"),
        ("--executor child --ray-cpus 2", "it belongs to --executor ray"),
        ("--executor ray --ray-cpus -1", "expected 1 or more"),
        ("--executor moon", "known: child, here, ray"),
    ],
)
def test_where_runs_are_made_is_checked_first(tmp_path, flags, words):
    done = call(f"{RUNS} --target-qps 5,10 {flags}", tmp_path / "runs")
    assert (done.exit_code, words in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "runs").exists()
