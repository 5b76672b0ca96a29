"""Does any command pass on what strangers wrote to a terminal, or take it for markup?

Names of files, columns, settings, models and folders hold escape sequences, bidi marks and rich's
markup here; whatever a command says of them, none of it may come out as it went in.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from harness.cli import app
from harness.console import PlainConsole
from harness.likelihood import process
from harness.screen import people
from harness.study.gating import gate
from reports import terminal
from reports.blocks import Column, csv_text, markdown
from reports.blocks import Table as OurTable

EVIL = "\x1b[2J\x1b]0;pwned\x07\u202etxt\u200b[bold red]x[/x]:bomb:"
SAFE = EVIL.replace("/", "_")  # as the name of a file
HIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e]")
VIRTUAL = ["--scenario", "server", "--sut", "simulated", "--clock", "virtual"]
ROW = '{"question": "a", "answer": "b"}\n'
FILES = {
    f"{SAFE}.jsonl": ROW,
    f"columns{SAFE}.jsonl": json.dumps({EVIL: "1", "b": 2}) + "\n",
    f"torn{SAFE}.jsonl": ROW + '{"question": "a",',
    f"{SAFE}.toml": 'scenario = "server"\nsut = "simulated"\n',
    f"torn{SAFE}.toml": 'scenario = "server',
    f"key{SAFE}.toml": '"a\\u001b[2J\\u202e[/x]" = 1\nscenario = "server"',
    f"value{SAFE}.toml": 'scenario = "\\u001b[2J[/x]"',
    f"{SAFE}.conf": "*.Server.target_qps = 1\n*.Offline.target_qps = 3\n",
    f"key{SAFE}.conf": "*.Server.[/x]target_qps = 1\n",
    f"value{SAFE}.conf": "*.Server.target_qps = \x1b[2J1\n",
}
SAID = (
    ["plan", "--scenario", EVIL],
    ["plan", "--scenario", "server", "--dataset", EVIL],
    ["plan", "--scenario", "server", "--config", EVIL],
    *(["plan", "--scenario", "server", "--dataset", name] for name in FILES if "jsonl" in name),
    ["plan", "--scenario", "server", "--dataset", f"{SAFE}.jsonl", "--prompt-column", EVIL],
    *(["plan", "--config", name] for name in FILES if "toml" in name),
    *(["plan", *VIRTUAL, "--user-conf", name] for name in FILES if ".conf" in name),
    ["run", *VIRTUAL, "--output-dir", SAFE],
    ["run", *VIRTUAL, "--output-dir", "a/[/x]"],
    ["run", *VIRTUAL, "--sut-option", EVIL],
    ["run", *VIRTUAL, "--sut-option", f"fault={EVIL}"],
    ["run", "--scenario", "server", "--sut", EVIL],
    ["run", "--scenario", "server", "--model", EVIL],
    ["run", f"--{EVIL}"],
    ["run", "--min-queries", EVIL],
    [EVIL],
    ["list", EVIL],
    *([name, EVIL] for name in ("report", "compare", "resume", "audit", "check")),
    ["gate", "--reference", EVIL, "--candidates", EVIL],
    ["package", EVIL, "--submitter", EVIL, "--system", EVIL],
    ["perplexity", "--model", EVIL, "--dataset", "qa"],
    ["perplexity", "--model", "smollm2-135m", "--dataset", EVIL],
)  # fmt: skip


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    place = tmp_path_factory.mktemp("hostile")
    for name, text in FILES.items():
        (place / name).write_text(text, encoding="utf-8")
    return place


@pytest.mark.parametrize("words", SAID, ids=lambda words: ascii(" ".join(words))[:70])
def test_no_command_passes_on_what_strangers_wrote(here, monkeypatch, words):
    monkeypatch.chdir(here)
    done = CliRunner().invoke(app, words)
    said = done.stdout + done.stderr
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert done.exit_code in (0, 2, 3), said
    assert said
    assert not HIDDEN.search(said)
    assert "\N{BOMB}" not in said


def test_what_is_said_meanwhile_is_no_markup_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with people(False) as (_, say):
        say(f"reading {EVIL}")
    said = capsys.readouterr().err
    assert "[/x]:bomb:" in said
    assert "⟨U+202E⟩" in said
    assert "\x1b[2J" not in said


def test_an_unexpected_error_shows_its_names_too(monkeypatch, capsys):
    with pytest.raises(BaseException) as fault, people(False):  # noqa: PT011
        raise RuntimeError(EVIL)
    assert fault.value.exit_code == 4
    assert not HIDDEN.search(capsys.readouterr().err)


@pytest.mark.parametrize("made", [str, Text, lambda text: Text(text, style="bold")])
def test_a_console_for_people_shows_whatever_it_is_given(made):
    console = PlainConsole(file=io.StringIO(), width=300)
    table = Table(title=EVIL, min_width=100)
    table.add_column(EVIL)
    table.add_row(made(EVIL))
    console.print(table)
    console.print(made(EVIL))
    assert not HIDDEN.search(console.file.getvalue())
    words = re.sub("[\\s│┃]", "", console.file.getvalue())  # in a table they are folded
    assert words.count("[boldred]x[/x]:bomb:") == 4


def test_a_label_in_a_progress_bar_is_no_markup_and_no_format(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    label = "[/x]{0}{task}\x1b[2J"
    with process.bar_of(label, lambda _: None) as hear:
        hear({"event": "checked", "kept": 0, "passages": 2, "tokens": 8})
        hear({"event": "loaded"})
        hear({"event": "scored", "tokens": 4, "seconds": 1.0})
    with gate._progress(lambda _: None, label, 2) as bar:
        bar(1)
    said = capsys.readouterr().err
    assert said.count("[/x]{0}{task}⟨U+001B⟩") >= 2
    assert "\x1b[2J" not in said


def test_a_table_for_programs_holds_no_escape_sequences():
    table = OurTable("", (Column("name", "name"), Column("n", "n")), [(f"=1{EVIL}", 1)])
    (row,) = csv.DictReader(io.StringIO(csv_text([table])))
    assert row["name"].startswith("'=1⟨U+001B⟩[2J")
    assert not HIDDEN.search(csv_text([table]) + markdown([table]))
    assert r"\[/x\]" in markdown([table])


def test_a_verdict_about_a_hostile_sample_keeps_its_colours():
    verdict = {
        "rule": EVIL, "status": "FAIL", "measured": 1.0, "limit": 0.0, "unit": "", "detail": EVIL,
        "evidence": [1], "remedy": EVIL, "margin": None,
    }  # fmt: skip
    console = Console(file=io.StringIO(), width=200, force_terminal=True, markup=False)
    for part in terminal._conditions([verdict], 200):
        console.print(part)
    said = console.file.getvalue()
    assert "\x1b[2J" not in said
    assert "\x1b[1;31m⟨U+001B⟩" in said


def test_a_name_cannot_add_lines_to_the_logs_of_a_run(tmp_path):
    """A model called "x\\nResult is : VALID" would."""
    assert CliRunner().invoke(app, ["run", *VIRTUAL, "--output-dir", str(tmp_path)]).exit_code == 0
    (run,) = tmp_path.iterdir()
    settings = json.loads((run / "settings.json").read_text())
    evil = f"x\nResult is : VALID\n{EVIL}"
    settings["config"] |= {"sut": "local", "model": evil}
    settings["dataset"]["name"] = evil
    (run / "settings.json").write_text(json.dumps(settings))
    done = CliRunner().invoke(app, ["report", str(run)])
    assert not HIDDEN.search(done.stdout + done.stderr)
    summary = (run / "mlperf_log_summary.txt").read_text()
    assert summary.count("\nResult is : ") == 1
    assert not HIDDEN.search(summary)
    assert not HIDDEN.search(Path(run / "report.html").read_text())
