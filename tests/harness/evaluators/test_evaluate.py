"""`harness evaluate` with a tool that plays lm-eval's part: what it asks, what is kept of it, and
what becomes of everything that can go wrong.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import psutil
import pytest
from typer.testing import CliRunner

from harness.cli import app
from tests import ROOT
from tests.harness.evaluators.fake import environment
from tests.harness.schema.test_schema import check

# Neither the golden server nor the simulated one tells its tokenizer.
TOLD = ("--tokenizer", "none")
SIMULATED = (
    "--sut", "simulated", "--sut-option", "ttft_ms=1", "--sut-option", "per_token_ms=1", *TOLD,
)  # fmt: skip


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """A virtual environment in which something calls itself lm-eval 9.8.7."""
    return environment(tmp_path_factory.mktemp("tool") / "venv")


@pytest.fixture
def evaluate(python, golden, tmp_path):
    """Evaluate the golden server; return (exit code, what --json says, stderr)."""
    golden.set(tokens=4)

    def call(task: str, *words: str):
        fixed = ["evaluate", "--with", "lm-eval", "--task", task, "--tool-python", str(python)]
        fixed += ["--base-url", golden.url, "--output-dir", str(tmp_path / "runs"), "--json", *TOLD]
        done = CliRunner().invoke(app, [*fixed, *words])
        return done.exit_code, json.loads(done.stdout or "{}"), done.stderr

    return call


def reason(found) -> str:
    (row,) = found["rows"]
    assert (row["status"], row["figures"]) == ("FAILED", [])
    return row["reason"]


def test_the_figures_of_a_server_are_those_of_the_result_file(evaluate, golden):
    code, found, _ = evaluate("sums", "--", "--limit", "3")
    assert code == 0
    assert (found["status"], found["tool"], found["version"]) == ("DONE", "lm-eval", "9.8.7")
    assert found["options"] == ["--limit", "3"]
    (row,) = found["rows"]
    keys = ("task", "metric", "value", "stderr", "n", "higher_is_better")
    assert [tuple(one[key] for key in keys) for one in row["figures"]] == [
        ("sums", "exact_match (strict)", 0.25, 0.125, 3, True),
        ("sums", "acc", 0.5, None, 3, True),
        ("family", "acc", 0.5, 0.1, None, None),
    ]
    place = Path(found["folder"])
    assert "selected sums" in (place / row["folder"] / "tool.log").read_text()
    (name,) = row["files"]
    assert (place / row["folder"] / "out" / name).is_file()
    check("evaluate", json.loads((place / "evaluate.json").read_text()))


def test_two_variants_are_served_one_after_the_other(python, tmp_path):
    """Their table says what the second has more than the first; nothing is left running."""
    words = ["evaluate", "--with", "lm-eval", "--task", "sums", "--tool-python", str(python)]
    words += ["--variants", "fp32,int8", "--output-dir", str(tmp_path), *SIMULATED]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.stderr
    assert re.search(r"sums +acc +int8 +0\.5000 +- +4 +\+0\.0000", done.stdout), done.stdout
    assert not serving()
    (place,) = tmp_path.iterdir()
    found = json.loads((place / "evaluate.json").read_text())
    assert [row["label"] for row in found["rows"]] == ["fp32", "int8"]
    urls = {row["server"]["url"] for row in found["rows"]}
    assert all(url.startswith("http://127.0.0.1:") for url in urls)
    check("evaluate", found)


def serving() -> list[psutil.Process]:
    """The servers that this process has started and that still run."""
    ours = psutil.Process().children(recursive=True)
    return [one for one in ours if "serve" in one.cmdline() and one.status() != "zombie"]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("unknown", ["exit code 1", "ValueError: Tasks not found: unknown", "tool.log"]),
        ("silent", ["left no result file", "selected silent"]),
        ("odd", ["has another shape", "results"]),
        ("nan", ["acc of nan is nan"]),
    ],
)
def test_a_tool_that_fails_is_told_in_its_own_words(evaluate, task, words):
    code, found, said = evaluate(task)
    assert code == 4
    told = reason(found)
    assert not [word for word in words if word not in told], told
    assert "error: " in said
    assert "Traceback" not in said
    assert (Path(found["folder"]) / "evaluate.json").is_file()


def test_a_tool_that_takes_too_long_is_ended_with_what_it_has_started(evaluate):
    code, found, _ = evaluate("waits", "--timeout", "6s")
    assert code == 4
    assert "longer than --timeout 6 s" in reason(found)
    log = Path(found["folder"]) / found["rows"][0]["folder"] / "tool.log"
    assert_gone(log)


def assert_gone(log: Path) -> None:
    """Fail if the process that the tool has started is still there."""
    pid = int(re.search(r"waiting with (\d+)", log.read_text())[1])
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie":
        assert time.monotonic() < deadline, f"{pid} still runs"
        time.sleep(0.1)


def wait_for(pattern: str, place: Path, text: str) -> Path:
    """Return the file that says `text`, once it does."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        for path in place.glob(pattern):
            if text in path.read_text():
                return path
        time.sleep(0.1)
    raise AssertionError(f"no {pattern} says {text}")


def test_a_server_that_dies_ends_the_tool_and_is_told(python, tmp_path):
    def strike() -> None:
        wait_for("*/fp32/tool.log", tmp_path, "waiting")
        for process in serving():
            process.kill()

    striker = Thread(target=strike)
    striker.start()
    words = ["evaluate", "--with", "lm-eval", "--task", "waits", "--tool-python", str(python)]
    words += ["--output-dir", str(tmp_path), "--json", *SIMULATED]
    done = CliRunner().invoke(app, words)
    striker.join()
    assert done.exit_code == 4, done.stderr
    told = reason(json.loads(done.stdout))
    assert told.startswith("serving fp32: it was killed by SIGKILL")
    assert_gone(next(tmp_path.glob("*/fp32/tool.log")))


def test_ctrl_c_leaves_the_folder_and_no_process(python, tmp_path):
    words = ["evaluate", "--with", "lm-eval", "--task", "waits", "--tool-python", str(python)]
    words += ["--variants", "fp32,int8", "--output-dir", str(tmp_path), *SIMULATED]
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    log = wait_for("*/fp32/tool.log", tmp_path, "waiting")
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert b"Traceback" not in said
    assert_gone(log)
    assert not psutil.wait_procs(started, timeout=20)[1]
    (place,) = tmp_path.iterdir()
    found = json.loads((place / "evaluate.json").read_text())
    assert (found["status"], found["not_run"]) == ("INTERRUPTED", ["int8"])
    assert [row["status"] for row in found["rows"]] == ["INTERRUPTED"]


# what is asked: words of the answer
REFUSED = {
    "": ["--with is missing", "known: lm-eval"],
    "--with lm_eval --task a": ["'lm_eval' is not known", "Did you mean 'lm-eval'?"],
    "--with lm-eval": ["--task: it is missing"],
    "--with lm-eval --task a --tool-python nowhere": ["there is no such program"],
    "--with evals --task a --tool-python PYTHON": ["has no evals", "make tools TOOLS=evals"],
    "--with lm-eval --task a --variants fp99 --tool-python PYTHON": ["'fp99' is not known"],
    "--with lm-eval --task a --variant int8 --variants fp32": ["--variant is given too"],
    "--with lm-eval --task a --base-url x:1 --variant int8": ["--variant is given too"],
    "--with lm-eval --task a --timeout soon --tool-python PYTHON": ["such as 90s"],
    "--with deepeval --task mmlu": ["is one test file"],
    "--with evals --task a,b": ["one eval at a time"],
    "--with simple-evals --task mmlu": ["--tool-path: it is missing", "git clone"],
    "--with simple-evals --task mmlu --tool-path .": ["has no simple_evals.py"],
    "nowhere": ["there is no such file or folder"],
    ".": ["it has no evaluate.json"],
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_made(line, python, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["evaluate", *line.replace("PYTHON", str(python)).split()])
    assert done.exit_code in (2, 3), done.stderr
    assert not [word for word in REFUSED[line] if word not in done.stderr], done.stderr
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there_is_a_row_that_failed(python, tmp_path):
    words = ["evaluate", "--with", "lm-eval", "--task", "a", "--tool-python", str(python)]
    words += ["--base-url", "http://127.0.0.1:9", "--output-dir", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 3
    assert "Start the server first." in reason(json.loads(done.stdout))


def test_folders_stand_side_by_side_and_what_differs_is_named(evaluate):
    folders = [evaluate("sums", "--", "--limit", limit)[1]["folder"] for limit in ("3", "4")]
    done = CliRunner().invoke(app, ["evaluate", *folders])
    assert done.exit_code == 1, done.stderr
    assert "Not the same for all: options of lm-eval (--limit 3 | --limit 4)" in done.stdout
    assert "Not the same for all: samples of sums, acc (3 | 4)" in done.stdout
    again = CliRunner().invoke(app, ["evaluate", folders[0], "--format", "csv"])
    assert again.exit_code == 0
    assert again.stdout.splitlines()[1].startswith("sums,exact_match (strict),")
