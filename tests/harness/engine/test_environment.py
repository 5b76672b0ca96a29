import json
import platform
import re
import subprocess
import sys
from importlib import metadata

import psutil
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.engine.environment import commit, describe
from reports.terminal import made_by
from tests import ROOT


@pytest.fixture(scope="module")
def environment():
    return describe()


def test_the_description_is_json(environment):
    assert json.loads(json.dumps(environment)) == environment


def test_it_names_platform_and_python(environment):
    assert environment["platform"] == platform.platform()
    assert environment["python"] == platform.python_version()


def test_it_counts_cores_and_memory(environment):
    machine = environment["machine"]
    assert machine["memory_bytes"] == psutil.virtual_memory().total
    assert machine["cores_logical"] == psutil.cpu_count()
    assert (
        machine["cores_allowed"] is None
        or 1 <= machine["cores_allowed"] <= machine["cores_logical"]
    )


def test_it_names_the_cpu_and_only_flags_that_matter_here(environment):
    machine = environment["machine"]
    assert machine["cpu"]
    assert set(machine["cpu_flags"]) <= {
        "avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "neon", "asimd",
        "sve", "bf16",
    }  # fmt: skip


def test_installed_packages_have_their_versions_and_missing_ones_are_left_out(environment):
    assert environment["packages"]["numpy"] == metadata.version("numpy")
    assert None not in environment["packages"].values()


def test_settings_of_the_numeric_libraries_are_kept(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    variables = describe()["variables"]
    assert (variables["OMP_NUM_THREADS"], variables["TOKENIZERS_PARALLELISM"]) == ("2", "false")


@pytest.mark.parametrize(
    "name",
    ["TORCH_HUB_TOKEN", "CUDA_API_KEY", "MKL_SECRET", "TORCH_PASSWORD", "HF_TOKEN", "HOME", "USER"],
)
def test_secrets_and_names_of_persons_stay_out(monkeypatch, name):
    monkeypatch.setenv(name, "do-not-tell")
    assert "do-not-tell" not in json.dumps(describe())


def test_the_commit_is_that_of_the_checkout(environment):
    found = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    if found.returncode:
        assert environment["git"] is None
    else:
        assert environment["git"]["commit"] == found.stdout.strip()
        assert re.fullmatch("[0-9a-f]{40}", environment["git"]["commit"])
        assert isinstance(environment["git"]["dirty"], bool)


def test_describing_imports_no_model_library():
    code = (
        "import sys; from harness.engine.environment import describe; describe(); print('torch' in"
        " sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout.strip() == "False"


# ---- the commit and the versions


def git(folder, *words):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True)


def test_a_commit_is_that_of_the_file_and_not_of_what_lies_around_it(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "own.py").write_text("1")
    git(tmp_path, "add", "own.py")
    git(tmp_path, "commit", "-m", "first")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "installed.py").write_text("1")
    found = commit(tmp_path / "own.py")
    assert re.fullmatch(r"[0-9a-f]{40}", found["commit"])
    assert found["dirty"] is True
    (tmp_path / ".gitignore").write_text(".venv\n.gitignore\n")
    assert commit(tmp_path / "own.py")["dirty"] is False
    assert commit(tmp_path / ".venv" / "installed.py") is None


def test_the_version_names_what_a_report_of_a_fault_needs():
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    found = dict(line.split(" ", 1) for line in done.output.splitlines())
    assert found["touchstone"] == metadata.version("touchstone-harness")
    assert found["python"] == platform.python_version()
    assert found["torch"] == metadata.version("torch")
    assert found["transformers"] == metadata.version("transformers")
    here = commit(ROOT / "harness" / "engine" / "environment.py")
    assert found.get("commit", "").split(" ")[0] == (here["commit"] if here else "")


def test_version_and_commit_of_a_run_are_shown(tmp_path):
    words = ["run", "--scenario", "server", "--sut", "simulated", "--clock", "virtual"]
    done = CliRunner().invoke(app, [*words, "--output-dir", str(tmp_path)])
    (folder,) = tmp_path.iterdir()
    known = json.loads((folder / "environment.json").read_text())
    assert known["touchstone"] == metadata.version("touchstone-harness")
    shown = made_by(known | {"git": {"commit": "0123456789abcdef", "dirty": True}})
    assert shown == f"Touchstone {known['touchstone']}, commit 0123456789ab (with changes)"
    assert made_by(known) in done.output
    assert made_by(known) in (folder / "report.html").read_text()
    assert made_by({}) == ""
