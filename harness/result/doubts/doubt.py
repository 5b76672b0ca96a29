"""What makes a result shaky, and what is there to do? One doubt, and what it is judged by.

A doubt is no verdict: a run may be VALID by every rule, and its p99 still be the word of four
samples. Each has a name, figures, a sentence and a remedy, and names the figures that it is about,
so that a comparison or a decision can carry it on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from harness.kernel.log import RunLog
from harness.kernel.types import RunSettings, Verdict

Severity = Literal["serious", "minor"]


class Doubt(NamedTuple):
    """`about` are names of figures (`ttft_p99_ms`), none where it is about all of them; `figures`
    are what it rests on, with units in their names.
    """

    name: str
    severity: Severity
    words: str
    remedy: str
    about: tuple[str, ...] = ()
    figures: Mapping[str, float] = {}

    def to_json(self) -> dict[str, Any]:
        return {**self._asdict(), "about": list(self.about), "figures": dict(self.figures)}


class Known(NamedTuple):
    """What a run tells. Parts of result.json are empty where they are not known."""

    log: RunLog
    settings: RunSettings
    is_open: bool = False  # the scenario's: queries come on their own
    is_at_once: bool = False  # everything is issued at the start
    verdicts: Sequence[Verdict] = ()
    load: Mapping[str, Any] = {}
    gpus: Sequence[Mapping[str, Any]] = ()
    served: Mapping[str, Any] = {}
    steady: Mapping[str, Any] = {}
