"""Where do the answers that a gate judges come from? From finished runs, or from a study that makes
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from accuracy.gate.outputs import Outputs
from harness.kernel.protocols import Say
from harness.options.settings import RunConfig
from harness.study.outputs import read
from harness.study.study import Cell, Ended, Study


class Source(NamedTuple):
    """Where runs come from: a study that makes them, or none, where all are finished."""

    place: Path
    study: Study | None

    def outputs(self, name: str, what: Outputs | RunConfig, say: Say) -> tuple[Outputs, bool]:
        """(outputs, whether the user wants no more). Raises HarnessError where a run cannot be
        made.
        """
        if isinstance(what, Outputs) or self.study is None:
            assert isinstance(what, Outputs)
            return what, False
        ended, interrupted = self.study.ended.get(name), False
        if ended is None:
            ended, interrupted = self.study.run(Cell(name, what), say, _no_figures)
        return replace(read(self.place / ended.run), label=what.variant), interrupted

    def failed(self, name: str) -> Ended | None:
        """The row of a cell that could not be measured."""
        ended = self.study.ended.get(name) if self.study else None
        return ended if ended is not None and not ended.run else None

    def keep(self, name: str, reason: str, failure: str) -> None:
        """Note that a cell cannot be measured, unless its run is there and cannot be judged."""
        if self.study is not None and name not in self.study.ended:
            self.study.keep(Ended(name, "", {}, "FAILED", reason, failure, {}))

    def forget(self) -> None:
        """Leave no empty folder behind; what a run left may tell why it broke."""
        if self.study is not None:
            return self.study.forget()
        with suppress(OSError):
            self.place.rmdir()


def _no_figures(result: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {}
