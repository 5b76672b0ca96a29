"""What LoadGen complains of while it runs: why issuing ended, and samples that were told wrongly.

Its own words, with the sample behind them. Samples that failed or never came have words of ours:
LoadGen would still wait for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.kernel.log import RunLog
from harness.kernel.types import RunSettings
from scenarios.loadgen.settings import effective

_NATURAL = "Ending naturally: Minimum query count and test duration met."
_RAN_OUT = (
    "Ending early: Ran out of generated queries to issue before the minimum query count and test"
    " duration were reached. Please update the relevant expected latency or target qps in the"
    " TestSettings so they are more accurate."
)
_THREAD = "IssueQueryThread 0 Ending early:"
_NEGATIVE = "Attempted to record a negative number of tokens"
_NO_TOKENS = "n_tokens argument missing or attempted to record 0 as number of tokens"
_ONE_TOKEN = "Number of tokens need to be greater than 1"
_NO_FIRST = "Attempted to record a sample latency before it's first token latency"
_TWICE = "Attempted to complete a sample twice."


@dataclass(frozen=True, slots=True)
class Message:
    """A line of the detail log that is no result: when it came, and which sample it is about."""

    at_ns: int
    text: str
    is_error: bool = True
    sample_id: int | None = None


def messages(log: RunLog, settings: RunSettings) -> tuple[Message, ...]:
    """Return all messages of a run, in the order of time."""
    found = [*_lost(log), *_completed_twice(log), *_ending(log, settings)]
    if settings.use_tokens:
        found += _told_wrongly(log, settings)
    return tuple(sorted(found, key=lambda message: message.at_ns))


def _ending(log: RunLog, settings: RunSettings) -> list[Message]:
    """Say why issuing stopped; an accuracy run ends when everything is issued."""
    if log.end != "completed":
        return [Message(_last_ns(log), f"Ending early: {log.end_reason or log.end}")]
    if settings.mode == "accuracy" or not len(log):
        return []
    e, queries, issued_ns = effective(settings), log.num_queries, int(log.issued_ns[-1])
    least_ns = 0 if e.scenario == "Offline" else settings.min_duration_ns
    if e.scenario != "Server" and queries >= e.min_query_count and issued_ns >= least_ns:
        return [Message(issued_ns, _NATURAL, is_error=False)]
    if settings.max_queries and queries >= settings.max_queries:
        return [Message(issued_ns, f"{_THREAD} Max query count reached. query_count {queries}")]
    if settings.max_duration_ns and issued_ns > settings.max_duration_ns:
        return [Message(issued_ns, f"{_THREAD} Max test duration reached. duration_ns {issued_ns}")]
    return [] if e.scenario == "Server" else [Message(issued_ns, _RAN_OUT)]


def _lost(log: RunLog) -> Iterator[Message]:
    for i in np.flatnonzero(~log.completed).tolist():
        why = log.errors.get(i) or log.end_reason or "no completion"
        yield Message(_last_ns(log), f"sample {i} did not complete: {why}", sample_id=i)


def _completed_twice(log: RunLog) -> Iterator[Message]:
    late = (note for note in log.anomalies if note.kind == "after_completion")
    for i in sorted({note.sample_id for note in late if note.detail.startswith("complete")}):
        yield Message(int(log.done_ns[i]), f"{_TWICE} (sample {i})", sample_id=i)


def _told_wrongly(log: RunLog, settings: RunSettings) -> Iterator[Message]:
    """Return samples without a first token, without any, or with one alone."""
    order = log.completion_order[log.completed[log.completion_order]]
    said = log.tokens_as_reported[order]
    no_first = (log.first_ns[order] < 0) & (settings.scenario != "offline")
    for k in np.flatnonzero((said <= 1) | no_first).tolist():
        i, at_ns = int(order[k]), int(log.done_ns[order[k]])
        if no_first[k]:
            yield Message(at_ns, f"{_NO_FIRST} (sample {i})", sample_id=i)
        if said[k] <= 1:
            text = {0: _NO_TOKENS, 1: _ONE_TOKEN}.get(int(said[k]), _NEGATIVE)
            yield Message(at_ns, f"{text} (sample {i})", sample_id=i)


def _last_ns(log: RunLog) -> int:
    return int(log.done_ns.max(initial=0))
