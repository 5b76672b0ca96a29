"""On a terminal without some letters nothing changes but symbols: every command says the same with
the same exit code, in any encoding, into files and where a stream is closed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from harness import doctor
from harness.cli import app
from harness.kernel.errors import BadInput
from harness.kernel.process.streams import instead
from harness.screen import _check_names
from tests import ROOT
from tests.harness.study.gating.test_gate import answers, make

ENCODINGS = ("ascii", "cp1252", "cp437")
VIRTUAL = "--sut simulated --clock virtual --output-dir runs"
NAMES = re.compile(r"\d{8}T\d{6}Z|_(simulated|compare|gate)_[0-9a-f]{6}")
BOXES = re.compile(r"[\s|+─│╭╮╰╯━┃┏┓┗┛┡┩╇└┘├┤┴┬=-]+")
LISTS = ("rules", "datasets")
HELP = ("run", "perplexity", "list")
SAID = {
    "valid run": f"run --scenario server {VIRTUAL}",
    "invalid run": f"run --scenario server --sut-option fault=two_eos {VIRTUAL}",
    "plan": "plan --scenario server --sut simulated --num-samples 20 --target-qps 3000",
    "report": "report RUN",
    "report as Markdown": "report RUN --format markdown",
    "audit": "audit RUN",
    "package": "package RUN --output tree --submitter 世界 --system ü",
    "check": "check runs",
    "compare": "compare RUN RUN",
    "gate": "gate --reference GATE --candidates GATE2",
    "resume": "resume RUN",
    "doctor": "doctor",
    "words of a user": "run --scenario server --sut simulated --sut-option fault=世界",
    "a name of a user": "plan --scenario server --dataset 世界→.jsonl",
    "an unknown option": "run --世界",
    "an unknown command": "世界",
    "a model of a user": "perplexity --model ./世界 --dataset qa",
    **{f"help of {name}": f"{name} --help" for name in HELP},
    **{f"list of {name}": f"list {name}" for name in LISTS},
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with an INVALID run and two runs whose answers have letters of many scripts."""
    place = tmp_path_factory.mktemp("terminals")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(doctor, "measure_driver", dict)
        invoke(SAID["invalid run"], "utf-8")
        (run,) = (place / "runs").iterdir()
        texts = [f"{text} 世界 – “ü”" for text in answers()]
        gates = [make(place, texts, variant) for variant in ("fp32", "bf16")]
        (place / "names").write_text("\n".join(map(str, (run, *gates))))
        yield place


def invoke(words, encoding):
    """Return (exit code, stdout, stderr); a traceback would be the exit code 1 of a verdict."""
    result = CliRunner(charset=encoding).invoke(app, words.split())
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout_bytes, result.stderr_bytes


def plain(text, encoding):
    """Return what stands on a screen but for boxes, names that change, and lost letters."""
    letters = []
    text = re.sub(r"seal: +[0-9a-f]+", "seal:", text)
    for letter in BOXES.sub("", text):
        try:
            letter.encode(encoding)
        except UnicodeEncodeError:
            letter = instead(letter)
        letters.append(letter)
    joined = NAMES.sub("", BOXES.sub("", "".join(letters)))
    return re.sub(r"[\d.]+", "0", joined)


_SEEN: dict[str, tuple[int, str]] = {}


def in_full(said):
    """Return the exit code and the text on a terminal that has every letter."""
    if said not in _SEEN:
        code, out, _ = invoke(said, "utf-8")
        _SEEN[said] = code, out.decode()
    return _SEEN[said]


@pytest.mark.parametrize("name", SAID)
def test_every_command_ends_alike_in_every_encoding(here, name):
    run, gate, other = (here / "names").read_text().splitlines()
    said = SAID[name].replace("RUN", run).replace("GATE2", other).replace("GATE", gate)
    code, text = in_full(said)
    assert code != 4
    encodings = ENCODINGS if name == "report" else ("ascii",)
    for encoding in encodings:
        found, out, err = invoke(said, encoding)
        assert (encoding, found) == (encoding, code)
        assert b"unexpected" not in err
        out.decode(encoding)
        if name not in ("valid run", "doctor"):  # their figures change
            assert plain(out.decode(encoding), encoding) == plain(text, encoding)


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}])
def test_no_terminal_changes_the_words(here, monkeypatch, variables):
    said = "report " + (here / "names").read_text().splitlines()[0]
    code, text = in_full(said)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found, out, _ = invoke(said, "utf-8")
    assert found == code
    coloured = re.sub(r"\x1b\[[0-9;]*m", "", out.decode())
    assert plain(coloured, "utf-8") == plain(text, "utf-8")
    assert ("\x1b[" in out.decode()) == ("FORCE_COLOR" in variables)


# ---- streams that are closed, names that are no text


def program(words, here, variables=None, closed=""):
    command = f"{sys.executable} -m harness {words} {closed}"
    known = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    env = known | (variables or {})
    return subprocess.run(command, shell=True, capture_output=True, cwd=here, env=env, check=False)


def test_where_stdout_is_closed_the_exit_code_and_the_files_stay(here):
    run = (here / "names").read_text().splitlines()[0]
    before = (here / "runs" / run / "samples.parquet").read_bytes()
    done = program(f"report {run} --json", here, closed="<&- >&-")
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr
    assert (here / "runs" / run / "samples.parquet").read_bytes() == before


def test_a_name_that_is_no_text_here_is_refused_with_what_to_set(here):
    bare = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = program("plan --scenario server --dataset 世界.jsonl", here, bare)
    assert done.returncode == 2
    assert b"it is not text in ascii; expected names in UTF-8. Set PYTHONUTF8=1" in done.stderr


@pytest.mark.parametrize("name", ["caf\udce9.jsonl", "runs/\udcff"])
def test_names_of_any_bytes_are_refused(monkeypatch, name):
    monkeypatch.setattr(sys, "argv", ["harness", "plan", name])
    with pytest.raises(BadInput, match="it is not text in "):
        _check_names()


def test_a_folder_that_was_deleted_is_no_name_that_is_refused(monkeypatch, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setattr(sys, "argv", ["harness", "plan", "世界"])
    _check_names()
