"""What did the run measure? Latencies, rates and counts of a log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

import scenarios
from harness.kernel.entries import ALL_EVIDENCE, Evidence
from harness.kernel.log import RunLog
from harness.kernel.stats import summary_ms
from harness.kernel.types import RunSettings

Row = dict[str, float | int | None]


def latency(log: RunLog, percents: Sequence[float] = ()) -> dict[str, Row]:
    """Summarise the latencies. TTFT and latency count from `due`; TPOT is as MLPerf has it; ITL are
    the gaps between tokens of one sample.
    """
    ok = log.completed
    return {
        "ttft_ms": summary_ms(log.ttft_ns[ok & (log.first_ns >= 0)], percents),
        "tpot_ms": summary_ms(log.tpot_ns, percents),
        "itl_ms": summary_ms(gaps_ns(log), percents),
        "latency_ms": summary_ms(log.latency_ns[ok], percents),
        "issue_lag_ms": summary_ms(log.issue_lag_ns, percents),
    }


def span_ns(log: RunLog) -> int:
    """Return the timed span: from the start to the last completion."""
    return int(log.done_ns[log.completed].max(initial=0))


def driver_error(log: RunLog, percents: Sequence[float] = ()) -> dict[str, Row]:
    """Return by how much the driver's own delays raised each statistic of a latency (negative:
    lowered it), in milliseconds; nothing where they are not known.
    """
    without = log.without_delays()
    if without is None:
        return {}
    measured, ideal = latency(log, percents), latency(without, percents)
    del measured["issue_lag_ms"]  # it is the driver's own
    return {name: _difference(row, ideal[name]) for name, row in measured.items()}


def _difference(row: Row, without: Row) -> Row:
    """Return `row` less `without`, statistic by statistic; n stays."""
    found: Row = {}
    for name, value in row.items():
        other = without[name]
        found[name] = value
        if value is not None and other is not None and name != "n":
            found[name] = value - other
    return found


def gaps_ns(log: RunLog) -> Any:
    """Return the gaps between neighbouring tokens of completed samples, pooled; tokens of one chunk
    are 0 apart. Answers that came whole have none.
    """
    streamed = log.completed & ~log.came_whole
    owner = np.repeat(np.arange(len(log)), np.diff(log.stamp_start))
    return np.diff(log.stamp_ns)[(owner[1:] == owner[:-1]) & streamed[owner[1:]]]


def throughput(
    log: RunLog, settings: RunSettings, evidence: Collection[Evidence] = ALL_EVIDENCE
) -> dict[str, float | None]:
    """Return rates from the start to the last completion; scheduled (open loops only): LoadGen's
    (n - 1) over the last due time. A SUT whose evidence is text alone has no rate of tokens.
    """
    ok = log.completed
    done_s = float(log.done_ns[ok].max(initial=0)) / 1e9
    due_s = float(log.due_ns.max(initial=0)) / 1e9
    has_tokens = evidence != {"text"}
    is_open = scenarios.entry_of(settings).is_open
    whole_queries = log.num_queries - len(np.unique(log.query_id[~ok]))
    return {
        "samples_per_s": float(ok.sum()) / done_s if done_s else None,
        "queries_per_s": whole_queries / done_s if done_s else None,
        "tokens_per_s": float(log.tokens[ok].sum()) / done_s if done_s and has_tokens else None,
        "scheduled_samples_per_s": (len(log) - 1) / due_s if due_s and is_open else None,
        "duration_s": done_s,
    }


def counts(log: RunLog) -> dict[str, int]:
    tokens = log.tokens[log.completed]
    return {
        "queries": log.num_queries,
        "samples": len(log),
        "completed": int(log.completed.sum()),
        "failed": int((log.finish == 4).sum()),
        "timed_out": sum(log.timed_out.values()),  # among the failed
        "unfinished": int((log.done_ns < 0).sum()),
        "tokens": int(tokens.sum()),
        "single_token_samples": int((tokens == 1).sum()),  # TPOT is undefined for them
    }
