"""LoadGen's early stopping of a run: was it long enough to trust the tail? With LoadGen's texts.

In token mode TPOT is looked at first and TTFT only if TPOT passed, as LoadGen joins them with `&&`;
the estimates of the last look are those that it reports.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.kernel.types import Int64s
from scenarios.early_stopping import estimate_rank, queries_needed
from scenarios.loadgen.figures import Figures

_STREAM_PERCENTILE = 0.99  # SingleStream's second estimate, from which multi-stream may be inferred


@dataclass(frozen=True, slots=True)
class Early:
    met: bool
    texts: dict[str, str]  # by figure: "", or "TTFT " and "TPOT "
    ss_ns: int = 0  # early_stopping_latency_ss
    ms_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Look:
    """At one figure; an estimate is None if there is none."""

    met: bool
    text: str
    ss_ns: int | None = None
    ms_ns: int | None = None


def early_stopping(f: Figures) -> Early:
    if not f.settings.use_tokens:
        only = _look(f, f.latency_ns, f.e.target_latency_ns)
        return _early({"": only}, only)
    tpot = _look(f, f.tpot_ns, f.settings.tpot_limit_ns)
    if not tpot.met:
        return _early({"TTFT ": _Look(False, ""), "TPOT ": tpot}, tpot)
    ttft = _look(f, f.ttft_ns, f.settings.ttft_limit_ns)
    return _early({"TTFT ": ttft, "TPOT ": tpot}, tpot, ttft)


def _early(looks: dict[str, _Look], *in_order: _Look) -> Early:
    """Join what was looked at; the last estimate wins."""
    ss_ns = [look.ss_ns for look in in_order if look.ss_ns is not None]
    ms_ns = [look.ms_ns for look in in_order if look.ms_ns is not None]
    return Early(
        met=all(look.met for look in in_order),
        texts={name: look.text for name, look in looks.items()},
        ss_ns=ss_ns[-1] if ss_ns else 0,
        ms_ns=ms_ns[-1] if ms_ns else 0,
    )


def _look(f: Figures, values_ns: Int64s, limit_ns: int) -> _Look:
    p = f.e.target_latency_percentile
    if f.e.scenario == "Offline":
        return _Look(True, "")
    if f.e.scenario == "Server":
        return _enough(values_ns, limit_ns, p)
    if f.e.scenario == "MultiStream":
        estimate_ns, text = _estimate(f.query_ns, p)
        return _Look(estimate_ns is not None, text, ms_ns=estimate_ns)
    estimate_ns, text = _estimate(values_ns, p)
    if estimate_ns is None:
        return _Look(False, text)
    stream_ns, more = _stream_estimate(values_ns)
    return _Look(True, text + more, estimate_ns, stream_ns)


def _enough(values_ns: Int64s, limit_ns: int, p: float) -> _Look:
    n, over = len(values_ns), int((values_ns > limit_ns).sum())
    more = queries_needed(over, p) - n
    if more <= 0:
        return _Look(True, " * Run successful.")
    return _Look(
        False,
        f" * Run unsuccessful.\n * Processed {n} queries.\n * Would need to run at least {more}"
        " more queries,\n with the run being successful if every additional\n query were under"
        " latency.",
    )


def _estimate(values_ns: Int64s, p: float) -> tuple[int | None, str]:
    """Return the value that bounds percentile p with confidence, if there are enough."""
    n, floor, rank = len(values_ns), queries_needed(1, p), estimate_rank(len(values_ns), p)
    if rank is None:
        return None, (
            f" * Only processed {n} queries.\n * Need to process at least {floor} queries for early"
            " stopping."
        )
    return int(values_ns[rank]), (
        f" * Processed at least {floor} queries ({n}).\n * Would discard {n - rank - 1} highest"
        f" latency queries.\n * Early stopping {100 * p:.1f}th percentile estimate:"
        f" {values_ns[rank]}"
    )


def _stream_estimate(values_ns: Int64s) -> tuple[int | None, str]:
    p = _STREAM_PERCENTILE
    estimate_ns, _ = _estimate(values_ns, p)
    if estimate_ns is not None:
        return (
            estimate_ns,
            f"\n * Early stopping {100 * p:.1f}th percentile estimate: {estimate_ns}",
        )
    return None, (
        f"\n * Not enough queries processed for {100 * p:.1f}th percentile\n early stopping"
        f" estimate (would need to process at\n least {queries_needed(1, p)} total queries)."
    )
