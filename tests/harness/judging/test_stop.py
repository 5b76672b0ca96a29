"""Does a stop of `harness judge` keep every reply that has come?"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading

from harness.kernel import files
from tests import ROOT
from tests.judge_server import judging


def test_a_stop_keeps_what_was_judged(runs, tmp_path):
    asked, over = threading.Event(), threading.Event()

    def stands_still(prompt, number):
        if number >= 4:
            asked.set()
            over.wait(60)
        return "verdict: tie"

    with judging(stands_still) as judge:
        flags = f"--judge {judge.url} --judge-concurrency 1 --output-dir {tmp_path / 'judged'}"
        words = f"-m harness judge {runs[0]} {runs[1]} {flags}"
        with subprocess.Popen([sys.executable, *words.split()], cwd=ROOT) as process:
            assert asked.wait(60)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        over.set()
    (folder,) = (tmp_path / "judged").iterdir()
    found = json.loads((folder / "judge.json").read_text(encoding="utf-8"))
    assert (found["status"], found["judges"][0]["calls"]) == ("INTERRUPTED", 4)
    assert len((folder / "judgements.jsonl").read_text(encoding="utf-8").splitlines()) == 4


def test_a_stop_keeps_what_the_disk_was_too_slow_to_take(judged, monkeypatch):
    """Ctrl-C comes while the first reply is being written, and six more wait behind it."""
    asked, over = threading.Event(), threading.Event()

    def stands_still(prompt, number):
        if number >= 7:
            asked.set()
            over.wait(60)
        return "verdict: A"

    def never_ends(path, text):
        assert asked.wait(60)
        signal.raise_signal(signal.SIGINT)

    with judging(stands_still) as judge:
        with monkeypatch.context() as patched:
            patched.setattr(files, "append", never_ends)
            code, found, rows, _ = judged(judge.url, "--judge-concurrency 1 --by both")
        over.set()
    (one,) = found["judges"]
    assert (code, found["status"], one["calls"], one["tokens_out"]) == (130, "INTERRUPTED", 7, 70)
    assert [row["verdict"] for row in rows] == ["a" if r["kind"] == "pair" else "" for r in rows]
    assert len(rows) == 7
    assert {row["asked"] for row in (*one["pairs"], *one["scores"])} == {12}
