"""One row of a table and where it stands: whatever is asked of it comes back checked, or as a
complaint with the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.kernel.errors import BadInput, unknown


@dataclass(frozen=True, slots=True)
class NotRead:
    """A cell of a kind that no prompt is made of: "a value of type date32"."""

    kind: str = "something that is not text"


NOT_READ = NotRead()


@dataclass(frozen=True, slots=True)
class Row:
    """`where` is "line 7" or "row 7", `todo` what to do about a column that is not there."""

    file: str
    where: str
    cells: Mapping[str, Any]
    todo: str = "Pass --prompt-column or --reference-column."

    def text(self, column: str, empty: bool = False) -> str:
        value = self._cell(column)
        if not isinstance(value, str) or not (value.strip() or empty):
            raise self._wrong(column, value, "text")
        return self._whole(column, value)

    def text_if_any(self, column: str) -> str | None:
        value = self.cells.get(column)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._wrong(column, value, "text")
        return self._whole(column, value)

    def texts(self, column: str, least: int, most: int) -> list[str]:
        value = self._cell(column)
        fine = f"a list of {least} to {most} texts" if least < most else f"a list of {most} texts"
        if not isinstance(value, list):
            raise self._wrong(column, value, fine)
        if not least <= len(value) <= most:
            raise self.complain(column, f"a list of {len(value)}", fine)
        for item in value:
            if not isinstance(item, str):
                raise self._wrong(column, item, fine)
        return [self._whole(column, item) for item in value]

    def integer(self, column: str, below: int) -> int:
        value, fine = self._cell(column), f"a whole number from 0 to {below - 1}"
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(column, value, fine)
        if not 0 <= value < below:
            raise self.complain(column, f"{value}"[:20], fine)
        return value

    def ids(self, column: str) -> tuple[int, ...] | None:
        """Return token ids, if the column is there."""
        value, fine = self.cells.get(column), "a list of token ids"
        if value is None:
            return None
        if not isinstance(value, list):
            raise self._wrong(column, value, fine)
        for item in value:
            if type(item) is not int or not 0 <= item < 2**31:
                raise self.complain(
                    column, f"{item}"[:20] if type(item) is int else type(item).__name__, fine
                )
        return tuple(value) or None

    def label(self, column: str) -> str:
        value = self._cell(column, todo="")
        if not isinstance(value, str | int | float):
            raise self._wrong(column, value, "a text or a number")
        return self._whole(column, str(value))

    def complain(self, column: str, found: str, fine: str) -> BadInput:
        return malformed(self.file, f"{self.where}, column {column!r}", found, fine)

    def _cell(self, column: str, todo: str | None = None) -> Any:
        if column not in self.cells:
            doing = f"dataset {self.file}, {self.where}: column"
            todo = self.todo if todo is None else todo
            raise unknown(doing, column, map(str, self.cells), todo)
        return self.cells[column]

    def _whole(self, column: str, value: str) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.complain(column, "half of a surrogate pair", "Unicode text") from None
        return value

    def _wrong(self, column: str, value: Any, fine: str) -> BadInput:
        if isinstance(value, str) and not value.strip():
            return self.complain(column, "an empty text", fine)
        if isinstance(value, NotRead):
            return self.complain(column, value.kind, fine)
        kind = "nothing" if value is None else f"a value of type {type(value).__name__}"
        return self.complain(column, kind, fine)


def malformed(file: str, where: str, found: str, fine: str) -> BadInput:
    return BadInput(f"dataset {file}, {where}", found, f"expected {fine}", "Correct the file.")
