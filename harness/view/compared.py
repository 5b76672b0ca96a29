"""What do runs look like side by side? The page of `harness compare RUN...`, made in memory.

Nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.study.comparison import compare
from harness.study.comparison.evidence import NONE, gather
from harness.study.comparison.rows import read_row
from reports.pages import compare as page


def page_of(folders: Sequence[Path]) -> str:
    """Return the page that compares runs, the first of which is the reference. Raises BadInput."""
    rows = [read_row(folder) for folder in folders]
    gathered = [
        gather(Path(row["run"]), row["status"], row["reason"]) if row["run"] else NONE
        for row in rows
    ]
    found = compare.compare(rows, gathered)
    found |= {"interrupted": False, "not_run": [], "folder": ""}
    return page.render(found)
