"""Is a setting declared in one row, and known by then to all that shows or reads settings?"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys

import pytest

from harness.options.conf.keys import KEYS
from harness.options.flags import COMPARE, GATE, LISTS, PERPLEXITY, PLAN, REPORT, RUN
from harness.options.profiles import TABLE
from harness.options.run_options import OPTIONS
from harness.options.settings import RunConfig
from tests import ROOT

# One row more in the table, and nothing else; then what a user does, in a process of its own.
PROGRAM = '''
import json, sys
from pathlib import Path
from types import ModuleType
import harness.options.table

ROW = """
    patience: Count | None = option(
        LOAD, None, "Number of times to ask again.", also="--again", unit="times",
        loadgen=Loadgen("max_async_queries"),
    )
    pause: Seconds = option(LOAD, 0.02, "Time to wait between them.", unit="ms")
"""
name, anchor = "harness.options.table.load", "    warmup: "
file = Path(harness.options.__file__).parent / "table" / "load.py"
before, after = file.read_text().split(anchor)
module = sys.modules[name] = harness.options.table.load = ModuleType(name)
exec(compile(before + ROW + anchor + after, str(file), "exec"), module.__dict__)

from typer.testing import CliRunner
from harness.cli import app
from harness.options.flags import LISTS
from harness.schema.settings import SETTINGS_FIELDS

def do(words):
    done = CliRunner().invoke(app, words.split(), env={"COLUMNS": "100"})
    return done.exit_code, done.output

RUN = "--sut simulated --clock virtual --scenario offline"
Path("mine.toml").write_text("patience = 4")
Path("other.toml").write_text("again = 5")
Path("user.conf").write_text("*.Server.max_async_queries = 0")
print(json.dumps({
    "help": do("run --help"),
    "plan": do("plan --sut simulated --scenario offline --patience 3 --json"),
    "table": do("plan --sut simulated --scenario offline --again 3"),
    "toml": do("plan --sut simulated --scenario offline --config mine.toml --json"),
    "second name": do("plan --sut simulated --scenario offline --config other.toml --json"),
    "conf": do("plan --sut simulated --scenario server --user-conf user.conf"),
    "wrong": do("plan --sut simulated --scenario offline --patience 0"),
    "run": do(f"run {RUN} --patience 3"),
    "folder": str(next(Path("runs").iterdir())),
    "lists": "patience" in LISTS,
    "schema": SETTINGS_FIELDS["config"]["properties"]["patience"],
}))
'''


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    place = tmp_path_factory.mktemp("one_row")
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(place)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=place, env=env
    )
    assert done.returncode == 0, done.stderr
    return {"place": place, **json.loads(done.stdout.splitlines()[-1])}


def effective(found, name):
    code, output = found[name]
    assert code == 0, output
    rows = json.loads(output.splitlines()[-1])["effective"]
    return next(row for row in rows if row["name"] == "patience")


def test_a_new_row_is_a_flag_with_its_help(found):
    code, text = found["help"]
    assert code == 0
    assert "--patience" in text
    assert "Number of times to ask again." in text


def test_a_new_row_is_in_the_plan_with_who_said_it(found):
    row = {"name": "patience", "value": 3, "unit": "times", "origin": "--patience"}
    assert effective(found, "plan") == row
    assert "3 times" in found["table"][1]


def test_a_new_row_is_a_name_in_toml_files(found):
    assert effective(found, "toml")["origin"] == "mine.toml"
    assert effective(found, "toml")["value"] == 4
    assert effective(found, "second name")["value"] == 5


def test_a_new_row_is_shown_in_its_unit(found):
    """Users write seconds, or a unit; 0.02 s are 20 ms."""
    assert re.search(r"pause +20 ms +default", found["table"][1])


def test_a_new_row_is_checked_whoever_said_it(found):
    assert found["wrong"][0] == 2
    assert "--patience is 0: it must be above 0" in found["wrong"][1]
    assert found["conf"][0] == 2
    assert "user.conf, line 1: --patience is 0" in found["conf"][1]


def test_a_new_row_is_in_the_run_folder_and_on_the_page(found):
    assert found["run"][0] == 0, found["run"][1]
    folder = found["place"] / found["folder"]
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["config"]["patience"] == 3
    page = re.sub(r"<[^>]*>", " ", (folder / "report.html").read_text())
    assert re.search(r"patience\s+3 times\s+--patience", page)


def test_a_new_row_is_described_and_may_be_compared(found):
    assert found["schema"]["description"] == "Number of times to ask again."
    assert found["lists"]


# ---- the rows


def test_every_row_names_what_exists():
    commands = {"run", "plan", "compare", "gate", "perplexity", "report", "serve", "whatif"}
    for option in OPTIONS.values():
        assert set(option.commands.split()) <= commands, option.name
        assert not option.by_profile or hasattr(TABLE["quick"], option.by_profile), option.name
        assert option.loadgen is None or option.loadgen.key in KEYS, option.name


def test_every_setting_of_a_run_has_a_row_but_what_was_read():
    assert RunConfig.model_fields.keys() - OPTIONS.keys() == {
        "origins",
        "conf_files",
        "loadgens_percentile",
    }


def test_commands_take_what_their_rows_say():
    assert set(OPTIONS) <= set(RUN)
    assert "variant" in COMPARE
    assert "variant" not in GATE
    assert "driver" not in PLAN
    assert PERPLEXITY[0] == "model"
    assert REPORT == ("percentiles",)
    assert {"variant", "max_concurrency", "issue"} <= set(LISTS)
    assert not {"seeds", "dataset", "truncate", "evaluate", "percentiles"} & set(LISTS)


OF_A_RESULT = {"scenario", "mode", "profile", "model", "variant", "dataset", "sut"}  # its facts


def test_no_other_module_lists_settings():
    """A list of them elsewhere would have to be changed with the table."""
    files = [path for top in ("harness", "reports", "scenarios", "accuracy", "sut")
             for path in (ROOT / top).rglob("*.py")]  # fmt: skip
    for path in files:
        if "options" in path.relative_to(ROOT).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Tuple | ast.List | ast.Set):
                words = [item.value for item in node.elts if isinstance(item, ast.Constant)]
                listed = OPTIONS.keys() & set(words) - OF_A_RESULT
                assert len(listed) < 3, f"{path.relative_to(ROOT)}:{node.lineno}: {listed}"
