"""Do the functions say what the command line says, with its names, settings, errors and figures?"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pandas as pd
import pytest
from typer.testing import CliRunner

import harness
import touchstone
from harness.api import commands, settings
from harness.cli import COMMANDS, app
from harness.options.flags import COMPARE, GATE, PERPLEXITY, RUN, SWEEP
from tests import ROOT

TAKEN = {
    "run": RUN, "compare": COMPARE, "sweep": SWEEP, "decide": COMPARE, "gate": GATE,
    "perplexity": PERPLEXITY,
}  # fmt: skip
MADE = {"scenario": "server", "sut": "simulated", "clock": "virtual"}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_has_the_figures_of_the_command_line():
    ours = harness.run(**MADE)
    words = "run --scenario server --sut simulated --clock virtual --json"
    done = CliRunner().invoke(app, words.split())
    theirs = json.loads(done.stdout.splitlines()[-1])
    for part in ("status", "result", "latency", "throughput", "counts"):
        assert ours[part] == theirs[part]
    assert ours.exit_code == done.exit_code == 0
    assert json.loads((ours.folder / "result.json").read_text())["run_id"] == ours["run_id"]


def test_a_run_is_read_again_from_its_folder():
    made = harness.run(**MADE)
    read = harness.load(made.folder)
    assert isinstance(read, harness.Run)
    assert read.status == made.status == "VALID"
    assert read.figures == made.figures
    assert len(read.samples) == made["counts"]["completed"]
    assert harness.report(made.folder).figures == made.figures


def test_lists_are_lists_and_the_study_has_a_row_for_each():
    study = harness.compare(**MADE, target_qps=[5, 10])
    assert list(study.frame()["label"]) == ["target-qps=5", "target-qps=10"]
    assert study.exit_code == 0
    again = harness.load(study.folder)
    assert isinstance(again, harness.Study)
    assert again.csv() == study.csv()
    assert again.exit_code == study.exit_code


def test_a_comparison_takes_a_price():
    study = harness.compare(**MADE, target_qps=[5, 10], price_per_hour=2.5)
    for row in study["rows"]:
        cost = row["usd_per_million_tokens"]
        assert cost == pytest.approx(1e6 * 2.5 / 3600 / row["tokens_per_s"])


def test_a_sweep_takes_ranges_and_repeats():
    study = harness.sweep(**MADE, target_qps="2..16*2", repeats=2)
    assert study["interrupted"] is False
    assert study.exit_code == 0
    assert len(study.frame()) == 4
    assert sum(1 for _ in study.folder.glob("*/result.json")) == 8


def test_a_study_that_is_finished_resumes_to_the_same():
    study = harness.compare(**MADE, target_qps=[5, 10])
    again = harness.resume(study.folder)
    assert again.csv() == study.csv()


def test_a_notebook_shows_the_table_and_nothing_that_could_run():
    study = harness.compare(**MADE, target_qps=[5, 10])
    shown = study._repr_html_()
    assert "target-qps=10" in shown
    assert "<script" not in shown
    assert "| status | VALID | VALID |" in study.markdown()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scenaro": "server"}, "Did you mean 'scenario'?"),
        ({"scenario": "serve"}, "Did you mean 'server'?"),
        ({"ttft_limit": "2 parsecs"}, "--ttft-limit"),
        ({"sut_options": {"nonsense": 1}}, "nonsense"),
    ],
    ids=["name", "value", "time", "option of the system"],
)
def test_what_the_command_line_refuses_is_raised_in_the_same_words(changes, words):
    with pytest.raises(harness.BadInput, match=words.replace("?", r"\?")):
        harness.run(**(MADE | changes))


def test_an_item_of_a_list_with_a_comma_is_refused():
    with pytest.raises(harness.BadInput, match="has a comma"):
        harness.gate(["bf16,int8"])


def test_the_tasks_of_a_gate_are_a_list():
    with pytest.raises(harness.BadInput, match="'nonsense' is not known"):
        harness.gate(["int8"], task=["word-problems", "nonsense"])


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(harness.BadInput, match="loading"):
        harness.load(tmp_path)


@pytest.mark.parametrize("command", sorted(TAKEN))
def test_every_setting_of_a_command_has_a_type_and_a_line_of_help(command):
    named = "Compare" if command in ("decide", "sweep") else command.capitalize()
    typed = get_type_hints(getattr(settings, f"{named}Settings"))
    assert set(typed) | {"config"} == set(TAKEN[command]) | {"config"}
    text = getattr(harness, command).__doc__
    assert all(f"\n    {name}: " in text for name in typed if name not in values_of_files())


def values_of_files() -> set[str]:
    return {"user_conf", "conf_model"}


@pytest.mark.parametrize("command", sorted(TAKEN))
def test_every_argument_of_a_command_is_one_of_its_function(command):
    """Those that say how a command prints have no place in a program."""
    ours = set(inspect.signature(getattr(commands, command)).parameters) - {"settings", "say"}
    theirs = set(inspect.signature(COMMANDS[command]).parameters) - set(TAKEN[command])
    prints = {"as_json", "form", "quiet"}
    assert theirs - prints - NOT_HERE.get(command, set()) == ours - {"config"}


NOT_HERE = {
    "perplexity": {"resume", "trust_folder"},  # `harness.resume`
    "gate": {"runs"},  # `candidates` takes folders
    "compare": {"junit", "csv", "parquet", "github_summary", "columns"},  # files that others read
}


def test_the_name_of_the_project_is_the_same_thing():
    assert touchstone.load is harness.load
    assert set(touchstone.__all__) == set(harness.__all__)


def test_an_editor_completes_its_names():
    assert set(harness.__all__) <= set(dir(harness))


def test_the_command_line_does_not_wait_for_it():
    check = "import sys, harness; sys.exit('pydantic' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


def test_the_frame_has_every_digit():
    run = harness.run(**MADE)
    frame = run.frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame["ttft_p99_ms"][0] == run.figures["ttft_p99_ms"]
    assert Path(run.folder).name == frame["run_id"][0]
