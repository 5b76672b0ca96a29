"""Does a run made in a child come out as one made here?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.process import children

RUNS = "compare --sut simulated --clock virtual --scenario server --min-queries 64"


def call(words, place):
    return CliRunner().invoke(app, [*words.split(), "--output-dir", str(place)])


def compared(place):
    (folder,) = place.iterdir()
    return folder, json.loads((folder / "compare.json").read_text())


def test_a_child_makes_the_same_runs(tmp_path):
    codes = {
        where: call(f"{RUNS} --target-qps 5,10 --executor {where}", tmp_path / where).exit_code
        for where in ("here", "child")
    }
    assert codes == {"here": 0, "child": 0}
    here, child = (compared(tmp_path / where)[1]["rows"] for where in ("here", "child"))
    assert [row["tokens_per_s"] for row in here] == [row["tokens_per_s"] for row in child]
    assert [row["label"] for row in child] == ["target-qps=5", "target-qps=10"]


DIES = """
import os
from sut.simulated import Simulated

class Dies(Simulated):
    def issue(self, query):
        os._exit(7)
Dies.isolated = False
"""


def test_a_crash_of_the_process_costs_one_run_and_the_study_can_go_on(tmp_path, monkeypatch):
    (tmp_path / "deadly.py").write_text(DIES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    words = RUNS.replace("--sut simulated --clock virtual", "--sut deadly:Dies,null")
    done = call(f"{words} --target-qps 100 --min-duration 0 --executor child", tmp_path / "runs")
    assert done.exit_code == 1, done.stderr
    _, found = compared(tmp_path / "runs")
    died, survived = found["rows"]
    assert died["status"] == "FAILED"
    assert survived["status"] in ("VALID", "INVALID")
    assert "it ended with exit code 7" in died["reason"]


def test_a_users_mistake_is_the_same_sentence_from_a_child(tmp_path):
    words = f"{RUNS} --target-qps 5,10 --sut-option ttft_ms=-1 --executor child"
    call(words, tmp_path)
    _, found = compared(tmp_path)
    assert "ttft_ms" in found["rows"][0]["reason"]


def test_an_unknown_executor_lists_the_known_ones(tmp_path):
    done = call(f"{RUNS} --target-qps 5,10 --executor cluster", tmp_path / "runs")
    assert (done.exit_code, "known: child, here, ray" in done.stderr) == (2, True)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_reaches_the_child_and_the_study_says_how_to_go_on(tmp_path, number):
    words = RUNS.replace("--clock virtual", "--clock real").replace("--min-queries 64", "")
    process = started(f"{words} --target-qps 20,30 --min-duration 60s --executor child", tmp_path)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "harness resume" in out


def test_a_child_ends_with_its_parent(tmp_path):
    words = RUNS.replace("--clock virtual", "--clock real").replace("--min-queries 64", "")
    process = started(f"{words} --target-qps 20,30 --min-duration 60s --executor child", tmp_path)
    (child,) = _children(process.pid)
    process.kill()
    process.communicate()
    until = time.monotonic() + 30
    while Path(f"/proc/{child}").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not Path(f"/proc/{child}").exists()


def started(words, place):
    """The command as a process, once its first run is being timed."""
    process = subprocess.Popen(
        [*children.command("harness"), *words.split(), "--output-dir", str(place)],
        env=children.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not any(path.stat().st_size for path in place.glob("*/*/telemetry.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(0.5)
    return process


def _children(pid):
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid for pid in map(int, words) if os.path.exists(f"/proc/{pid}")]
