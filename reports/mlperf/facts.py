"""What do LoadGen's logs tell of a run? The values, under LoadGen's names; `mlperf_logs` makes the
files of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Lines = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Header:
    """Who ran what, and when."""

    run_id: str
    version: str
    sut_name: str
    qsl_name: str
    total_count: int
    performance_count: int
    started_at: str  # ISO 8601: when the clock started
    git_commit: str = "NA"


@dataclass(frozen=True, slots=True)
class Settings:
    """Return LoadGen's names for the settings, each with its value, in its order."""

    requested: Lines
    effective: Lines
    parameters: Lines  # the last block of the summary


class Generated(Protocol):
    """One loaded set and what was generated from it."""

    @property
    def loaded(self) -> Sequence[int]: ...
    @property
    def query_count(self) -> int: ...
    @property
    def samples_per_query(self) -> int: ...
    @property
    def duration_ns(self) -> int: ...


class Message(Protocol):
    """A line that is no result: why the run ended, what was wrong with a sample."""

    @property
    def at_ns(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def is_error(self) -> bool: ...
    @property
    def sample_id(self) -> int | None: ...


class Results(Protocol):
    """What LoadGen would say of the run (`scenarios.loadgen.results`)."""

    @property
    def lines(self) -> Lines: ...
    @property
    def recommendations(self) -> tuple[str, ...]: ...
    @property
    def early_stopping(self) -> Mapping[str, str]: ...
    @property
    def percentile(self) -> float: ...
    @property
    def tail_ns(self) -> int | None: ...
    @property
    def first_token_tail_ns(self) -> int | None: ...
    @property
    def tokens_per_s_alone(self) -> float | None: ...
    @property
    def messages(self) -> Sequence[Message]: ...
    @property
    def errors(self) -> tuple[str, ...]: ...
