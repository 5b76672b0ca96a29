"""What was tested stands in one file, is what make installs, and is held against what is there."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from harness.doctor import _package
from harness.engine import environment, tested
from tests import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = [
    line
    for line in tested.FILE.read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
DIRECT = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]


def test_the_file_has_names_and_exact_versions_alone():
    for line in LINES:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [a-z_ ='!.<>0-9()]+)?", line, re.I), (
            line
        )


@pytest.mark.parametrize("text", DIRECT)
def test_every_requirement_has_a_tested_version_inside_its_bounds(text):
    requirement = Requirement(text)
    version = {
        tested.canonical(pin.name): str(pin.specifier).removeprefix("==")
        for pin in map(Requirement, LINES)
    }[tested.canonical(requirement.name)]
    assert requirement.specifier.contains(version)


@pytest.mark.parametrize(("python", "platform"), [("3.11", "linux"), ("3.13", "darwin")])
def test_one_line_at_most_is_for_one_machine(python, platform):
    here = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_machine": "arm64" if platform == "darwin" else "x86_64",
        "platform_python_implementation": "CPython",
    }
    pins = [pin for pin in map(Requirement, LINES) if not pin.marker or pin.marker.evaluate(here)]
    assert len({tested.canonical(pin.name) for pin in pins}) == len(pins)
    assert any(pin.name == "torch" for pin in pins)


def test_where_pytorch_has_no_build_nothing_asks_for_it():
    intel = {"sys_platform": "darwin", "platform_machine": "x86_64"}
    wanted = {
        requirement.name
        for requirement in map(Requirement, PROJECT["dependencies"])
        if requirement.marker is None or requirement.marker.evaluate(intel)
    }
    assert not wanted & {"torch", "accelerate", "bitsandbytes", "optimum", "optimum-quanto", "peft"}
    assert {"numpy", "rich", "typer"} <= wanted


def test_make_installs_these_versions():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"TESTED := {tested.FILE.relative_to(ROOT)}" in makefile
    installs = re.findall(r".*\$\(INSTALL\) --editable .*", makefile)
    assert len(installs) == 2
    assert all("$(TESTED_ONLY)" in line for line in installs)


def test_the_installed_package_brings_the_file_along():
    assert tested.FILE.name in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


NEWEST = tested.versions()["transformers"]


@pytest.mark.parametrize("version", ["5.17.0", NEWEST, f"{NEWEST}+local"])
def test_a_version_within_what_was_tested_needs_no_word(version):
    assert tested.untested({"transformers": version}) == []


@pytest.mark.parametrize("version", ["5.16.9", "5.99.0", "6.0.0.dev0", "garbage"])
def test_a_version_outside_is_named_with_what_was_tested(version):
    (found,) = tested.untested({"transformers": version, "numpy": tested.versions()["numpy"]})
    assert (found.package, found.installed, found.newest) == ("transformers", version, NEWEST)
    described = {"untested": [found._asdict()]}
    (note,) = environment.notes(described)
    assert f"transformers {version} (tested: " in note
    assert NEWEST in note


def test_a_run_tells_of_a_library_that_nobody_tested(monkeypatch, tmp_path):
    from harness.options.settings import load_config
    from harness.running.session import Run

    monkeypatch.setattr(metadata, "version", lambda name: "99.0" if name == "numpy" else "0.0.0")
    config = load_config(
        {"scenario": "single-stream", "sut": "simulated", "clock": "virtual", "min_queries": 5}
        | {"output_dir": tmp_path}
    )
    with Run(config, lambda text: None) as run:
        result = run.execute()
    assert {"package": "numpy", "installed": "99.0"}.items() <= {
        key: value
        for one in result.environment["untested"]
        if one["package"] == "numpy"
        for key, value in one.items()
    }.items()
    assert sum("outside the versions that were tested" in note for note in result.notes) == 1


def test_the_doctor_says_which_version_was_tested(monkeypatch):
    assert _package("numpy").endswith(", tested")
    monkeypatch.setattr(metadata, "version", lambda name: "99.0")
    assert _package("numpy").startswith("99.0, outside what was tested: ")
    assert tested.versions()["numpy"] in _package("numpy")
