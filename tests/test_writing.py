"""Who writes files? `harness.kernel.files` does; all others ask it."""

from __future__ import annotations

import ast

from tests.test_arrows import FILES, module_of

WRITERS = {"write_text", "write_bytes", "touch", "mkstemp", "copyfile", "copy2", "copytree"}
ALLOWED = {
    "harness.kernel.files": "the one door",
    "harness.engine.journal": "a file that is mapped; it must be new (x)",
    "sut.model.find": "the member of a wheel, in a folder that nobody else can enter",
    "harness.schema.__main__": "the project's own files, by its developers",
    "harness.study.executors.child": "what parent and child hand over in a temporary folder",
    "harness.study.executors.process": "what parent and child hand over in a temporary folder",
    "sut.border.words": "the words of a SUT while it runs, in the folder for temporary files",
    "sut.model.peak": "clear_refs of /proc",
    "harness.evaluators.scripts.hf_metric": "its result, in the Python of a tool",
    "accuracy.sandbox.walls": "/proc of its own process, and a root folder in memory",
}


def writes_of(tree: ast.AST) -> set[str]:
    """Return the calls in a module that write a file."""
    found = set()
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if ast.unparse(call.func).startswith("files."):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        modes = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
        is_opened = name == "open" or (isinstance(call.func, ast.Name) and call.func.id == "open")
        if name in WRITERS:
            found.add(name)
        if is_opened and any(str(mode)[:1] in "wax" for mode in modes if mode in MODES):
            found.add("open")
    return found


MODES = {kind + extra for kind in "wax" for extra in ("", "b", "t", "+", "b+", "+b")}


def test_nobody_writes_a_file_but_through_the_one_door():
    found = {}
    for path in FILES:
        writes = writes_of(ast.parse(path.read_text()))
        if writes and module_of(path) not in ALLOWED:
            found[module_of(path)] = writes
    assert found == {}


def test_the_search_finds_what_writes():
    source = "p.write_text('x'); p.open('wb'); open(p, 'a'); q.open('rb'); s.open()"
    assert writes_of(ast.parse(source)) == {"write_text", "open"}
