"""TEST04: is no answer kept for the next time? A repeat must take its time, as the first issue did.

The bound is TEST04's: a repeat may be 1.1 times as fast (1.2 where a sample takes less than the
noise of its timing), for what is honest makes some difference: warm memory, a batch that happens to
be smaller. It must also be more than chance.

Offline all wait in one queue, and no two moments can be compared, so two runs of one size are: each
question once, and a quarter of them four times. That quarter may have shorter answers, which is
worth something in a batch. Who keeps answers is 4 times as fast at best, and 1.6 times if half of
the repeats find theirs: between 1.1 and SURELY_KEPT it is UNDECIDED.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy.compliance.answers import SIGNIFICANCE, repeats
from accuracy.compliance.audited import Audited, command, ids_of, needs
from accuracy.compliance.quality import LENGTH
from harness.kernel.log import RunLog
from harness.kernel.stats import percentile
from harness.kernel.types import Int64s, Status, Verdict

FASTER, FASTER_SHORT = 1.1, 1.2  # a repeated sample may be so many times as fast
SURELY_KEPT = 1.5  # offline, between two runs
CERTAIN = 0.001  # the chance of blaming it for caching; between the two it is UNDECIDED
_SHORT_NS, _SHORT_QUERY_NS = 200_000, 1_600_000  # up to here timing noise earns FASTER_SHORT
LEAST_PAIRS = 7  # 2^-7 < SIGNIFICANCE: with fewer, not even the clearest case is significant
_BESIDE = 8  # samples issued so close to one another meet the same load
ALL_WAIT = "offline, the first token waits for all before it"
_KEEP_NOTHING = "switch off the caching of answers, prompts and key-value blocks between queries"

# ---- TEST04: no answer is kept for the next time


def test04(run: Audited, same: Audited | None) -> list[Verdict]:
    """Judge repeats. The official test needs a second run, of a sample that all know; repeats
    within the run tell of every sample.
    """
    return [_same_sample(run, same), *repeats_no_faster(run, "TEST04 ")]


def repeats_no_faster(run: Audited, prefix: str) -> list[Verdict]:
    """Compare repeats with first issues by the first token, and by the time per token."""
    log = run.log
    pairs = _side_by_side(log)
    streamed = pairs[(log.first_ns[pairs] >= 0).all(1)]
    if run.pattern.is_at_once:  # only what follows the first token is a sample's own
        ttft = Verdict(f"{prefix}repeats_ttft", "SKIPPED", detail=ALL_WAIT)
        pairs = streamed[(log.tokens[streamed] > 1).all(1)]
    else:
        ttft = _repeats_no_faster(run, f"{prefix}repeats_ttft", streamed, log.ttft_ns)
    return [ttft, _repeats_no_faster(run, f"{prefix}repeats_latency", pairs, per_token_ns(run))]


def per_token_ns(run: Audited) -> NDArray[Any]:
    """Return each sample's time per token (n,): offline, what follows its first token alone is its
    own.
    """
    log, tokens = run.log, np.maximum(run.log.tokens, 1)
    if run.pattern.is_at_once:
        return np.asarray((log.done_ns - log.first_ns) / np.maximum(tokens - 1, 1))
    return np.asarray(log.latency_ns / tokens)


def _side_by_side(log: RunLog) -> Int64s:
    """Return ids (k, 2): a first issue of some question, and beside it (at most _BESIDE away) a
    repeat of some other.

    Beside it, because the load of the moment decides latency: an honest server is faster, or
    slower, an hour later. Each sample stands in one pair. In an honest run either of a pair is as
    likely the faster one.
    """
    fresh = log.completed.copy()
    _, again = repeats(log)
    fresh[again] = False
    alone, pairs = again.tolist(), []
    # the nearest first; before and after by turns, so that a trend cancels
    for k in range(1, _BESIDE + 1):
        for turn in (0, 1):
            left = []
            for i in alone:
                j = i + k if (i + turn) % 2 else i - k
                if 0 <= j < len(log) and fresh[j]:
                    fresh[j] = False
                    pairs.append((j, i))
                else:
                    left.append(i)
            alone = left
    return np.array(pairs, np.int64).reshape(-1, 2)


def _repeats_no_faster(run: Audited, rule: str, pairs: Int64s, times_ns: NDArray[Any]) -> Verdict:
    """Apply Wilcoxon's signed ranks to log(first issue / repeat). To count, a gain is significant
    and beyond TEST04's margin.
    """
    n, limit = len(pairs), most_faster(run)
    if run.kind in ("accuracy", "same") or n < LEAST_PAIRS:
        words = f"{n} repeats have a first issue of another question beside them"
        words += f"; it takes {LEAST_PAIRS} to tell"
        return replace(needs(run, rule, "same"), detail=words)
    fresh_ns, again_ns = np.maximum(times_ns[pairs], 1).T
    gain = np.log(fresh_ns / again_ns)
    speed, p = float(np.exp(np.median(gain))), chance_of_gain(gain)
    unit = " a token" if rule.endswith("latency") else ""
    detail = (
        f"{n} repeats: {_ms(again_ns)}{unit}, first issues beside them {_ms(fresh_ns)} (medians; p"
        f" = {p:.2g})"
    )
    found = Verdict(rule, "PASS", speed, limit, "x as fast", detail)
    if speed <= limit or p >= SIGNIFICANCE:
        return found
    found = replace(found, evidence=ids_of(pairs[np.argsort(-gain, kind="stable"), 1]))
    if p < CERTAIN:
        return replace(found, status="FAIL", remedy=_KEEP_NOTHING)
    return replace(found, status="UNDECIDED", remedy=command(run, "same"))


def chance_of_gain(gain: NDArray[Any]) -> float:
    """Return the chance of such gains, or more, if repeats are no faster."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(gain, alternative="greater").pvalue) if gain.any() else 1.0


def _ms(times_ns: NDArray[Any]) -> str:
    return f"{float(np.median(times_ns)) / 1e6:.4g} ms"


def repeated_run_no_faster(distinct: Audited, repeated: Audited) -> Verdict:
    """Compare two offline runs of one size: each question once, and few questions several times."""
    rule, (rate, _), (again_rate, _) = "CACHING throughput", pace(distinct), pace(repeated)
    if not rate or not again_rate:
        return Verdict(rule, "UNDECIDED", detail="one of the runs completed nothing")
    speed, times = again_rate / rate, len(repeated.log) / max(len(np.unique(repeated.log.index)), 1)
    detail = (
        f"{again_rate:.4g} tokens/s with each question {times:.3g} times, {rate:.4g} with each once"
    )
    found = Verdict(rule, "PASS", speed, FASTER, "x as fast", detail)
    if speed <= FASTER:
        return found
    status: Status = "FAIL" if speed > SURELY_KEPT else "UNDECIDED"
    return replace(found, status=status, remedy=_KEEP_NOTHING)


def _same_sample(run: Audited, same: Audited | None) -> Verdict:
    """Say whether one sample again and again is faster than the mix, per token. Only tells if its
    answer is about as long.
    """
    rule = "TEST04 same_sample"
    if same is None:
        return needs(run, rule, "same")
    (mix_rate, mix_length), (rate, length) = pace(run), pace(same)
    if not mix_rate or not rate:
        words = "one of the runs completed nothing"
        return Verdict(rule, "SKIPPED", detail=words, remedy=command(run, "same"))
    speed, limit = rate / mix_rate, most_faster(run)
    detail = f"{rate:.4g} tokens/s repeating one sample, {mix_rate:.4g} in the mix"
    found = Verdict(rule, "PASS" if speed <= limit else "FAIL", speed, limit, "x as fast", detail)
    if abs(length - mix_length) > LENGTH * mix_length:
        detail += f"; its answer has {length:.1f} tokens, the mix {mix_length:.1f}"
        detail += ": too far apart to compare"
        todo = "repeat another sample (--same-index)"
        return replace(found, status="UNDECIDED", detail=detail, remedy=todo)
    return replace(found, remedy=_KEEP_NOTHING) if found.status == "FAIL" else found


def pace(run: Audited) -> tuple[float, float]:
    """Return tokens per second and tokens per sample: offline of the whole run, else of the time
    that samples took.
    """
    log, ok = run.log, run.log.completed
    tokens = np.maximum(log.tokens[ok], 1)
    if not len(tokens):
        return 0.0, 0.0
    took_ns = log.done_ns[ok].max() if run.pattern.is_at_once else log.latency_ns[ok].sum()
    return float(tokens.sum() / max(took_ns, 1) * 1e9), float(tokens.mean())


def most_faster(run: Audited) -> float:
    """Return 1.1, or 1.2 in a closed loop so fast that timing noise counts."""
    latency_ns = percentile(run.log.latency_ns[run.log.completed], run.settings.percentile)
    short_ns = _SHORT_QUERY_NS if run.pattern.sized_by_user else _SHORT_NS
    if run.pattern.is_closed and latency_ns is not None and latency_ns <= short_ns:
        return FASTER_SHORT
    return FASTER
