"""Do a broken stderr and a broken stdout change anything but what is read? The real program, with
streams that are full, closed, or have lost their reader.
"""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from harness.kernel.process import children, streams

FULL = Path("/dev/full")
PLAN = "plan --scenario server --sut simulated"
FAULTY = "--clock virtual --sut-option fault=two_eos --output-dir runs"
INVALID = f"run --scenario server --sut simulated {FAULTY}"
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


def shell(words, place):
    """Return what a shell's line ends with: (exit code of the program, stdout, stderr)."""
    line = f"set -o pipefail; {sys.executable} -m harness {words}"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, cwd=place, timeout=120, check=False,
        env=children.variables(),
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "This is a bug" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_whoever_reads_the_exit_code_is_the_verdicts_and_the_run_is_whole(tmp_path):
    assert shell(f"{INVALID} 2>&1 | true", tmp_path)[0] == 1
    (result,) = tmp_path.glob("runs/*/result.json")
    assert json.loads(result.read_text())["status"] == "INVALID"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("run --nope 2>/dev/full", 2),
        ("nope 2>&1 | true", 2),
        (f"{PLAN} --target-qps nope 2>&- >&-", 2),
        (f"{PLAN} >/dev/full 2>/dev/full", 0),
        ("--version >/dev/full", 0),
    ],
)
def test_no_word_that_is_lost_makes_a_verdict_of_an_exit_code(tmp_path, words, code):
    assert shell(words, tmp_path)[0] == code


def test_what_is_missing_on_a_full_stdout_is_told(tmp_path):
    code, _, said = shell("list rules >/dev/full", tmp_path)
    assert (code, "note: stdout took no more (No space left on device)" in said) == (0, True)


@pytest.mark.parametrize("how", ["--json", "--format csv", "--format markdown"])
def test_an_object_that_did_not_arrive_is_exit_code_4(tmp_path, how):
    code, _, said = shell(f"list rules {how} >/dev/full", tmp_path)
    assert code == 4
    assert f"error: writing {how} to stdout: No space left on device; " in said


def test_the_verdict_is_told_where_its_object_did_not_arrive(tmp_path):
    code, _, said = shell(f"{INVALID} --json >/dev/full", tmp_path)
    assert (code, "the verdict is INVALID" in said) == (4, True)


# ---- the streams themselves


def test_a_full_stream_takes_everything_and_knows_what_went_wrong():
    full = io.FileIO("/dev/full", "w")
    stream = streams._Stream(io.TextIOWrapper(io.BufferedWriter(full)))
    for _ in range(3):
        print("a line", file=stream, flush=True)
    assert isinstance(stream.beneath.fault, OSError)
    assert stream.beneath.fault.errno == errno.ENOSPC
    full.close()


def test_an_interpreter_that_ends_with_words_in_its_buffer_keeps_its_exit_code():
    code = "from harness.kernel.process import streams; streams.protect(); print('x' * 99)"
    for end, expected in (("", 0), ("; raise SystemExit(3)", 3)):
        words = [sys.executable, "-c", code + end]
        with FULL.open("w") as full:
            done = subprocess.run(
                words, stdout=full, stderr=full, env=children.variables(), check=False
            )
        assert done.returncode == expected


def test_a_reader_who_is_slow_gets_all_of_a_stream_that_does_not_block():
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    raw = io.FileIO(theirs, "w")
    stream = streams._Stream(io.TextIOWrapper(io.BufferedWriter(raw)))
    heard = bytearray()

    def read():
        while data := os.read(ours, 1 << 16):
            heard.extend(data)

    reader = Thread(target=read)
    reader.start()
    stream.write("x" * 1_000_000)
    stream.flush()
    assert stream.beneath.fault is None
    raw.close()
    reader.join()
    os.close(ours)
    assert len(heard) == 1_000_000
