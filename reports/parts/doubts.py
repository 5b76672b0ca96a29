"""What makes a result shaky, as a screen and a page say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.blocks import Column, Table

_TONES = {"serious": "bad", "minor": "open"}


def lines(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (tone, what is shaky, what to do) of each doubt."""
    return [
        (_TONES[one["severity"]], one["words"], one["remedy"]) for one in result.get("doubts", ())
    ]


def table(result: Mapping[str, Any]) -> Table | None:
    """Return the doubts as a table; None where there are none."""
    rows = [[one["severity"], one["words"], one["remedy"]] for one in result.get("doubts", ())]
    columns = (
        Column("severity", "", words=True, toned=lambda severity: _TONES[severity]),
        Column("doubt", "what makes it shaky", words=True),
        Column("remedy", "what to do", words=True),
    )
    note = "None of this changes the verdict. docs/doubts.md says how each is found."
    return Table("Doubts", columns, rows, note) if rows else None
