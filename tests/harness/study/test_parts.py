"""Do a search and a submission go on wherever a process was killed, with nothing measured twice?

Processes are killed between any two parts and inside one, in virtual time; what the resumed run
comes to is what one that was left alone comes to.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.process import children
from harness.running import timed
from harness.study.study import FILE, LOCK, ROWS

# A peak near 19.5 queries/s: two tokens that take as long as the default's 32.
SLOW = "--sut-option slots=4 --sut-option tokens=2 --sut-option per_token_ms=155"
SIMULATED = "run --scenario server --sut simulated --clock virtual --num-samples 50 --warmup 0"
WORDS = {
    "find-peak": f"{SIMULATED} --mode find-peak --target-qps 5 --min-queries 400 {SLOW}",
    "submission": f"{SIMULATED} --mode submission --target-qps 5",
}
CODES = {"find-peak": 1, "submission": 0}  # a search that short is not VALID
POINTS = [
    ("find-peak", "after", 1),
    ("find-peak", "after", 3),
    ("find-peak", "inside", 1),
    ("find-peak", "inside", 4),
    ("submission", "after", 1),
    ("submission", "after", 2),
    ("submission", "inside", 1),
    ("submission", "inside", 2),
]
KILLER = """
import json, os, signal, sys
import reports.plots, reports.terminal
from harness.cli import app
from harness.running import session
from harness.study.study import Study

calls = 0

def deadly(function, when, number):
    def call(*args):
        global calls
        calls += 1
        if (calls, when) == (number, "inside"):
            os.kill(os.getpid(), signal.SIGKILL)
        found = function(*args)
        if (calls, when) == (number, "after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return call

for place, when, number, words in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        owner = session if when == "inside" else Study
        owner.keep = deadly(owner.keep, when, number)
        app([*words.split(), "--output-dir", place])
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, (when, number)
"""


def invoke(*words):
    done = CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "200"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def only(folder):
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    root = tmp_path_factory.mktemp("killed")
    jobs = [("_".join(map(str, point)), *point[1:], WORDS[point[0]]) for point in POINTS]
    jobs = [(str(root / name), *rest) for name, *rest in jobs]
    command = [sys.executable, "-c", KILLER, json.dumps(jobs)]
    done = subprocess.run(command, capture_output=True, text=True, env=children.variables())
    assert done.returncode == 0, done.stderr[-2000:]
    return {point: only(Path(job[0])) for point, job in zip(POINTS, jobs, strict=True)}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run of each kind that nobody stopped."""
    found = {}
    for kind, words in WORDS.items():
        place = tmp_path_factory.mktemp(kind)
        invoke(*words.split(), "--output-dir", place)
        found[kind] = only(place)
    return found


def figures(place):
    found = json.loads((place / "result.json").read_text())
    names = ("status", "status_reason", "result", "search", "latency", "counts", "accuracy")
    return {name: found[name] for name in names}


def records(place):
    """When each part's record was written."""
    return {file: file.stat().st_mtime_ns for file in place.glob("**/samples.parquet")}


def cells(place):
    return [json.loads(line)["cell"] for line in (place / ROWS).read_text().splitlines()]


@pytest.mark.parametrize("point", POINTS)
def test_what_was_killed_goes_on_and_nothing_is_measured_twice(killed, alone, point):
    place, kind = killed[point], point[0]
    kept = cells(place) if (place / ROWS).exists() else []
    assert len(kept) == point[2] - (point[1] == "inside")
    before = {place / name / "samples.parquet" for name in kept if name != "performance"}
    before = {file: stamp for file, stamp in records(place).items() if file in before}
    done = invoke("resume", place)
    assert done.exit_code == CODES[kind], done.output
    assert before.items() <= records(place).items()
    assert figures(place) == figures(alone[kind])
    assert cells(place) == cells(alone[kind])
    assert json.loads((place / "result.json").read_text())["run_id"] == place.name
    again = records(place)
    assert invoke("resume", place).exit_code == CODES[kind]
    assert records(place) == again


@pytest.fixture(params=WORDS)
def whole(alone, tmp_path, request):
    """A finished run of each kind, to do with as a test likes."""
    return Path(shutil.copytree(alone[request.param], tmp_path / request.param))


def spoil_rows(place):
    file = place / ROWS
    file.write_text(file.read_text()[:-40])
    return "is half-written or damaged"


def first_part(place):
    return next(place / name for name in ("step_01", "accuracy") if (place / name).exists())


def spoil_record(place):
    (first_part(place) / "samples.parquet").write_bytes(b"edited")
    return "was edited since it was measured"


def remove_part(place):
    shutil.rmtree(first_part(place))
    return "is gone since it was measured"


@pytest.mark.parametrize("spoil", [spoil_rows, spoil_record, remove_part])
def test_a_part_that_is_not_whole_is_named_and_measured_again(whole, alone, spoil):
    words = spoil(whole)
    done = invoke("resume", whole)
    assert words in " ".join(done.stderr.split())
    assert figures(whole) == figures(alone[whole.name])
    if spoil is spoil_record:  # what was there is set aside, not lost
        (aside,) = (whole / "set_aside").iterdir()
        assert (aside / "samples.parquet").read_bytes() == b"edited"


def test_one_process_at_a_time(whole):
    with FileLock(whole / LOCK):
        done = invoke("resume", whole)
    assert (done.exit_code, "another process is working on it" in done.stderr) == (2, True)


def test_another_versions_run_is_refused(whole):
    saved = json.loads((whole / FILE).read_text())
    (whole / FILE).write_text(json.dumps(saved | {"schema": "touchstone.study/9"}))
    done = invoke("resume", whole)
    assert (done.exit_code, "touchstone.study/9" in done.stderr) == (2, True)


@pytest.mark.parametrize("arguments", [{}, {"target_qps": "fast"}])
def test_a_study_without_its_rate_is_refused(whole, arguments):
    saved = json.loads((whole / FILE).read_text())
    (whole / FILE).write_text(json.dumps(saved | {"arguments": arguments}))
    done = invoke("resume", whole)
    assert (done.exit_code, "it is damaged" in done.stderr) == (2, True)


@pytest.mark.parametrize("kind", WORDS)
def test_ctrl_c_says_how_to_go_on(tmp_path, alone, monkeypatch, kind):
    def drive(plan, sut, arm, clock, recorder, settings, stop, on_idle):
        if settings.target_qps != 5 or (settings.mode == "performance" and kind == "submission"):
            stop.request()
        return driven(plan, sut, arm, clock, recorder, settings, stop, on_idle)

    driven = timed.drive
    with monkeypatch.context() as patched:
        patched.setattr(timed, "drive", drive)
        done = invoke(*WORDS[kind].split(), "--output-dir", tmp_path)
    place = only(tmp_path)
    assert done.exit_code == 130
    assert f"go on with: python -m harness resume {place}" in done.stdout
    assert invoke("resume", place).exit_code == CODES[kind]
    assert figures(place) == figures(alone[kind])
