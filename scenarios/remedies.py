"""Which knob helps? A remedy for each condition that can fail, in the situation in which it did.

An unfinished run (interrupted, broken, with lost samples) must be finished first, whatever else it
misses. One that ended by itself was stopped by a maximum, ran out of its plan, or was planned too
small; where a figure follows from what was seen, the remedy names it.
"""

from __future__ import annotations

import math

import scenarios
from harness.kernel.log import RunLog
from harness.kernel.types import RunSettings
from harness.kernel.words.endings import to_finish
from scenarios.early_stopping import queries_needed
from scenarios.loads import load_of

_EACH_ONCE = "leave --issue unique out: its plan has each sample once"
_MANY_TIMES = 100  # so much longer a run is no advice
_TURNS = 200  # a share that takes more to bound is too close to the limit


def for_duration(log: RunLog, settings: RunSettings, reached_ns: int, planned: int | None) -> str:
    """Advise on a run that was too short. `planned`: as much as was issued of what the expected
    rate sizes; None where the rate is no expectation.
    """
    if words := unfinished(log, settings):
        return words
    if settings.issue == "unique":
        return _EACH_ONCE
    if longer := load_of(settings.load).longer:
        return longer
    if planned is None:
        return f"raise --min-queries, or {load_of(settings.load).slower}"
    rate = _round_up(planned / (reached_ns / 1e9)) if reached_ns else 2 * settings.target_qps
    rate = max(rate, settings.target_qps)
    return f"raise --target-qps (the expected rate) to {rate:g}, so that more is planned"


def for_queries(log: RunLog, settings: RunSettings) -> str:
    """Advise where too few queries were issued, or too few samples came back."""
    if words := unfinished(log, settings):
        return words
    if settings.issue == "unique":
        return f"{_EACH_ONCE}; or lower --min-queries"
    if longer := load_of(settings.load).longer:
        return longer
    return "see why the run ended early"


def for_tail(log: RunLog, settings: RunSettings) -> str:
    """Advise on a tail above its limit. A system that hung may be the reason."""
    return to_finish(log) if log.timed_out else _slower(settings)


def _slower(settings: RunSettings) -> str:
    return f"{load_of(settings.load).slower}, or use a faster variant"


def for_certainty(log: RunLog, settings: RunSettings, needed: int | None) -> str:
    """Advise where there are too few queries to be sure of a tail; `needed` would be enough, None
    if no number would.
    """
    if words := unfinished(log, settings):
        return words
    if needed is None:
        return _slower(settings)
    if longer := load_of(settings.load).longer:
        return longer
    if settings.issue == "unique":
        return f"{_EACH_ONCE}; then raise --min-queries to {needed}"
    return f"raise --min-queries to {needed}"


def queries_for_share(over: int, n: int, p: float) -> int | None:
    """Return how many queries would bound the percentile if about as large a share of them were
    over the limit (one standard error more, if that can be bounded); None if no reasonable number
    would.
    """
    share = over / n if n else 0.0
    cautious = (over + math.sqrt(over)) / n if n else 0.0
    most = _MANY_TIMES * max(n, queries_needed(over, p))
    return _enough_for(cautious, over, p, most) or _enough_for(share, over, p, most)


def _enough_for(share: float, over: int, p: float, most: int) -> int | None:
    needed = queries_needed(over, p)
    for _ in range(_TURNS):
        if needed > most:
            return None
        more = queries_needed(math.ceil(share * needed), p)
        if more <= needed:
            return needed
        needed = more
    return None


def for_lag(settings: RunSettings) -> str:
    """Advise where the driver fell behind. Only in an open loop does the rate decide when it
    issues.
    """
    less = f", or {load_of(settings.load).slower}" if scenarios.entry_of(settings).is_open else ""
    return f"free a core for the driver{less}"


def unfinished(log: RunLog, settings: RunSettings) -> str:
    """Say what would let the run go on to the end of its plan; empty if it did."""
    if words := to_finish(log):
        return words
    if not len(log) or settings.mode == "accuracy":
        return ""
    if settings.max_queries is not None and log.num_queries >= settings.max_queries:
        return "raise --max-queries, which stopped the run"
    if settings.max_duration_ns is not None and log.issued_ns[-1] > settings.max_duration_ns:
        return "raise --max-duration, which stopped the run"
    return ""


def _round_up(rate: float) -> float:
    """Round to three digits, never down."""
    scale = 10.0 ** (math.floor(math.log10(rate)) - 2)
    return math.ceil(rate / scale) * scale
