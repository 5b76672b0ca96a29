"""The quick lane leaves out what it names, and nothing that is gone."""

from __future__ import annotations

import re

from tests import ROOT
from tests.lanes import SLOW, is_slow


def test_everything_that_is_called_slow_exists():
    for entry in SLOW:
        path, _, test = entry.partition("::")
        assert (ROOT / path).exists(), entry
        if test:
            assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8")


def test_whatever_needs_the_real_model_is_marked_or_slow():
    """`make quick` is for a machine that has not fetched it."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        source = path.read_text(encoding="utf-8")
        takes = re.search(r"def \w+\([^)]*\bsmollm2\b", source)
        marked = "mark.model" in source or is_slow(str(path.relative_to(ROOT)))
        assert marked or not takes, path
