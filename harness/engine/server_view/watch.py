"""One server, watched beside a run: what it says (/metrics) and what its processes here use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.engine.server_view.processes import Family, listening
from harness.engine.server_view.scrape import Scraper


class Watch:
    """`where` is `harness.kernel.answers.Scrape.shown`."""

    def __init__(self, where: Mapping[str, Any]) -> None:
        self._scraper = Scraper(where)
        self._family = Family(listening(where["host"], where["port"]))

    def sample(self) -> dict[str, Any]:
        """Return what is new since the last time."""
        return self._scraper.take() | (self._family.sample() if self._family else {})

    def finish(self) -> None:
        """Ask a last time, for the last row."""
        self._scraper.finish()
