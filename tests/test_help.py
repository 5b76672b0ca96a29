"""Is every command and every option explained in a sentence, whole at any width?"""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from harness.cli import app

COMMANDS = {name: command for name, command in typer.main.get_command(app).commands.items()}
OPTIONS = {
    f"{name} {param.name}": param.help
    for name, command in COMMANDS.items()
    for param in command.params
}


def help_of(*words, columns=80):
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("text", OPTIONS.values(), ids=OPTIONS.keys())
def test_every_option_is_explained_in_a_sentence(text):
    assert text[0].isupper()
    assert text.endswith(".")
    assert len(text.split()) >= 3


@pytest.mark.parametrize("columns", [60, 80, 132])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_no_help_is_cut_off(command, columns):
    assert "…" not in help_of(*command.split(), columns=columns)


def test_what_a_command_does_fills_the_lines_of_the_list():
    lines = [line.strip("│ ") for line in help_of().partition("Commands")[2].splitlines()]
    about_gate = " ".join(lines).partition("gate ")[2].partition("judge ")[0]
    assert "enough of the reference's ROUGE, or" in " ".join(about_gate.split())
    assert "enough of the reference's" not in lines  # where the line ends in the code


def test_a_second_name_of_an_option_is_in_its_text_and_works():
    assert "--request-rate" in help_of("run")
    words = ["plan", "--sut", "simulated", "--scenario", "server", "--request-rate", "7"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert "7/s" in done.output
