"""The modes of several runs, made by the official LoadGen and by ours: a submission (accuracy, then
performance) and a search for the peak. One SUT answers all runs of a case, one after the other.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from harness.kernel.log import RunLog
from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from scenarios.loadgen.find_peak import next_qps, peak_qps
from tests.loadgen_logs import (
    Case,
    Official,
    events_of,
    our_log,
    our_texts,
    summary_of,
    unequal,
)

MOST_RUNS = 24
_MOST_WITHOUT_A_MISS = 10
_STARTS = ("Starting accuracy mode", "Starting performance mode")
_NOT_SAID_ALIKE = ("requested_test_mode", "effective_test_mode", "power_begin", "power_end")


def submission_differences(official: Official, asked: Case) -> list[Any]:
    """Ours is two runs with logs of their own. Theirs is one, whose errors and samples are counted
    through, and whose clock goes on.
    """
    theirs = official(asked | {"mode": "SubmissionRun"})
    accuracy, performance = (asked | {"mode": mode} for mode in ("AccuracyOnly", "PerformanceOnly"))
    log = our_log(accuracy)
    texts = our_texts(accuracy, log)
    later = our_texts(performance, our_log(performance, len(log), log.num_queries), len(log))
    wheel, first, second = (events_of(logs[DETAIL]) for logs in (theirs, texts, later))
    errors = sum(key == "error_runtime" for key, _ in first)
    ours = _without_modes(first) + _without_modes(_counted_on(_from_start(second), errors))
    entries = [*_entries(texts[ACCURACY]), *_entries(later[ACCURACY], len(log))]
    return [
        *unequal("detail", _without_modes(wheel), ours),
        *unequal("summary", _results(theirs[SUMMARY]), _results(later[SUMMARY])),
        *unequal("accuracy", _entries(theirs[ACCURACY]), entries),
    ]


def _from_start(events: list[tuple[str, str]]) -> list[tuple[str, str]]:
    starts = [k for k, (_, value) in enumerate(events) if value.strip('"') in _STARTS]
    return events[starts[0] :]


def _without_modes(events: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [event for event in events if event[0] not in _NOT_SAID_ALIKE]


def _counted_on(events: list[tuple[str, str]], errors: int) -> list[tuple[str, str]]:
    last, count = events[-1]
    assert last == "num_errors"
    return [*events[:-1], (last, str(int(count) + errors))]


def _entries(text: str, before: int = 0) -> list[str]:
    """The answers of an accuracy log, without commas, numbered on."""
    lines = [line.rstrip(",") for line in text.splitlines() if line.startswith("{")]
    numbered = r'(?<="seq_id" : )(\d+)'
    return [re.sub(numbered, lambda found: str(int(found[0]) + before), line) for line in lines]


def _results(summary: str) -> list[str]:
    """Without the mode above and the count of errors below."""
    return [line for line in summary_of(summary)[:-1] if not line.startswith("Mode ")]


# ---- the search


class Try(NamedTuple):
    """A run at one rate."""

    qps: float
    met: bool
    texts: dict[str, str]
    log: RunLog


def our_search(asked: Case) -> list[Try]:
    """All runs of the search, by LoadGen's own word on their limits."""
    found: list[Try] = []
    samples = queries = 0
    qps: float | None = asked["settings"]["server_target_qps"]
    while qps is not None and len(found) < MOST_RUNS:
        if len(found) == _MOST_WITHOUT_A_MISS and all(row.met for row in found):
            break
        run = asked | {"settings": asked["settings"] | {"server_target_qps": qps}}
        log = our_log(run, samples, queries)
        texts = our_texts(run, log, samples)
        met = ("result_perf_constraints_met", "true") in events_of(texts[DETAIL])
        found.append(Try(qps, met, texts, log))
        samples, queries = samples + len(log), queries + log.num_queries
        qps = next_qps([(row.qps, row.met) for row in found])
    return found


def wheel_ends(search: list[Try]) -> bool:
    """Is it a search that the wheel survives? It goes on for ever if nothing fails, and crashes if
    no halving is left to do after the first miss.
    """
    met = [row.met for row in search]
    if not met[0]:
        return True
    return False in met and met.index(False) < len(met) - 1 and len(met) < MOST_RUNS


def search_differences(official: Official, asked: Case, search: list[Try]) -> list[Any]:
    """Compare every rate, and the report of the best run (what stands above its results is the
    base run's).
    """
    theirs = official(asked | {"mode": "FindPeakPerformance"})
    peak = peak_qps([(row.qps, row.met) for row in search])
    best = next(row for row in search if row.qps == (peak or search[0].qps))
    wheel, ours = events_of(theirs[DETAIL]), events_of(best.texts[DETAIL])
    each = (_values(events_of(row.texts[DETAIL]), "generated_") for row in search)
    generated = [event for events in each for event in events]
    return [
        *unequal("generated", _values(wheel, "generated_"), generated),
        *unequal("results", _values(wheel, *_RESULTS), _values(ours, *_RESULTS)),
        *unequal("summary", _results(theirs[SUMMARY]), _results(best.texts[SUMMARY])),
    ]


_RESULTS = ("result_", "early_stopping_")


def _values(events: list[tuple[str, str]], *beginnings: str) -> list[tuple[str, str]]:
    return [event for event in events if event[0].startswith(beginnings)]
