"""By which figures may a deployment be chosen, and which run tells each?

    --require "rouge>=99%, ttft_p99<=2s, memory<=8GiB" --maximise tokens_per_s

A figure has a name, the key of a comparison's row or of result.json behind it, a kind of unit, and
the stage that measures it. The names of result.json and of compare.json are understood, too. Any
percentile of a latency may be asked for (ttft_p99.5), and any score of the answers (exact_match).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from harness.kernel.errors import BadInput, unknown
from harness.kernel.words.figure import number, size
from reports.scores import OF_100, SCORES

Kind = Literal["s", "bytes", "share", "of 100", "number"]
Stage = Literal["speed", "quality", "rate"]
STAGES: tuple[Stage, ...] = ("speed", "quality", "rate")  # in the order in which they are measured
LATENCIES = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "latency": "latency"}
_LATENCY = re.compile(r"(ttft|tpot|itl|latency)_(mean|max|p(\d+(?:\.\d+)?))(_ms)?")
UNITS: Mapping[str, Mapping[str, float]] = {  # what a limit may be written in; the first is usual
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "m": 60.0, "h": 3600.0},
    "bytes": {
        "GiB": 2.0**30, "MiB": 2.0**20, "KiB": 2.0**10, "TiB": 2.0**40,
        "GB": 1e9, "MB": 1e6, "kB": 1e3, "KB": 1e3, "TB": 1e12, "B": 1.0,
    },
    "share": {"%": 1e-2},
    "of 100": {"": 1.0, "%": 1.0},
    "number": {"": 1.0},
}  # fmt: skip


class Measure(NamedTuple):
    """A figure that may be required or sought. `stage` is None where any run tells it, or where it
    follows from others (`needs`).
    """

    name: str
    label: str
    kind: Kind
    better: Literal["lower", "higher", ""]
    stage: Stage | None = None
    needs: tuple[str, ...] = ()
    unit: str = ""  # of a number

    def text(self, value: float | None) -> str:
        """Write a value with its unit."""
        if value is None:
            return "-"
        if self.kind == "bytes":
            return size(value)
        if self.kind == "share":
            return f"{100 * value:.4g} %"
        if self.kind == "s":
            return f"{number(1000 * value)} ms" if abs(value) < 1 else f"{number(value)} s"
        return f"{number(value)} {self.unit}".strip()


def _cost(name: str, label: str, unit: str, *needs: str) -> Measure:
    return Measure(name, label, "number", "lower", None, needs, unit)


_PRICE, _NEED = "--price-per-hour", "--need-qps"
MEASURES: dict[str, Measure] = {
    one.name: one
    for one in (
        Measure("rouge", "ROUGE kept", "share", "higher", "quality"),
        Measure("memory", "peak memory", "bytes", "lower"),
        Measure("weights", "weights in memory", "bytes", "lower"),
        Measure("disk", "size on disk", "bytes", "lower"),
        Measure("tokens_per_s", "speed", "number", "higher", "speed", unit="tokens/s"),
        Measure("samples_per_s", "speed", "number", "higher", "speed", unit="samples/s"),
        Measure("joules_per_token", "energy", "number", "lower", "speed", unit="J/token"),
        Measure("perplexity", "perplexity", "number", "lower", "speed"),
        Measure("eval_loss", "loss", "number", "lower", "speed", unit="nats per token"),
        Measure("token_accuracy", "token accuracy", "share", "higher", "speed"),
        Measure("qps", "valid rate", "number", "higher", "rate", unit="queries/s"),
        Measure("user_tokens_per_s", "speed for a user", "number", "higher", "rate",
                unit="tokens/s"),
        Measure("users_at_once", "users at once", "number", "higher", "rate"),
        _cost("usd_per_m_tokens", "cost", "USD per million output tokens", "tokens_per_s", _PRICE),
        _cost("servers", "servers", "", "qps", _NEED),
        _cost("usd_per_hour", "cost", "USD an hour", "qps", _NEED, _PRICE),
        _cost("usd_per_month", "cost", "USD a month", "qps", _NEED, _PRICE),
    )
}  # fmt: skip
_OTHER_NAMES = {
    "rouge_ratio": "rouge",
    "peak_bytes": "memory",
    "weights_bytes": "weights",
    "disk_bytes": "disk",
    "valid_qps": "qps",
    "cost": "usd_per_m_tokens",
}
_EVALUATED = ("perplexity", "eval_loss", "token_accuracy")  # on the reference answers, afterwards


def find(name: str, doing: str) -> Measure:
    """Return the figure of this name. Raises BadInput with the nearest known one."""
    name = _OTHER_NAMES.get(name, name)
    if name in MEASURES:
        return MEASURES[name]
    if match := _LATENCY.fullmatch(name):
        return _latency(match, doing)
    if name in SCORES and SCORES[name].unit == OF_100:
        return Measure(name, name, "of 100", "higher", "quality", unit="of 100")
    raise unknown(doing, name, names())


def names() -> list[str]:
    """Name what may be asked for; of the percentiles the usual ones."""
    grid = [f"{what}_{p}" for what in LATENCIES for p in ("mean", "p50", "p90", "p99", "p99.9")]
    scores = [name for name, score in SCORES.items() if score.unit == OF_100]
    return [*MEASURES, *_OTHER_NAMES, *grid, *scores]


def _latency(match: re.Match[str], doing: str) -> Measure:
    what, statistic, percent = match[1], match[2], match[3]
    if percent is not None and not 0 < float(percent) < 100:
        found, fine = f"{statistic} is no percentile", "expected one above p0 and below p100"
        raise BadInput(doing, found, fine, f"For example: {what}_p99.")
    label = f"{LATENCIES[what]} {statistic}"
    return Measure(f"{what}_{statistic}", label, "s", "lower", "rate")


def percent_of(measure: Measure) -> float | None:
    """Return the percentile of a latency, in percent; None of any other figure."""
    match = _LATENCY.fullmatch(measure.name)
    return float(match[3]) if match and match[3] else None


def is_latency(measure: Measure) -> bool:
    """Is it a latency, whose limit a server must keep?"""
    return _LATENCY.fullmatch(measure.name) is not None


def is_evaluated(measure: Measure) -> bool:
    """Is it measured on the reference answers, after the run?"""
    return measure.name in _EVALUATED


def stages_of(measure: Measure) -> set[Stage]:
    """Return the stages that this figure needs."""
    if measure.stage is not None:
        return {measure.stage}
    return {
        stage
        for name in measure.needs
        if name in MEASURES
        for stage in stages_of(MEASURES[name])
    }
