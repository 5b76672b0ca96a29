"""The submission checker and the scripts of the compliance tests, run as black boxes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

VARIABLE = "MLPERF_INFERENCE"
_CHECKER = ("-m", "submission_checker.main")
WHY_SKIPPED = f"{VARIABLE} names no checkout of mlcommons/inference"


class Answer(NamedTuple):
    """What an official program said. `words`: its own reasons, for whoever looks into a miss."""

    accepts: bool
    words: str


def checkout() -> Path | None:
    folder = Path(os.environ.get(VARIABLE, "/nowhere"))
    return folder if (folder / "tools/submission/submission_checker/main.py").is_file() else None


def check(root: Path, version: str, scratch: Path) -> Answer:
    """The submission checker's answer to the tree under `root`."""
    done = _run(
        [*_CHECKER, "--input", root, "--version", version, "--csv", scratch / "summary.csv"],
        _home() / "tools/submission",
    )
    lines = done.stderr.splitlines() + done.stdout.splitlines()
    told = [line for line in lines if "ERROR" in line or "Error" in line or "WARNING" in line]
    return Answer(done.returncode == 0, "\n".join(told[-6:]))


def test01(results: Path, audit_run: Path, scratch: Path) -> Answer:
    """`results` has accuracy/ and performance/run_1/, `audit_run` the logs of the audit."""
    _script("TEST01", ["-r", results, "-c", audit_run, "-o", scratch, "--dtype", "int32"], scratch)
    pages = [scratch / "TEST01" / f"verify_{what}.txt" for what in ("accuracy", "performance")]
    words = "\n".join(page.read_text() for page in pages)
    return Answer(all("TEST PASS" in page.read_text() for page in pages), words)


def test04(results: Path, audit_run: Path, scratch: Path) -> Answer:
    _script("TEST04", ["-r", results, "-c", audit_run, "-o", scratch], scratch)
    words = (scratch / "TEST04/verify_performance.txt").read_text()
    return Answer("TEST PASS" in words, words)


def test06(audit_run: Path, scenario: str, scratch: Path) -> Answer:
    done = _script("TEST06", ["-c", audit_run, "-o", scratch, "-s", scenario], scratch)
    page = scratch / "TEST06/verify_accuracy.txt"
    words = page.read_text() if page.is_file() else done.stderr
    return Answer("TEST06 verification complete" in words, words)


def test07(audit_run: Path, score: float | None, least: float, scratch: Path) -> Answer:
    """`score` is what the accuracy script of the benchmark would print."""
    told = "nothing" if score is None else f"'exact_match': {score}"
    script = f'{sys.executable} -c "print(\\"{told}\\")"'
    words = ["-c", audit_run, "-o", scratch, "--accuracy-script", script]
    _script("TEST07", [*words, "--accuracy-threshold", str(least)], scratch)
    page = (scratch / "TEST07/verify_accuracy.txt").read_text()
    return Answer("TEST PASS" in page, page)


def test09(audit_run: Path, scratch: Path) -> Answer:
    config = _home() / "compliance/TEST09/gpt-oss-120b/audit.config"
    done = _script("TEST09", ["-c", audit_run, "-o", scratch, "--audit-config", config], scratch)
    page = scratch / "TEST09/verify_output_len.txt"
    words = page.read_text() if page.is_file() else done.stdout
    return Answer("TEST PASS" in words, words)


def audit_config(test: str) -> Path:
    """The official configuration file of a test for language models."""
    folder = _home() / "compliance" / test
    own = folder / "gpt-oss-120b" / "audit.config"
    return own if own.is_file() else folder / "audit.config"


def _script(test: str, words: list[object], scratch: Path) -> subprocess.CompletedProcess[str]:
    scratch.mkdir(parents=True, exist_ok=True)
    return _run([_home() / "compliance" / test / "run_verification.py", *words], scratch)


def _run(words: list[object], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, words)]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=250, check=False
    )


def _home() -> Path:
    found = checkout()
    assert found is not None, WHY_SKIPPED
    return found
