"""Do our own ten problems pass with their solutions, and fail without them?"""

import os
import subprocess
import sys

import pytest

from accuracy.datasets.readers import read
from accuracy.sandbox import pool
from accuracy.sandbox.programs import Broken, Limits, Program
from accuracy.tasks.known.humaneval import HUMANEVAL
from accuracy.tasks.known.mbpp import MBPP
from harness.kernel.errors import BadInput
from tests import ROOT

FILE = ROOT / "tests" / "data" / "programs.jsonl"
DOCS = [HUMANEVAL.read(row) for row in read(FILE)]
# one for each problem: what is replaced in its solution, by what
MUTATIONS = [
    ("- 1", "+ 1"),
    ("== 0", "== 1"),
    ("not in", "in"),
    (" % (24 * 60)", ""),
    ("best, length", "best, 1"),
    ("int(digit)", "digit"),
    ("depth < 0", "depth < -9"),
    ("abs(", "("),
    (".lower()", ""),
    ("3 *", "5 *"),
]


def program(doc, answer):
    facts = dict(doc.facts)
    return Program(facts["before"] + answer, facts["test"])


@pytest.fixture(scope="module")
def mode():
    try:
        pool.check("sandboxed", Limits())
    except BadInput as missing:
        pytest.skip(str(missing))
    return "sandboxed"


def test_solutions_pass_and_mutations_fail(mode):
    fine = [program(doc, doc.expected) for doc in DOCS]
    wrong = []
    for doc, (old, new) in zip(DOCS, MUTATIONS, strict=True):
        assert old in doc.expected
        wrong.append(program(doc, doc.expected.replace(old, new, 1)))
    limits = Limits(seconds=5)
    ran = dict(pool.run_all([*fine, *wrong], mode, limits))
    assert [ran[i].outcome for i in range(10)] == ["right"] * 10
    assert {ran[i].outcome for i in range(10, 19)} <= {"wrong", "error"}
    assert ran[19].outcome in ("timeout", "wrong")  # 5n + 1 may never come to 1


def test_a_program_of_mbpp_runs_with_its_assertions(mode):
    (row,) = [row for row in read(FILE)][:1]
    cells = {
        "text": "Write a function to double a number.",
        "code": "def double(n):\n    return 2 * n",
        "test_list": ["assert double(2) == 4", "assert double(0) == 0"],
        "test_setup_code": "import math",
    }
    doc = MBPP.read(type(row)(row.file, row.where, cells))
    assert "assert double(0) == 0\n[BEGIN]\n" in doc.question
    assert pool.run(program(doc, doc.expected), mode, Limits()).outcome == "right"
    assert pool.run(program(doc, "def double(n): return n"), mode, Limits()).outcome == "wrong"


def test_a_python_that_is_a_link_runs_programs(mode, tmp_path):
    """As /usr/bin/python3 is one on Debian, and what its virtual environments are made from."""
    link = tmp_path / "python3"
    link.symlink_to(os.path.realpath(sys._base_executable))
    code = (
        "from accuracy.sandbox import pool\nfrom accuracy.sandbox.programs import Limits, Program\n"
        f"print(pool.run(Program('x = 1', 'assert x'), {mode!r}, Limits()).outcome)"
    )
    known = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run([link, "-c", code], capture_output=True, text=True, env=known)
    assert done.stdout == "right\n", done.stderr


def test_the_sanitized_part_of_mbpp_has_other_columns(mode):
    row = next(iter(read(FILE)))
    cells = {
        "prompt": "Write a function to round down.",
        "code": "import math\ndef down(n):\n    return math.floor(n)",
        "test_imports": ["import math"],
        "test_list": ["assert down(2.5) == math.floor(2.5)"],
    }
    doc = MBPP.read(type(row)(row.file, row.where, cells))
    assert "task: Write a function to round down. Your code" in doc.question
    assert pool.run(program(doc, doc.expected), mode, Limits()).outcome == "right"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"test": ""}, "test"),
        ({"test": "assert True"}, "no function 'check'"),
        ({"entry_point": "a b"}, "entry_point"),
        ({"prompt": None}, "prompt"),
    ],
)
def test_a_row_that_cannot_be_tested_is_named(change, said):
    row = next(iter(read(FILE)))
    with pytest.raises(BadInput, match=said):
        HUMANEVAL.read(type(row)(row.file, row.where, {**row.cells, **change}))


def test_a_system_without_walls_is_refused_by_what_it_said(monkeypatch):
    def without(*_):
        raise Broken("new namespaces: Operation not permitted")

    monkeypatch.setattr(pool, "run", without)
    with pytest.raises(BadInput, match=r"new namespaces: Operation not permitted.*unprotected"):
        pool.check("sandboxed", Limits())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="never as root")
def test_unprotected_programs_are_limited_and_leave_no_file():
    loop = Program("while True: pass", "")
    assert pool.check("unprotected", Limits()).protections[-1] == "no environment"
    assert pool.run(loop, "unprotected", Limits(seconds=2)).outcome == "timeout"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root")
def test_no_program_runs_as_root_without_walls():
    refused, ran = "", None
    try:
        ran = pool.run(Program("import os", "assert os.getuid()"), "unprotected", Limits())
    except Broken as broken:
        refused = str(broken)
    assert "root runs no program" in refused if ran is None else ran.outcome == "right"
