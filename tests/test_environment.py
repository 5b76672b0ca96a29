import json
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from harness.environment import describe, gpus

ROOT = Path(__file__).resolve().parent.parent


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


def test_every_gpu_has_a_name_a_driver_and_memory():
    for gpu in gpus():
        assert gpu["name"]
        assert gpu["driver"]
        assert gpu["memory_bytes"] > 0


def test_describing_imports_no_model_library():
    code = (
        "import sys; from harness.environment import describe; describe(); print('torch' in"
        " sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout.strip() == "False"
