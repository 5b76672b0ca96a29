"""Does MLCommons' submission checker agree with ours, tree by tree?

Skipped without a checkout of mlcommons/inference (see `tests.official`).
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.official import compare, programs
from tests.official.spoiled import ROWS

pytestmark = pytest.mark.skipif(programs.checkout() is None, reason=programs.WHY_SKIPPED)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.base}: {row.name}")
def test_both_checkers_say_what_the_table_says(row, tmp_path):
    ours, theirs = compare.both(row, tmp_path)
    assert compare.refused_by(not ours, theirs.accepts) == row.refused_by, (ours, theirs.words)


def test_the_table_is_worth_the_name():
    """No tree that ours lets pass and theirs refuses; where ours is stricter, it says why."""
    counted = Counter(row.refused_by for row in ROWS)
    assert set(counted) == {"both", "ours", "neither"}
    assert counted["both"] >= 100
    assert not [row.name for row in ROWS if (row.refused_by == "ours") != bool(row.why)]
