"""May anybody's folder be opened? None of its words runs code, none of its names leads elsewhere,
and nothing in it is waited for.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.foreign import tables
from harness.kernel.process import children
from tests.harness.likelihood.test_study import dataset
from tests.harness.study.test_parts import CODES, WORDS

RUN = "run --scenario offline --sut simulated --clock virtual --min-queries 8 --num-samples 8"
CODE = """
import pathlib
(pathlib.Path(__file__).parent / "RAN").touch()
from sut.simulated import Simulated
class Evil(Simulated):
    isolated = False
    uses_dataset = False
    real_time = ""
"""


def harness(*words, code=None):
    """Return (exit code, all that was said)."""
    ran = CliRunner().invoke(app, [str(word) for word in words])
    assert code is None or ran.exit_code == code, ran.output
    return ran.exit_code, " ".join(ran.output.split())


def made(place, words=RUN, code=0):
    harness(*words.split(), "--output-dir", place, code=code)
    return max(place.iterdir(), key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return made(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    words = "compare --sut simulated --clock virtual --target-qps 5,6 --scenario server"
    return made(tmp_path_factory.mktemp("compared"), words)


@pytest.fixture
def run(tmp_path, finished):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def study(tmp_path, compared):
    """A comparison that was begun."""
    place = shutil.copytree(compared, tmp_path / "study")
    (place / "rows.jsonl").unlink()
    return place


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module of somebody else that can be imported; it leaves RAN behind."""
    (tmp_path / "evil_sut.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "RAN"
    sys.modules.pop("evil_sut", None)


def edited(file: Path, **config):
    """Change the settings of a folder, as whoever sends it may."""
    saved = json.loads(file.read_text())
    for place in saved.get("cells") or [{"settings": saved.get("config")}]:
        place["settings"].update(config)
    if "config" in saved:
        saved["config"].update(config)
    file.write_text(json.dumps(saved))
    return file.parent


# ---- code


@pytest.mark.parametrize("command", ["report", "compare", "audit"])
def test_reading_a_run_imports_no_module_that_it_names(run, evil, command):
    edited(run / "settings.json", sut="evil_sut:Evil")
    harness(command, run)
    assert not evil.exists()


def test_a_run_of_a_foreign_sut_is_read_by_what_it_wrote_down_of_it(tmp_path, evil):
    words = RUN.replace("simulated", "evil_sut:Evil")
    run = made(tmp_path / "runs", words)
    before = json.loads((run / "result.json").read_text())
    assert json.loads((run / "settings.json").read_text())["sut"]["uses_dataset"] is False
    evil.unlink()
    del sys.modules["evil_sut"]
    (tmp_path / "evil_sut.py").unlink()
    harness("report", run, code=0)
    assert json.loads((run / "result.json").read_text()) == before


@pytest.mark.parametrize("look", ["--caching", "--benchmark-detection"])
def test_an_audit_with_runs_of_its_own_runs_no_code_without_consent(run, evil, look):
    edited(run / "settings.json", sut="evil_sut:Evil")
    _, said = harness("audit", look, run, code=2)
    assert "names the Python code of --sut evil_sut:Evil; expected your consent" in said
    assert "pass --trust-folder" in said
    assert not evil.exists()
    assert not (run / "audit").exists()


def test_with_consent_it_does(run, evil):
    edited(run / "settings.json", sut="evil_sut:Evil")
    harness("audit", "--caching", run, "--trust-folder")
    assert evil.exists()


ASKS = {
    "trust_remote_code": (True, "Python code shipped with the model smollm2-135m", "remote-code"),
    "model": ("/their/model", "the model /their/model", "folder"),
    "adapter": ("/their/adapter", "the adapter /their/adapter", "folder"),
    "dataset": ("/their/data.jsonl", "the dataset /their/data.jsonl", "folder"),
}


@pytest.mark.parametrize("name", ASKS)
def test_an_audit_asks_before_it_uses_what_settings_name(run, name):
    value, words, flag = ASKS[name]
    edited(run / "settings.json", sut="local", **{name: value})
    _, said = harness("audit", "--caching", run, code=2)
    assert f"names {words}; expected your consent, since a folder may be somebody else's" in said
    assert f"pass --trust-{flag}" in said


def test_resuming_runs_no_code_without_consent(study, evil):
    edited(study / "study.json", sut="evil_sut:Evil")
    _, said = harness("resume", study, code=2)
    assert "study.json names the Python code of --sut evil_sut:Evil" in said
    assert not evil.exists()
    harness("resume", study, "--trust-folder", code=0)
    assert evil.exists()


@pytest.mark.parametrize("name", ASKS)
def test_resuming_asks_before_it_uses_what_a_study_names(study, name):
    value, words, flag = ASKS[name]
    edited(study / "study.json", sut="local", clock="real", **{name: value})
    _, said = harness("resume", study, code=2)
    assert f"names {words}; expected your consent" in said
    assert f"pass --trust-{flag}" in said


@pytest.fixture
def laboratory(tmp_path, tiny_llama):
    """A measurement of perplexity that was cut short, of a model by path."""
    words = ("perplexity", "--model", tiny_llama, "--variants", "fp32", "--in-process")
    harness(*words, "--dataset", dataset(tmp_path), "--output-dir", tmp_path / "p", code=0)
    place = next((tmp_path / "p").iterdir())
    next(place.glob("*/subject.json")).unlink()
    return place


def test_a_measurement_of_ones_own_goes_on_without_being_asked(laboratory):
    harness("perplexity", "--resume", laboratory, code=0)


def test_a_measurement_of_others_goes_on_with_consent_alone(laboratory, tiny_llama, tmp_path):
    edited(laboratory / "settings.json", trust_remote_code=True, beside=[str(tmp_path)])
    model = f"the model {tiny_llama}"
    for words in (("perplexity", "--resume", laboratory), ("resume", laboratory)):
        _, said = harness(*words, code=2)
        assert f"Python code shipped with the model {tiny_llama}, {model} and the runs in" in said
    _, said = harness("perplexity", "--resume", laboratory, "--trust-remote-code", code=2)
    assert f"names {model} and the runs in {tmp_path}" in said
    edited(laboratory / "settings.json", beside=[])
    harness("perplexity", "--resume", laboratory, "--trust-folder", code=0)


def test_trust_in_a_folder_needs_a_folder(tmp_path):
    _, said = harness("perplexity", "--trust-folder", "--output-dir", tmp_path, code=2)
    assert "no --resume FOLDER is given" in said


def test_no_module_comes_from_the_folder_that_the_program_is_started_in(tmp_path):
    for name in ("typer", "numpy", "pyarrow", "psutil", "rich"):
        (tmp_path / f"{name}.py").write_text("open('RAN', 'w')\nraise SystemExit(99)\n")
    info = tmp_path / "evil-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: evil\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[touchstone.rules]\nx = typer:x\n")
    command = [*children.command("harness"), *RUN.split(), "--output-dir", str(tmp_path / "runs")]
    env = {**os.environ, "PYTHONPATH": str(children.ROOT)}
    ran = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "RAN").exists()


# ---- links, pipes, paths


def victim(tmp_path):
    file = tmp_path / "victim"
    file.write_text("precious")
    return file


NAMES = ("settings.json", "environment.json", "samples.parquet", "result.json", "report.html",
         "mlperf_log_detail.txt", "scores.json", "settings.json.tmp", "report.html.tmp",
         "samples.tmp", "accuracy", "audit")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_link_in_a_run_is_neither_read_nor_written_through(run, tmp_path, name):
    file = victim(tmp_path)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(file)
    for command in ("report", "compare", "audit"):
        assert f"{name}: it is a symbolic link (to {file})" in harness(command, run, code=2)[1]
    gate = ("gate", "--reference", run, "--candidates", run)
    assert f"{name}: it is a symbolic link" in harness(*gate, code=2)[1]
    assert file.read_text() == "precious"


def test_a_linked_log_reaches_no_submission(run, tmp_path):
    (run / "mlperf_log_detail.txt").unlink()
    (run / "mlperf_log_detail.txt").symlink_to(victim(tmp_path))
    package = ("package", run, "--submitter", "a", "--system", "b", "--output", tmp_path / "tree")
    assert "symbolic link" in harness(*package, code=2)[1]
    assert not (tmp_path / "tree").exists()


def test_a_link_in_a_study_is_not_written_through(study, tmp_path):
    for name in ("rows.jsonl", ".study.lock", "compare.json", "compare.html.tmp"):
        file = victim(tmp_path)
        (study / name).unlink(missing_ok=True)
        (study / name).symlink_to(file)
        assert "it is a symbolic link" in harness("resume", study, code=2)[1]
        (study / name).unlink()
        os.link(file, study / name)
        assert "it is a hard link" in harness("resume", study, code=2)[1]
        (study / name).unlink()
        assert file.read_text() == "precious"


def test_a_hard_link_to_a_file_of_ours_is_not_written_through(run, tmp_path):
    for name in ("result.json", "report.html", "scores.json", "mlperf_log_detail.txt"):
        (run / name).unlink(missing_ok=True)
        os.link(victim(tmp_path), run / name)
        harness("report", run)
        assert (tmp_path / "victim").read_text() == "precious"
        (run / name).unlink(missing_ok=True)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "name", ["settings.json", "samples.parquet", "result.json", "find_peak.json"]
)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(run, name):
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    for command in ("report", "compare", "audit"):
        assert "it is a named pipe" in harness(command, run, code=2)[1]


@pytest.mark.parametrize("where", ["../other", "{absolute}"])
def test_a_row_of_a_study_names_no_run_outside_it(study, finished, where):
    row = json.loads((study / "study.json").read_text())["cells"][0]
    where = where.format(absolute=finished)
    line = {"cell": row["name"], "run": where, "files": {}, "status": "VALID", "reason": ""}
    (study / "rows.jsonl").write_text(json.dumps(line | {"failure": "", "figures": {}}) + "\n")
    _, said = harness("resume", study, code=0)
    assert "line 1 of" in said
    assert "its cell is measured again" in said


def test_a_search_takes_no_step_from_elsewhere(tmp_path):
    run = made(tmp_path / "runs", WORDS["find-peak"], code=CODES["find-peak"])
    rows = [json.loads(line) for line in (run / "rows.jsonl").read_text().splitlines()]
    rows[1]["figures"]["folder"] = "../../elsewhere"
    (run / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    (run / "find_peak.json").unlink()
    harness("resume", run, code=CODES["find-peak"])
    steps = json.loads((run / "find_peak.json").read_text())["steps"]
    assert all(step["folder"].startswith("step_") for step in steps)


def test_a_folder_of_a_tree_that_is_a_link_is_not_written_through(tmp_path):
    words = RUN.replace("--min-queries 8", "--mode submission --profile llama3.1-8b")
    words = words.replace("--num-samples 8", "--min-queries 1 --min-duration 0 --num-samples 4")
    run = made(tmp_path / "runs", words, code=None)
    (tmp_path / "tree").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tree" / "open").symlink_to(tmp_path / "elsewhere")
    given = ("--submitter", "a", "--system", "b", "--allow-invalid", "--output", tmp_path / "tree")
    _, said = harness("package", run, *given, code=2)
    assert "it is a symbolic link; expected folders of the tree's own" in said
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_tree_is_checked_without_following_a_link(tmp_path):
    (tmp_path / "tree" / "open" / "a" / "systems").mkdir(parents=True)
    (tmp_path / "tree" / "open" / "a" / "systems" / "s.json").symlink_to("/dev/zero")
    harness("check", tmp_path / "tree", code=1)


@pytest.mark.timeout(60)
def test_a_pipe_in_a_model_or_an_adapter_is_not_waited_for(tmp_path):
    for name in ("config.json", "adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_text("{}")
    os.mkfifo(tmp_path / "tokenizer.json")
    words = ("run", "--scenario", "offline", "--model", tmp_path)
    assert "tokenizer.json is a named pipe" in harness(*words, code=2)[1]
    words = ("run", "--scenario", "offline", "--variant", "lora", "--adapter", tmp_path)
    assert "tokenizer.json is a named pipe" in harness(*words, code=2)[1]


# ---- sizes


def test_a_run_that_would_take_all_memory_is_refused(run, monkeypatch):
    import pyarrow as pa

    file = run / "samples.parquet"
    table = pq.read_table(file)
    text = pa.array(["x" * (1 << 22)] * len(table), pa.large_string())
    place = table.column_names.index("text")
    pq.write_table(table.set_column(place, "text", text), file, compression="zstd")
    monkeypatch.setattr(tables, "available_bytes", lambda: 1 << 25)
    assert "MiB of memory; at most 16 MiB would be fine" in harness("report", run, code=2)[1]


@pytest.mark.parametrize("name", ["settings.json", "environment.json", "result.json"])
@pytest.mark.parametrize("depth", [100_000])
def test_a_file_that_nests_too_deeply_is_damaged(run, name, depth):
    (run / name).write_text('{"config": ' + "[" * depth + "]" * depth + "}")
    command = "compare" if name == "result.json" else "report"
    code = 0 if name == "environment.json" else 2  # what was measured stands without it
    assert f"its {name} is damaged" in harness(command, run, code=code)[1]


# ---- secrets


def test_no_secret_reaches_a_run_folder_or_a_screen(tmp_path, evil, monkeypatch):
    (tmp_path / "evil_sut.py").write_text(
        "from sut.simulated import Simulated\n"
        "class Evil(Simulated):\n"
        "    isolated = uses_dataset = False\n"
        "    real_time = ''\n"
        "    def __init__(self, clock, api_key, base_url):\n"
        "        super().__init__(clock)\n"
        "    def facts(self):\n"
        "        return super().facts() | {'notes': ['asks https://me:s3cret0@host/']}\n"
    )
    monkeypatch.setenv("TORCH_AUTH", "s3cret1")
    monkeypatch.setenv("MY_SERVICE_TOKEN", "s3cret2s3cret2")
    options = (
        "--sut-option",
        "api_key=s3cret3",
        "--sut-option",
        "base_url=https://a:s3cret4@host/",
    )
    words = RUN.replace("simulated", "evil_sut:Evil").split()
    _, said = harness(*words, *options, "--output-dir", tmp_path / "runs", code=0)
    assert "s3cret" not in said
    run = next((tmp_path / "runs").iterdir())
    for file in run.iterdir():
        assert b"s3cret" not in file.read_bytes(), file.name
    facts = pq.read_table(run / "samples.parquet").schema.metadata
    assert b"s3cret" not in b"".join(facts.values())
    assert "asks https://(hidden)@host/" in (run / "result.json").read_text()


def test_a_study_asks_again_for_the_secrets_that_it_left_out(tmp_path, evil):
    (tmp_path / "evil_sut.py").write_text(
        CODE + "    def __init__(self, clock, api_key):\n"
        "        assert api_key == 's3cret', api_key\n"
        "        super().__init__(clock)\n"
    )
    words = "compare --sut evil_sut:Evil --clock virtual --target-qps 5,6 --scenario server"
    study = made(tmp_path / "runs", f"{words} --sut-option api_key=s3cret")
    assert "s3cret" not in (study / "study.json").read_text()
    (study / "rows.jsonl").unlink()
    _, said = harness("resume", study, "--trust-folder", code=2)
    assert "leave out the option api_key of --sut evil_sut:Evil, a secret" in said
    assert "Pass --sut-option api_key=VALUE again." in said
    harness("resume", study, "--trust-folder", "--sut-option", "api_key=s3cret", code=0)
    assert "s3cret" not in "".join(file.read_text() for file in study.glob("*.json*"))


def test_the_error_about_a_dataset_by_url_has_no_password():
    _, said = harness(
        "run", "--scenario", "offline", "--dataset", "https://me:s3cret@host/d", code=2
    )
    assert "https://(hidden)@host/d: it is a web address" in said
