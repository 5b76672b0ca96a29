"""Who imports whom: DESIGN.md's arrows, read from the syntax trees. An import inside a function
counts like any other.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

OURS = ("harness", "sut", "scenarios", "accuracy", "reports")
# Who may import whom, by folder; everybody may use the kernel and the folder's own files.
ARROWS = {
    "harness.kernel": "",
    "harness.kernel.foreign": "",
    "harness.kernel.machine": "",
    "harness.kernel.privacy": "",
    "harness.kernel.process": "",
    "harness.kernel.words": "",
    "harness.engine": "harness.engine.dispatched harness.engine.metering harness.engine.referee"
    " harness.engine.server_view",
    "harness.engine.dispatched": "harness.engine",
    "harness.engine.metering": "",
    "harness.engine.referee": "",
    "harness.engine.server_view": "",
    "harness.options": "harness harness.options.conf accuracy.datasets sut.model sut.precision"
    " sut.served sut.started harness.options.table scenarios.peak harness.loads scenarios.loads"
    " sut.served.client.remote accuracy.tasks accuracy.tasks.attempts",
    "harness.options.conf": "harness.options harness.options.table",
    "harness.options.table": "harness.options harness.options.lists",
    "harness.options.lists": "harness.options",
    "harness.official": "harness.engine harness.engine.dispatched scenarios.loadgen",
    "harness.result": "harness harness.engine harness.engine.referee harness.official"
    " harness.options accuracy accuracy.datasets accuracy.outputs reports.endpoints reports.mlperf"
    " reports.pages scenarios scenarios.loadgen harness.result.device harness.result.gpus"
    " harness.result.integrity harness.result.doubts harness.result.capacity scenarios.peak"
    " harness.loads harness.result.phases scenarios.loads accuracy.tasks accuracy.tasks.attempts"
    " accuracy.tasks.errors harness.result.attempts harness.result.programs",
    "harness.result.device": "",
    "harness.result.gpus": "harness.engine harness.engine.metering",
    "harness.result.integrity": "harness.engine harness.result",
    "harness.result.doubts": "accuracy harness.engine harness.engine.referee harness.result"
    " scenarios",
    "harness.result.capacity": "harness.options harness.result scenarios scenarios.peak"
    " harness.options.lists",
    "harness.result.phases": "scenarios.phases scenarios.loads",
    "harness.running": "harness harness.engine harness.engine.dispatched harness.engine.metering"
    " harness.engine.referee harness.engine.server_view harness.official harness.options"
    " harness.result accuracy.outputs reports scenarios sut.border sut.border.replicas sut.model"
    " sut.started harness.result.integrity scenarios.peak harness.loads harness.running.searching"
    " harness.result.programs",
    "harness.running.searching": "harness.engine harness.options harness.result"
    " harness.result.capacity scenarios.loadgen scenarios.peak",
    "harness.likelihood": "harness.engine harness.options accuracy accuracy.datasets"
    " accuracy.likelihood accuracy.metrics reports.pages.likelihood sut.border sut.likelihood"
    " sut.model sut.precision sut.served harness.live harness.study harness.study.cluster"
    " harness.study.executors",
    "harness.study": "harness harness.engine harness.options harness.result harness.running"
    " sut.model sut.precision sut.started harness.study.executors accuracy accuracy.gate"
    " accuracy.metrics",
    "harness.study.comparison": "harness harness.engine harness.options harness.result"
    " harness.running harness.result.device harness.result.integrity harness.study"
    " harness.study.gating accuracy accuracy.datasets accuracy.gate reports reports.pages"
    " harness.study.best harness.study.effects harness.live harness.cost accuracy.tasks",
    "harness.study.gating": "harness harness.engine harness.options harness.result harness.running"
    " harness.study harness.study.comparison accuracy.datasets accuracy.gate reports.pages"
    " sut.precision harness.live accuracy.tasks accuracy.tasks.errors",
    "harness.study.family": "accuracy accuracy.gate accuracy.tasks harness.engine"
    " harness.evaluators harness.result harness.study harness.study.best harness.study.comparison"
    " harness.study.effects harness.study.gating reports.pages.family",
    "harness.study.sweep": "harness harness.engine harness.options harness.running harness.study"
    " harness.study.comparison harness.study.best accuracy reports.pages.sweep harness.live",
    "harness.study.best": "accuracy",
    "harness.study.effects": "",
    "harness.study.exports": "harness.engine harness.loaded reports reports.pages.comparison",
    "harness.study.decide": "harness harness.cost harness.engine harness.options harness.running"
    " harness.study harness.study.comparison harness.study.decide.known"
    " harness.study.decide.wishes harness.study.best accuracy reports.pages.decide harness.live",
    "harness.study.decide.known": "harness.cost harness.result harness.study"
    " harness.study.comparison harness.study.decide harness.study.decide.wishes"
    " harness.study.gating accuracy accuracy.gate",
    "harness.study.decide.wishes": "harness.cost reports",
    "harness.study.cluster": "harness.options harness.study.executors sut.model harness.likelihood",
    "harness.study.executors": "harness.engine harness.options harness.running"
    " harness.study.cluster harness.likelihood",
    "harness.mlperf": "harness.options harness.result harness.study accuracy.compliance"
    " reports.mlperf reports.submission scenarios.loadgen harness.result.integrity",
    "harness.schema": "harness.options harness.schema.of_result reports harness.schema.of_compare"
    " harness.schema.of_study harness.schema.of_task",
    "harness.schema.of_study": "harness.schema harness.schema.of_compare accuracy.likelihood"
    " harness.likelihood",
    "harness.schema.of_result": "harness.schema",
    "harness.schema.of_compare": "harness.schema",
    "harness.serve": "harness.engine harness.options harness.serve.asking harness.serve.telling"
    " sut.border sut.golden sut.golden.answers sut.model sut.prompts sut.serving",
    "harness.serve.asking": "harness.serve sut.prompts",
    "harness.serve.telling": "harness.serve.asking sut.prompts sut.serving",
    "harness.evaluators": "harness.engine harness.evaluators.tools harness.options harness.serve"
    " sut.served sut.started accuracy harness.evaluators.answers reports reports.pages",
    "harness.evaluators.answers": "accuracy accuracy.gate accuracy.metrics harness.evaluators"
    " harness.study.comparison harness.study.gating",
    "harness.evaluators.tools": "harness.evaluators harness.evaluators.answers sut.served",
    "harness.evaluators.scripts": "",
    "harness.evaluators.plugins": "",
    "harness.commands": "harness harness.engine harness.likelihood harness.options harness.result"
    " harness.mlperf harness.running harness.serve harness.study harness.study.comparison"
    " harness.study.gating accuracy.gate reports reports.pages reports.pages.likelihood"
    " reports.submission harness.study.sweep reports.pages.sweep harness.study.exports"
    " reports.pages.comparison harness.cost harness.study.decide harness.study.decide.wishes"
    " reports.pages.decide harness.result.capacity sut.served.client.remote harness.view"
    " harness.options.lists harness.commands.arguments reports.parts harness.study.family"
    " reports.pages.family harness.evaluators harness.judging",
    "harness.commands.arguments": "harness.options harness.study harness.study.executors",
    "harness": "harness.commands harness.engine harness.options accuracy.datasets reports sut"
    " sut.border sut.model sut.precision sut.served sut.started harness.api harness.live"
    " accuracy.tasks harness.commands.judges",
    "harness.api": "accuracy.gate harness.commands harness.likelihood harness.options"
    " harness.result harness.running harness.study harness.study.comparison harness.study.gating"
    " reports reports.pages harness.engine harness.loaded harness.study.sweep"
    " harness.commands.arguments harness.options.lists harness.study.decide"
    " harness.study.decide.wishes harness.study.family harness.evaluators harness.judging",
    "harness.loaded": "",
    "harness.cost": "accuracy",
    "harness.loads": "accuracy.datasets harness harness.options scenarios.loads accuracy.tasks"
    " harness.options.table",
    "harness.live": "harness.study",
    "harness.view": "harness.engine harness.result harness.study.comparison reports.pages",
    "scenarios.loadgen": "scenarios",
    "scenarios": "scenarios.loadgen scenarios.peak scenarios.loads",
    "scenarios.peak": "scenarios scenarios.loadgen",
    "scenarios.loads": "scenarios.loadgen",
    "scenarios.phases": "",
    "accuracy": "",
    "accuracy.compliance": "accuracy.gate accuracy.metrics accuracy.outputs",
    "accuracy.datasets": "",
    "accuracy.gate": "accuracy accuracy.metrics accuracy.tasks accuracy.tasks.attempts"
    " accuracy.tasks.scoring",
    "accuracy.likelihood": "accuracy accuracy.metrics",
    "accuracy.metrics": "accuracy",
    "accuracy.outputs": "",
    "reports": "reports.parts",
    "reports.endpoints": "",
    "reports.mlperf": "",
    "reports.pages": "reports reports.plots reports.pages.comparison reports.parts",
    "reports.pages.likelihood": "reports reports.pages reports.plots",
    "reports.pages.sweep": "reports reports.pages reports.pages.comparison reports.plots",
    "reports.pages.comparison": "reports reports.plots",
    "reports.pages.decide": "reports reports.pages reports.pages.comparison reports.plots",
    "reports.pages.family": "reports reports.pages reports.plots",
    "reports.plots": "reports reports.parts",
    "reports.submission": "reports.mlperf",
    "reports.parts": "reports",
    "sut.border": "",
    "sut.border.replicas": "sut.border",
    "sut.checkpoint": "",
    "sut.model": "sut.checkpoint",
    "sut.precision": "sut.checkpoint sut.model sut.precision.fp8",
    "sut.precision.fp8": "sut.model sut.precision",
    "sut.prompts": "",
    "sut.served": "sut.model sut.prompts sut.served.answers sut.served.client"
    " sut.served.client.calibration sut.served.probing sut.served.client.remote",
    "sut.served.answers": "",
    "sut.served.client": "sut.border sut.served sut.served.answers sut.served.client.calibration"
    " sut.served.client.remote",
    "sut.served.client.calibration": "sut.border sut.served sut.served.client",
    "sut.served.client.remote": "sut.served.client",
    "sut.served.probing": "sut.served sut.served.answers",
    "sut.engine": "sut.engine.ahead sut.engine.attention sut.engine.graphs sut.engine.prefill"
    " sut.engine.sampling sut.model",
    "sut.engine.ahead": "sut.engine sut.engine.sampling",
    "sut.engine.attention": "sut.engine.graphs",
    "sut.engine.graphs": "sut.engine sut.engine.attention sut.engine.prefill sut.model",
    "sut.engine.prefill": "sut.engine sut.engine.ahead sut.model",
    "sut.engine.sampling": "sut.engine sut.engine.ahead",
    "sut.limit": "sut.model",
    "sut.golden": "sut.golden.answers",
    "sut.golden.answers": "",
    "sut.serving": "sut sut.border sut.engine sut.engine.ahead sut.engine.sampling sut.likelihood"
    " sut.likelihood.forward sut.model sut.prompts",
    "sut.started": "sut.border sut.model sut.precision sut.served sut.served.probing",
    "sut.likelihood": "sut sut.engine sut.likelihood.forward sut.model sut.prompts sut.served"
    " sut.served.answers",
    "sut.likelihood.forward": "sut.engine sut.likelihood sut.model",
    "sut": "sut.engine sut.engine.ahead sut.engine.graphs sut.engine.prefill sut.engine.sampling"
    " sut.likelihood sut.limit sut.model sut.precision sut.prompts",
    "accuracy.tasks": "accuracy accuracy.datasets accuracy.metrics accuracy.outputs"
    " accuracy.tasks.known accuracy.tasks.scoring accuracy.sandbox",
    "accuracy.tasks.attempts": "accuracy accuracy.metrics accuracy.tasks accuracy.tasks.scoring",
    "accuracy.tasks.errors": "accuracy accuracy.gate accuracy.metrics accuracy.tasks"
    " accuracy.outputs",
    "accuracy.tasks.known": "accuracy.datasets accuracy.metrics accuracy.tasks",
    "accuracy.tasks.scoring": "accuracy accuracy.metrics",
    "harness.result.attempts": "accuracy.outputs accuracy.tasks.attempts harness.engine",
    "accuracy.judge": "accuracy",
    "accuracy.sandbox": "",
    "harness.judging": "accuracy.gate accuracy.judge accuracy.metrics accuracy.tasks harness"
    " harness.engine harness.result harness.study.comparison harness.study.gating reports.pages"
    " sut.served sut.served.probing accuracy",
    "harness.result.programs": "accuracy.outputs accuracy.sandbox accuracy.tasks harness.engine",
    "harness.commands.judges": "harness harness.commands.arguments harness.engine"
    " harness.evaluators harness.evaluators.answers harness.judging harness.options reports.pages",
    "harness.schema.of_task": "harness.schema",
}
KERNEL = tuple(
    f"harness.kernel{folder}"
    for folder in ("", ".foreign", ".machine", ".privacy", ".process", ".words")
)
LONG = {}
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


MODULES = {module_of(path) for path in FILES}
FOLDERS = sorted({path.parent for path in FILES})


def ours(path: Path) -> set[str]:
    """Return the project's modules that a file imports; a name inside one counts as the module."""
    return {name for name in imports_of(path) if name in MODULES and name not in OURS}


def name_of(folder: Path) -> str:
    return ".".join(folder.relative_to(ROOT).parts)


def folder_of(module: str) -> str:
    """Return the folder that a module stands in; of a package's own names the package."""
    is_package = (ROOT / module.replace(".", "/")).is_dir()
    return module if is_package else module.rpartition(".")[0]


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_imports_only_what_its_arrows_allow(folder):
    allowed = {name_of(folder), *KERNEL, *ARROWS[name_of(folder)].split()}
    for path in folder.glob("*.py"):
        for module in ours(path):
            assert folder_of(module) in allowed, f"{path.relative_to(ROOT)} imports {module}"


def test_every_arrow_is_used():
    for folder, arrows in ARROWS.items():
        files = (ROOT / folder.replace(".", "/")).glob("*.py")
        used = {folder_of(module) for path in files for module in ours(path)}
        assert set(arrows.split()) <= used, folder


def test_the_kernel_needs_numpy_and_the_standard_library_alone():
    allowed = {"harness", "numpy", *sys.stdlib_module_names}
    for path in (ROOT / "harness" / "kernel").glob("*.py"):
        assert {name.split(".")[0] for name in imports_of(path)} <= allowed, path.name


@pytest.mark.parametrize("package", ["scenarios", "sut", "accuracy", "reports"])
def test_the_four_are_strangers(package):
    for folder, arrows in ARROWS.items():
        if folder.split(".")[0] == package:
            assert {name.split(".")[0] for name in arrows.split()} <= {package}


def test_only_tables_name_modules_in_strings():
    """An import through a string hides an arrow; `children.Child` starts a process."""
    for path in FILES:
        if path.name == "__init__.py":
            continue
        text = path.read_text()
        named = {
            node.value
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        for value in named:
            if value.partition(":")[0] in MODULES - set(OURS):
                starts = re.search(rf'(Child|finished)\(\s*"{value}"', text)
                assert starts, f"{path.relative_to(ROOT)}: {value}"


def test_no_folder_is_crowded_and_no_file_long():
    """House rules."""
    for folder in FOLDERS:
        assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 12
    for path in FILES:
        lines = path.read_text().count("\n")
        assert lines <= 400, f"{path}: {lines} lines"


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
        folder_of(module_of(path))
        for path in FILES
        if any(name.startswith("matplotlib") for name in imports_of(path))
    }
    assert homes <= {"reports.plots"}


def test_only_the_clock_module_reads_a_clock():
    """But for a script that a tool's Python runs, which has none of our modules."""
    known = ("harness.kernel.clock", "harness.evaluators.scripts.hf_metric")
    for path in FILES:
        if module_of(path) not in known:
            assert not imports_of(path) & {
                "time",
                "time.time",
                "time.sleep",
                "datetime.datetime",
            }, path.name


def test_naming_a_scenario_or_asking_for_help_imports_nothing_heavy():
    code = (
        "import sys, harness.registry as r; r.scenario('server'); import harness.cli; print([m for"
        " m in ('torch', 'transformers', 'pyarrow', 'scipy', 'matplotlib', 'pydantic')"
        " if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert out.stdout.strip() == "[]"
