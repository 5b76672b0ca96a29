"""What became of LoadGen's configuration files, in sentences: how many of a file's lines apply to
the run, and why the others do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

_KINDS = {"mlperf": "an mlperf.conf", "user": "a user.conf", "audit": "an audit.config"}
_NAMED = 6  # lines of a file that are named one by one; of an mlperf.conf none are


class Idle(Protocol):
    """Describe a line that applies to nothing."""

    @property
    def number(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def other(self) -> str: ...


class File(Protocol):
    """Describe a file that was read."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def scenario(self) -> str: ...
    @property
    def lines(self) -> int: ...
    @property
    def applied(self) -> int: ...
    @property
    def idle(self) -> Sequence[Idle]: ...


def sentences(files: Sequence[File]) -> list[str]:
    """Return a line per file, then one for each line of it that applies to nothing."""
    told = [sentence for file in files for sentence in _of(file)]
    if [file.kind for file in files].count("user") > 1:
        told.append("several user.conf files: LoadGen reads one, and no submission may have more")
    return told


def _of(file: File) -> Iterator[str]:
    read_as = f"read as {_KINDS[file.kind]}, model {file.model}, {file.scenario}"
    yield f"{file.name}: {file.applied} of {file.lines} lines apply to this run ({read_as})"
    if not file.idle:
        return
    if file.kind == "mlperf" or len(file.idle) > _NAMED:
        yield f"  {len(file.idle)} do not: {_summed_up(file)}"
        return
    for line in file.idle:
        yield f"  line {line.number} does not, {line.text}: {_why(line, file)}"


def _why(line: Idle, file: File) -> str:
    if line.reason == "unknown_model":
        guess = f"; did you mean {line.other}?" if line.other else ""
        return f"LoadGen has no such model{guess}"
    if line.reason == "other_model" and file.model == "*" and not line.detail:
        return "a line of one model, and this run has none (--conf-model)"
    words = {
        "other_model": "a line of another model",
        "other_scenario": "a line of another scenario",
        "overridden": f"{line.other} is more specific, or comes later",
        "later_file": f"{line.other} sets it too",
        "not_read": "it is not read",
    }
    return line.detail or words[line.reason]


def _summed_up(file: File) -> str:
    words = {
        "other_model": "of other models",
        "unknown_model": "of models that LoadGen does not have",
        "other_scenario": "of other scenarios",
        "overridden": "overridden by more specific or later lines",
        "later_file": "set again by a later file",
        "not_read": "not read in this run",
    }
    reasons = [line.reason for line in file.idle]
    return ", ".join(
        f"{reasons.count(reason)} {text}" for reason, text in words.items() if reason in reasons
    )
