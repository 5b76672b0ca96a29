"""How far is what takes long? On a terminal a bar for each thing, all on one screen; elsewhere
lines; and nothing where nobody wants to hear.
"""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import pytest
from rich.console import Console

from harness import console
from harness.kernel.process import board
from harness.result import scored

CODE = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b\[\?25[lh]|(\r)|(\n)")


def screens(written):
    """Yield what stands on a terminal after each line that was drawn, as lines of text."""
    lines, row, at = [""], 0, 0
    for code in CODE.finditer(written):
        text, at = written[at : code.start()], code.end()
        lines[row] = text + lines[row][len(text) :] if text else lines[row]
        count = int(code[1] or 1) if code[2] else 0
        if code[2] == "A":
            row = max(row - count, 0)
        elif code[2] == "K":
            lines[row] = ""
        elif code[4]:
            row += 1
            if row == len(lines):
                lines.append("")
        yield [line.rstrip() for line in lines]


@pytest.fixture
def terminal(monkeypatch):
    """What is written to a terminal of 80 columns."""
    file = io.StringIO()

    def on_terminal(**how):
        return Console(file=file, force_terminal=True, width=80, height=24, color_system=None)

    monkeypatch.setattr(console, "Console", on_terminal)
    return file


def both_at_once(first="rouge of a", second="bleu of b"):
    """Show two bars from two threads, both at work at the same time."""
    together = Barrier(2)

    def work(what):
        with console.bar(what, 100) as progress:
            for done in (10, 50, 90):
                together.wait(timeout=20)
                progress(done)
                if (screen := console._BARS._screen) is not None:
                    screen.refresh()
            together.wait(timeout=20)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, (first, second)))


def test_bars_of_two_threads_stand_below_one_another(terminal):
    both_at_once()
    seen = list(screens(terminal.getvalue()))
    together = [one for one in seen if sum("of a" in line or "of b" in line for line in one) == 2]
    assert together
    for screen in seen:
        for name in ("rouge of a", "bleu of b"):
            assert sum(name in line for line in screen) <= 1, screen
        assert not any("of a" in line and "of b" in line for line in screen)
    assert any("50%" in line for screen in together for line in screen)
    assert "".join(seen[-1]) == "", "they are gone in the end"
    assert console._BARS._screen is None


def test_what_draws_already_ends_before_a_bar_is_drawn(terminal, monkeypatch):
    stopped = []
    monkeypatch.setattr(console._BARS, "clear", lambda: stopped.append(terminal.getvalue()))
    both_at_once()
    assert stopped == [""]


def test_a_long_name_is_cut_and_leaves_room_for_the_bar(terminal):
    both_at_once("x" * 300)
    long = [line for screen in screens(terminal.getvalue()) for line in screen if "xxx" in line]
    assert all(len(line) <= 80 for line in long)
    assert any("%" in line for line in long)


@contextmanager
def clock(monkeypatch, seconds):
    """Let a clock go from one of these times to the next, each time that it is read."""
    times = iter(seconds)
    monkeypatch.setattr("harness.kernel.clock.monotonic_s", lambda: next(times))
    yield


def test_elsewhere_a_line_comes_now_and_then_with_the_time_left(monkeypatch, capfd):
    with clock(monkeypatch, (0, 1, 12, 13, 25, 26)), console.bar("rouge of a", 1000) as progress:
        for done in (100, 200, 210, 500, 1000):
            progress(done)
    told = capfd.readouterr().err.splitlines()
    assert told == [
        "rouge of a: 20 %, about 48 s left",
        "rouge of a: 50 %, about 25 s left",
    ]


def test_a_quiet_command_shows_no_bar_and_says_no_line(terminal, capfd, monkeypatch):
    with board.quiet(True), clock(monkeypatch, ()):
        both_at_once()
    assert terminal.getvalue() == capfd.readouterr().err == ""


def test_marking_many_answers_is_shown(terminal, monkeypatch):
    monkeypatch.setattr(scored, "_MANY", 10)
    with scored._shown(9) as heard:
        heard(5)
    assert terminal.getvalue() == ""
    monkeypatch.setattr(scored, "_STEP", 5)
    with scored._shown(20) as heard:
        for done in range(1, 21):
            heard(done)
            console._BARS._screen.refresh()
    assert "marking the answers" in terminal.getvalue()
    assert "75%" in terminal.getvalue()
