"""Which figures of a run can be tested, and how are they named? ttft_p99_ms, tokens_per_s, ...

A latency is any of `LATENCIES` at a mean or a percentile; its unit may be left out of the name
(ttft_p99). Latencies and rates are made of many samples, so one run says how far chance moves them.
The others (`SINGLE`) are one number a run: only repeats say that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from harness.kernel.errors import BadInput, unknown
from harness.kernel.stats import percentile_name
from harness.kernel.stats import share as share_of
from harness.kernel.words import judged
from harness.kernel.words.figure import Better
from harness.kernel.words.judged import Judged

LATENCIES = {"ttft": "TTFT", "tpot": "TPOT", "latency": "latency"}
RATES = {"tokens_per_s": "tokens/s", "samples_per_s": "samples/s"}
STATISTICS = ("mean", "p50", "p90", "p99")
_PERCENTILE = re.compile(r"p(\d{1,2}(\.\d{1,4})?)")


class Figure(NamedTuple):
    """A figure that is tested. `p` is the percentile of a latency as a share; None for a mean, a
    rate and a single number.
    """

    name: str  # as in CSV files, with its unit: ttft_p99_ms
    label: str
    unit: str
    better: Better
    what: str = ""  # the latency that it summarises; empty for others
    p: float | None = None


def _latency(what: str, statistic: str) -> Figure:
    p = None if statistic == "mean" else share_of(float(statistic[1:]))
    statistic = statistic if p is None else percentile_name(p)
    label = f"{LATENCIES[what]} {statistic}"
    return Figure(f"{what}_{statistic}_ms", label, "ms", "lower", what, p)


_RATES = [Figure(name, unit, unit, "higher") for name, unit in RATES.items()]
USUAL = tuple(
    [*_RATES, *(_latency(what, statistic) for what in LATENCIES for statistic in STATISTICS)]
)


def _single(about: Judged) -> Figure:
    """Return a figure that is one number a run, in the unit that a row has it in."""
    unit = "B" if about.name.endswith("_bytes") else about.unit
    return Figure(about.name, about.label, "" if unit == "%" else unit, about.better)


SINGLE = {
    about.name: _single(about)
    for about in judged.TABLE.values()
    if about.name not in RATES and about.name.split("_")[0] not in LATENCIES
}
_ALIASES = {other: about.name for about in judged.TABLE.values() for other in about.also}


def named(text: str, doing: str) -> Figure:
    """Return the figure that a user names. Raises BadInput, which guesses at what was meant."""
    name = _ALIASES.get(text, text).removesuffix("_ms")
    known = {figure.name: figure for figure in _RATES} | SINGLE
    if name in known:
        return known[name]
    what, _, statistic = name.rpartition("_")
    if what in LATENCIES and statistic == "mean":
        return _latency(what, statistic)
    if what in LATENCIES and (found := _PERCENTILE.fullmatch(statistic)):
        if float(found[1]) > 0:
            return _latency(what, statistic)
        raise BadInput(doing, f"{text!r} is no percentile", "expected one above 0, such as p99.9")
    usual = [figure.name.removesuffix("_ms") for figure in USUAL]
    raise unknown(doing, text, [*usual, *SINGLE, *_ALIASES], "Any percentile is fine: ttft_p97.5.")


def to_test(more: Iterable[Figure] = ()) -> Iterator[Figure]:
    """Yield the usual figures, those that were asked for beside them, and the single ones."""
    yield from dict.fromkeys((*USUAL, *more, *SINGLE.values()))
