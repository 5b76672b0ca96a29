"""Who imports whom: DESIGN.md's arrows, read from the syntax trees. An import inside a function
counts like any other.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("harness", "sut", "scenarios", "accuracy", "reports")
KERNEL = {
    f"harness.{name}"
    for name in ("types", "protocols", "clock", "stats", "errors", "endings", "places")
}
ENGINE = {
    f"harness.{name}"
    for name in (
        "driver",
        "recorder",
        "timeouts",
        "runlog",
        "pieces",
        "environment",
        "hardware",
        "telemetry",
        "tested",
    )
}
TORCH_HOMES = ("sut",)
FILES = sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def ours(path: Path) -> set[str]:
    """The project's modules that a file imports (names inside a module count as the module)."""
    modules = {module_of(p) for p in FILES}
    return {name for name in imports_of(path) if name in modules and name not in OURS}


def files_of(*packages: str) -> list[Path]:
    return [path for path in FILES if module_of(path).split(".")[0] in packages]


def test_the_kernel_imports_only_the_kernel_numpy_and_the_standard_library():
    allowed = KERNEL | {"numpy", "__future__"} | set(sys.stdlib_module_names)
    for path in FILES:
        if module_of(path) in KERNEL:
            outside = {
                name
                for name in imports_of(path)
                if name.split(".")[0] not in allowed and ours_or_foreign(name)
            }
            assert not outside, f"{path.name} imports {outside}"
            assert ours(path) <= KERNEL


def ours_or_foreign(name: str) -> bool:
    return not any(name == k or name.startswith(k + ".") for k in KERNEL) and name != "harness"


def test_the_engine_imports_only_the_kernel_and_itself():
    for path in FILES:
        if module_of(path) in ENGINE:
            assert ours(path) <= KERNEL | ENGINE, path.name


@pytest.mark.parametrize("package", ["scenarios", "sut", "accuracy", "reports"])
def test_the_four_import_the_kernel_and_themselves_and_are_strangers(package):
    for path in files_of(package):
        strangers = {
            name for name in ours(path) if not name.startswith(package + ".") and name not in KERNEL
        }
        assert not strangers, f"{path.relative_to(ROOT)} imports {strangers}"


def test_torch_and_transformers_stay_at_home():
    for path in FILES:
        if not module_of(path).startswith(TORCH_HOMES):
            heavy = {name.split(".")[0] for name in imports_of(path)} & {
                "torch",
                "transformers",
                "peft",
                "accelerate",
            }
            assert not heavy, f"{path.relative_to(ROOT)} imports {heavy}"


def test_matplotlib_has_one_home():
    homes = {
        module_of(path)
        for path in FILES
        if any(name.startswith("matplotlib") for name in imports_of(path))
    }
    assert homes <= {"reports.plots"}


def test_only_the_clock_module_reads_a_clock():
    for path in FILES:
        if module_of(path) != "harness.clock":
            assert not imports_of(path) & {
                "time",
                "time.time",
                "time.sleep",
                "datetime.datetime",
            }, path.name


def test_naming_a_scenario_or_asking_for_help_imports_nothing_heavy():
    code = (
        "import sys, harness.registry as r; r.scenario('server'); import harness.cli; print([m for"
        " m in ('torch', 'transformers', 'pyarrow', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert out.stdout.strip() == "[]"
