"""How does a notebook show what came of a command? As the command line does: the same tables, on a
page, as Markdown, as CSV, as a DataFrame.
"""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports import blocks
from reports.blocks import Table
from reports.pages import html

if TYPE_CHECKING:
    from pandas import DataFrame


class Shown(Mapping[str, Any]):
    """What `--json` prints, as a mapping, `found["status"]`, and its main table."""

    folder: Path
    result: Mapping[str, Any]

    @property
    @abstractmethod
    def exit_code(self) -> int:
        """Return that of the command: 0 valid or pass, 1 invalid or fail, 130 interrupted."""

    @abstractmethod
    def _table(self) -> Table:
        """Return the main table with a row per run, for programs."""

    def _for_people(self) -> list[Table]:
        return [self._table()]

    def __getitem__(self, name: str) -> Any:
        return self.result[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.result)

    def __len__(self) -> int:
        return len(self.result)

    def _repr_html_(self) -> str:
        return "".join(map(html.fragment, self._for_people()))

    def markdown(self) -> str:
        """Return the tables as `--format markdown` prints them."""
        return blocks.markdown(self._for_people())

    def csv(self) -> str:
        """Return the main table as `--format csv` prints it, with every digit."""
        return blocks.csv_text([self._table()])

    def frame(self) -> DataFrame:
        """Return the main table as a DataFrame of pandas, which must be installed."""
        import pandas

        return pandas.read_csv(io.StringIO(self.csv()))
