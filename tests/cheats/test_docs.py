"""Does docs/cheats.md name every system that cheats, and is each of them tried?"""

import inspect
import re

from tests import ROOT
from tests.cheats import suts

HONEST = {"Speaks", "Simulated"}
PAGE = (ROOT / "docs" / "cheats.md").read_text(encoding="utf-8")
TESTS = "".join(path.read_text() for path in (ROOT / "tests" / "cheats").glob("test_*.py"))
KINDS = {
    name for name, kind in inspect.getmembers(suts, inspect.isclass)
    if kind.__module__ == suts.__name__
}  # fmt: skip


def test_the_page_names_every_system_and_no_other():
    named = {name for row in re.findall(r"\|([^|]*)\|$", PAGE, re.M) for name in
             re.findall(r"`(\w+)`", row)}  # fmt: skip
    assert named - HONEST == KINDS - HONEST


def test_every_system_is_tried():
    assert not [name for name in KINDS if f"suts.{name}" not in TESTS]
    assert len(KINDS - HONEST) >= 20
