"""What came of a command? Its JSON object, its folder, its exit code, and its main table."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports import blocks
from reports.blocks import Table
from reports.pages import html

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Outcome(Mapping[str, Any]):
    """What `--json` prints, as a mapping: `outcome["status"]`. The files are in `folder`.

    In a notebook it shows its main table.
    """

    found: dict[str, Any]
    folder: Path
    exit_code: int  # 0 valid or pass, 1 invalid or fail, 130 interrupted
    _table: Callable[[], Table] = field(repr=False, compare=False)
    _people: Callable[[], list[Table]] | None = field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> Any:
        return self.found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        status = self.found.get("status") or self.found.get("verdict") or ""
        said = f"{status}, " if isinstance(status, str) and status else ""
        return f"<Outcome: {said}exit code {self.exit_code}, in {self.folder}>"

    def _repr_html_(self) -> str:
        return "".join(html.fragment(table) for table in self._shown())

    def markdown(self) -> str:
        """Return the main table as `--format markdown` prints it."""
        return blocks.markdown(self._shown())

    def csv(self) -> str:
        """Return the main table as `--format csv` prints it."""
        return blocks.csv_text([self._table()])

    def frame(self) -> DataFrame:
        """Return the main table as a DataFrame of pandas, a row per run with every digit.

        Raises ModuleNotFoundError without pandas.
        """
        import pandas

        return pandas.read_csv(io.StringIO(self.csv()))

    def _shown(self) -> list[Table]:
        return self._people() if self._people else [self._table()]
