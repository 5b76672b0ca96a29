"""Which parts of a run in several parts (a search, a submission) have been measured already?

A run that nobody watches begins anew and remembers nothing. `harness.study.parts` keeps what has
ended, so that the run can go on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel.types import RunSettings
from harness.result.result import Result


class Origin(NamedTuple):
    """How a run began; it goes on the same way."""

    folder: Path
    started_at: str  # UTC, ISO 8601
    target_qps: float | None = None  # None until the system has been warmed up
    target_qps_origin: str = ""


class Parts:
    """The parts of a run that remembers nothing."""

    origin: Origin | None = None  # of a run that goes on

    def begin(self, origin: Origin) -> Origin:
        """Hear how the run begins, before the load and once its rate is known; return how it began
        first.
        """
        return origin

    def known(self, name: str, settings: RunSettings) -> dict[str, Any] | None:
        """Return what was kept of a part with these settings; None if it must be measured."""
        return None

    def keep(self, name: str, result: Result, figures: dict[str, Any]) -> None:
        """Hear that a part has ended."""
