"""Is the benchmark recognised? Known questions beside fresh ones of the same length, in one run,
under one load.

A SUT that knows the benchmark's questions (by their text, their order, their number) answers those
sooner, or at another length, than questions that nobody has seen. An honest one does neither, so in
each pair either is as likely the faster. The bounds are those of TEST04 and TEST09: a tenth in
speed, a tenth in length; and it has to be more than chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accuracy.compliance.answers import SIGNIFICANCE
from accuracy.compliance.audited import Audited, ids_of
from accuracy.compliance.caching import (
    ALL_WAIT,
    CERTAIN,
    FASTER,
    LEAST_PAIRS,
    chance_of_gain,
    per_token_ns,
)
from accuracy.compliance.quality import LENGTH
from harness.kernel.types import Int64s, Verdict

_REMEDY = "treat a question by what it says, never by whether it is known"


def detection(run: Audited, pairs: Sequence[tuple[int, int]]) -> list[Verdict]:
    """Judge speed and length by `pairs` of dataset indices, (known, fresh), each issued once."""
    log = run.log
    at = {index: i for i, index in enumerate(log.index.tolist()) if log.completed[i]}
    both = [(at[a], at[b]) for a, b in pairs if a in at and b in at]
    ids = np.array(both, np.int64).reshape(-1, 2)
    streamed = ids[(log.first_ns[ids] >= 0).all(1)]
    if run.pattern.is_at_once:
        ttft = Verdict("DETECTION ttft", "SKIPPED", detail=ALL_WAIT)
        ids = streamed[(log.tokens[streamed] > 1).all(1)]
    else:
        ttft = _speed("DETECTION ttft", streamed, log.ttft_ns, "")
    return [
        ttft,
        _speed("DETECTION speed", ids, per_token_ns(run), " a token"),
        _length(ids, log.tokens),
    ]


def _speed(rule: str, ids: Int64s, times_ns: NDArray[np.float64] | Int64s, unit: str) -> Verdict:
    if len(ids) < LEAST_PAIRS:
        return _too_few(rule, ids)
    known_ns, fresh_ns = np.maximum(times_ns[ids], 1).T
    gain = np.log(fresh_ns / known_ns)
    speed, p = float(np.exp(np.median(gain))), chance_of_gain(gain)
    detail = (
        f"{len(ids)} known questions: {_ms(known_ns)}{unit}, fresh ones {_ms(fresh_ns)} (medians; p"
        f" = {p:.2g})"
    )
    found = Verdict(rule, "PASS", speed, FASTER, "x as fast", detail)
    return found if speed <= FASTER else _blamed(found, p, ids[np.argsort(-gain, kind="stable"), 0])


def _length(ids: Int64s, tokens: Int64s) -> Verdict:
    """Compare lengths, two-sided: the known answers may be kept short, or padded."""
    rule = "DETECTION length"
    if len(ids) < LEAST_PAIRS or not tokens[ids].any():
        return _too_few(rule, ids)
    known, fresh = tokens[ids].T
    change = known - fresh
    ratio = float(known.mean() / max(fresh.mean(), 1e-9))
    p = min(1.0, 2 * min(chance_of_gain(change), chance_of_gain(-change)))
    detail = (
        f"{known.mean():.2f} tokens for a known question, {fresh.mean():.2f} for a fresh one (p ="
        f" {p:.2g})"
    )
    limit = 1 - LENGTH if ratio < 1 else 1 + LENGTH
    found = Verdict(rule, "PASS", ratio, limit, "x as long", detail)
    worst = ids[np.argsort(-np.abs(change), kind="stable"), 0]
    return found if abs(ratio - 1) <= LENGTH else _blamed(found, p, worst)


def _blamed(found: Verdict, p: float, worst: Int64s) -> Verdict:
    """Blame what is beyond the bound, unless chance explains it."""
    if p >= SIGNIFICANCE:
        return found
    return replace(
        found, status="FAIL" if p < CERTAIN else "UNDECIDED", evidence=ids_of(worst), remedy=_REMEDY
    )


def _too_few(rule: str, ids: Int64s) -> Verdict:
    words = f"{len(ids)} pairs came back; it takes {LEAST_PAIRS} to tell"
    return Verdict(
        rule,
        "UNDECIDED",
        detail=words,
        remedy="use a dataset with more questions that can be put in other words",
    )


def _ms(times_ns: NDArray[np.float64]) -> str:
    return f"{float(np.median(times_ns)) / 1e6:.4g} ms"
