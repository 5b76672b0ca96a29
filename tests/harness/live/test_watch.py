"""What do people hear of a study while it is measured: on a terminal, elsewhere, and if they want
to hear nothing?
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from harness.cli import app
from harness.engine import telemetry
from harness.kernel.process import board
from harness.kernel.process.children import variables
from harness.live.speaker import Speaker
from harness.live.tally import Tally
from harness.live.watch import watching
from harness.study.study import Cell, Ended

VIRTUAL = ["--sut", "simulated", "--clock", "virtual", "--max-concurrency", "1,2"]


@pytest.fixture(autouse=True)
def no_board():
    with board.clean():
        yield


def study(count, ended=()):
    rows = {f"cell {i}": row(i) for i in ended}
    return SimpleNamespace(kind="sweep", cells=[cell(i) for i in range(count)], ended=rows)


def cell(number):
    return Cell(f"cell {number}", None)


def row(number, status="VALID"):
    return Ended(f"cell {number}", "", {}, status, "", "", {})


def measured(count, say, ended=(), failed=()):
    """Let a watcher see a whole study; return the rows that it handed on."""
    heard = []
    asked = study(count, ended)
    with watching(asked, say, lambda cell, row: heard.append(row.cell)) as watcher:
        for i in range(count):
            if i not in ended:
                watcher.began(cell(i))
            watcher.ended(cell(i), row(i, "FAILED" if i in failed else "VALID"))
    return heard


def test_each_cell_is_a_line_with_what_failed_and_what_is_left():
    said = []
    assert measured(3, said.append, failed=[0]) == ["cell 0", "cell 1", "cell 2"]
    assert said[0] == "run 1 of 3: cell 0"
    assert re.fullmatch(
        r"run 2 of 3: cell 1; 1 failed; (nearly done|about .+ left \(.+\))", said[1]
    )


def test_a_row_that_was_known_is_counted_and_not_told_again():
    said = []
    assert measured(3, said.append, ended=[0]) == ["cell 1", "cell 2"]
    assert said[0] == "run 2 of 3: cell 1"


def test_of_a_thousand_quick_cells_few_are_said():
    said = []
    assert len(measured(1000, said.append)) == 1000
    assert said[0] == "run 1 of 1000: cell 0"
    assert len(said) < 100


def test_a_cell_that_is_tried_again_counts_once_and_one_that_is_found_later_counts_too():
    with watching(study(1), lambda text: None, lambda *_: None) as watcher:
        for name in (0, 0, 7):
            watcher.began(cell(name))
        assert board.current().total == 2
        assert [one.name for one in board.current().running] == ["cell 0", "cell 7"]
        for name in (7, 0):
            watcher.ended(cell(name), row(name))
        assert (board.current().done, board.current().running) == (2, [])
    assert board.current() is None


def test_every_process_of_the_study_can_read_the_board():
    Tally("gate", 5, known=2, failed=1).began("int8")
    code = "from harness.kernel.process import board; print(board.current().running[0].name)"
    out = subprocess.run(
        [sys.executable, "-c", code], env=variables(), capture_output=True, text=True, check=True
    )
    assert out.stdout == "int8\n"
    words = "".join(part for part, _ in board.headline(*board.now()))
    assert words == "gate  2 of 5 done, 1 failed"


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '["a"]', '{"kind": 3}'])
def test_a_variable_of_somebody_else_is_no_board(monkeypatch, text):
    monkeypatch.setenv("TOUCHSTONE_STUDY", text)
    assert board.current() is None


# ---- terminals


def terminal():
    return Console(force_terminal=True, width=100, file=io.StringIO())


def test_nothing_draws_once_the_screen_is_cleared():
    before = set(threading.enumerate())
    speaker = Speaker(terminal())
    speaker("loading")
    (drawing,) = set(threading.enumerate()) - before
    speaker("")
    drawing.join(60)
    assert not drawing.is_alive(), "a thread would go on in the quiet window"


def test_where_the_study_stands_is_drawn_above_what_is_done():
    Tally("sweep", 7, known=3, failed=1)
    console = terminal()
    speaker = Speaker(console)
    with console.capture() as seen:
        speaker("loading [bold]m[/]")
        speaker("")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.get())
    assert "sweep  3 of 7 done, 1 failed" in text
    assert "loading [bold]m[/]" in text


def test_the_bar_of_a_run_has_the_name_of_the_cell_below_where_the_study_stands(
    monkeypatch, capsys
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(Console, "is_terminal", True)
    Tally("sweep", 7, known=3).began("bf16 max-concurrency=8")
    show = telemetry._progress(100)
    show(12, 10, 1, 500, 2.0, False)
    show(100, 100, 1, 5000, 20.0, True)
    said = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "sweep  3 of 7 done" in said
    assert re.search(r"bf16 max-concurrency=8 .*10/100 samples 2 open +250 tokens/s", said)


def test_quiet_says_nothing_until_the_end(tmp_path):
    words = ["compare", *VIRTUAL, "--quiet", "--output-dir", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "comparable: yes" in done.stdout
    assert not re.search(r"^max-concurrency=1 VALID", done.stdout, re.MULTILINE), "no news"


def test_quiet_lets_errors_through():
    done = CliRunner().invoke(app, ["compare", "--quiet", "--variants", "nothing"])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")


def test_quiet_ends_with_the_block():
    with board.quiet(True):
        assert board.is_quiet()
    assert not board.is_quiet()
    with board.quiet(False), nullcontext():
        assert not board.is_quiet()
