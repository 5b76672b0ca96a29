"""Is a warm-up inside the timed window, or were answers ready before they were asked for?

warm_up      by `steady` of result.json: the first samples are of another level than the rest,
             or no level was found at all
warm_cache   the server had prompts in its prefix cache, by its answers or its counters
repeats      prompts that were sent again got their first tokens sooner than new ones did
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.kernel.types import Int64s
from harness.kernel.words.figure import number
from harness.result.doubts.doubt import Doubt, Known, Severity

LEAST, MOST_CHANCE = 0.05, 0.001
_FEWEST = 20  # samples on each side
_COLD = "turn the prefix cache off, or say that a warm one is measured (--shared-prefix)"


def warm_up(known: Known) -> Iterator[Doubt]:
    """Yield a doubt where the figures without the warm-up are others than those of the whole."""
    steady, log = known.steady, known.log
    if not steady:
        return
    name = steady["figure"]
    if not steady["is_found"]:
        words = f"no steady state was found: {_label(name)} still changes after half of the run"
        remedy = "run longer, or lower the rate"
        yield Doubt("warm_up", "minor", words, remedy, (), {"kept_percent": steady["kept_percent"]})
        return
    values = log.ttft_ns if name == "ttft" else log.latency_ns
    ok = log.completed & ((log.first_ns >= 0) | (name != "ttft"))
    whole, rest = float(values[ok].mean()) / 1e6, steady["latency"][f"{name}_ms"]["mean"]
    if not steady["is_warm_up_clear"] or rest is None or abs(whole / rest - 1) <= LEAST:
        return
    seconds = steady["from_ns"] / 1e9
    yield Doubt(
        name="warm_up",
        severity="minor",
        words=f"the first {number(seconds)} s are a warm-up: mean {_label(name)} is"
        f" {number(whole)} ms with them, {number(rest)} ms without",
        remedy="warm the system up for longer before the run, or run longer",
        figures={"from_s": seconds, "whole_ms": whole, "steady_ms": rest},
    )


def _label(name: str) -> str:
    return "TTFT" if name == "ttft" else "latency"


def warm_cache(known: Known) -> Iterator[Doubt]:
    """Yield a doubt where the server says that it knew prompts, or its times do."""
    cached = known.served.get("cached")
    if cached and cached["prompt"] and cached["cached"] > LEAST * cached["prompt"]:
        share = 100 * cached["cached"] / cached["prompt"]
        words = f"{share:.3g} % of the prompt tokens were in the server's cache"
        words += f" ({cached['source']})"
        is_salted = (known.served.get("prompts") or {}).get("salted")  # else it may be asked for
        severity: Severity = "serious" if is_salted else "minor"
        yield Doubt("warm_cache", severity, words, _COLD, (), {"cached_percent": share})
    elif not cached and (found := _sooner(known)) is not None:
        again, ratio, share = found
        words = (
            f"{again:,} samples repeat a prompt of the run, and their first tokens came at"
            f" {number(ratio)} of the time of new ones: something was cached"
        )
        figures = {"repeated_samples": again, "repeat_ratio": ratio, "repeated_percent": share}
        remedy = f"{_COLD}; or give a dataset with as many prompts as there are queries"
        yield Doubt("warm_cache", "minor", words, remedy, ("ttft_p50_ms",), figures)


def _sooner(known: Known) -> tuple[int, float, float] | None:
    """Return the repeats, their median TTFT over that of new prompts, and their share in percent;
    None where they do not come sooner. New prompts of the same time are compared: those asked
    while both kinds were.
    """
    log = known.log
    if known.is_at_once:
        return None
    rows = np.argsort(log.due_ns, kind="stable")
    rows = rows[(log.completed & (log.first_ns >= 0))[rows]]
    _, firsts = np.unique(log.index[rows], return_index=True)
    is_new = np.zeros(len(rows), bool)
    is_new[firsts] = True
    both = _both(is_new)
    times, is_new = log.ttft_ns[rows][both], is_new[both]
    new, again = times[is_new], times[~is_new]
    if min(len(new), len(again)) < _FEWEST:
        return None
    ratio = float(np.median(again) / max(np.median(new), 1))
    return _told(new, again, ratio) if ratio <= 1 - 2 * LEAST else None


def _told(new: Int64s, again: Int64s, ratio: float) -> tuple[int, float, float] | None:
    """Return what `_sooner` does, unless chance alone would do as much."""
    from scipy.stats import mannwhitneyu

    chance = mannwhitneyu(again, new, alternative="less").pvalue
    is_sooner = chance < MOST_CHANCE
    share = 100 * len(again) / (len(again) + len(new))
    return (len(again), ratio, share) if is_sooner else None


def _both(is_new: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> slice:
    """Return the stretch from the first repeat to the last new prompt."""
    again, new = np.flatnonzero(~is_new), np.flatnonzero(is_new)
    return slice(again[0], new[-1] + 1) if len(again) and len(new) else slice(0, 0)
