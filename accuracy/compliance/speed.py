"""Was the audited run as fast as the audit's own run of the same load? A SUT that sees that it is
audited may behave there; then it is slower than it was.

The bounds are those of MLPerf's verify_performance.py (TEST01): the audit's run is within 10 % of
the run's speed, 20 % in a closed loop so fast that timing noise counts. That script compares the
scenario's own figure, which for the server scenario is the rate at which queries are sent; so here
each sample's time per token is compared, and its first token. Offline all wait in one queue, and
the tokens per second of two runs of one size are.

A slower audit is a FAIL if chance does not explain it. One that is faster is UNDECIDED: the machine
was in another state, so that nothing can be said about it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy.compliance.answers import SIGNIFICANCE
from accuracy.compliance.audited import Audited
from accuracy.compliance.caching import most_faster, pace, per_token_ns
from harness.kernel.types import Verdict

_SLOWER = "let the system do the same whoever asks; if it does, run both on an idle machine"
_FASTER = "run both on an idle machine, one after the other"
_LEAST = 8  # samples of each run


def same_speed(run: Audited, again: Audited, name: str) -> list[Verdict]:
    """Compare a run with one of the same load that the audit made (`name` says in which look)."""
    rules = f"SPEED {name}_per_token", f"SPEED {name}_ttft"
    if run.pattern.is_at_once:
        return [_offline(rules[0], run, again)]
    times = per_token_ns(run)[run.log.completed], per_token_ns(again)[again.log.completed]
    found = [_judged(rules[0], *times, run, "a token")]
    firsts = [one.log.ttft_ns[one.log.completed & (one.log.first_ns >= 0)] for one in (run, again)]
    if min(map(len, firsts)) >= _LEAST:
        found.append(_judged(rules[1], firsts[0], firsts[1], run, "to the first token"))
    return found


def _judged(
    rule: str, ours: NDArray[Any], theirs: NDArray[Any], run: Audited, unit: str
) -> Verdict:
    """Compare the medians of two sets of times, those of the run and those of the audit's."""
    if min(len(ours), len(theirs)) < _LEAST:
        words = f"{len(ours)} and {len(theirs)} samples; it takes {_LEAST} of each to tell"
        return Verdict(rule, "SKIPPED", detail=words)
    mine_ns, other_ns = float(np.median(ours)), float(np.median(theirs))
    detail = f"the run {mine_ns / 1e6:.4g} ms {unit}, the audit's {other_ns / 1e6:.4g} ms (medians)"
    speed = mine_ns / max(other_ns, 1.0)
    return _verdict(rule, speed, most_faster(run), detail, _by_chance(ours, theirs))


def _offline(rule: str, run: Audited, again: Audited) -> Verdict:
    if len(run.log) != len(again.log):
        words = f"the run had {len(run.log)} samples, the audit's {len(again.log)}: offline, the"
        todo = "--speed makes a run of the same size"
        return Verdict(rule, "SKIPPED", detail=f"{words} size decides the speed", remedy=todo)
    mine, other = pace(run)[0], pace(again)[0]
    detail = f"the run {mine:.4g} tokens/s, the audit's {other:.4g}"
    return _verdict(rule, other / mine if mine else 0.0, most_faster(run), detail, by_chance=False)


def _verdict(rule: str, speed: float, most: float, detail: str, by_chance: bool) -> Verdict:
    """Judge how many times as fast the audit's run was."""
    found = Verdict(rule, "PASS", speed, 1 / most if speed < 1 else most, "x as fast", detail)
    if 1 / most <= speed <= most or by_chance:
        return found
    if speed > most:
        return replace(found, status="UNDECIDED", remedy=_FASTER)
    return replace(found, status="FAIL", remedy=_SLOWER)


def _by_chance(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    """Say whether chance may have made one of them slower (Mann and Whitney's test)."""
    from scipy.stats import mannwhitneyu

    return bool(mannwhitneyu(ours, theirs).pvalue >= SIGNIFICANCE)
