"""Is what a run has under the name of a column told as it is, zero too?"""

from __future__ import annotations

import pytest

from reports.pages.comparison.columns import value


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_a_task_of_which_nothing_was_solved_is_not_unknown(share):
    row = {"scores": {"task_solved": share}, "intervals": {"task_solved": (share, 0.5)}}
    assert value(row, "task_solved") == (share, share, 0.5)
    assert value({"scores": {"rougeL": 1.0}}, "task_solved") is None
