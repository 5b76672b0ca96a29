"""Which figures may be required or sought, and which run tells each?

    --require "rouge>=99%, ttft_p99<=2s, memory<=8GiB" --maximise tokens_per_s

The names of result.json and of compare.json are understood, too; so are any percentile of a latency
and any score of the answers (exact_match).
"""

from __future__ import annotations

import re
from typing import Literal

from harness.kernel.errors import BadInput, unknown
from harness.kernel.words.judged import TABLE
from harness.kernel.words.measure import IN_ROWS, LATENCIES, LATENCY, MEASURES, Measure, measure
from reports.scores import OF_100, SCORES

Stage = Literal["speed", "quality", "rate"]
STAGES: tuple[Stage, ...] = ("speed", "quality", "rate")  # in the order in which they are measured
PRICE, NEED, PER_KWH, JOB = "--price-per-hour", "--need-qps", "--price-per-kwh", "--job-samples"
_ANY = ("memory", "weights", "disk")  # every run tells these
_EVALUATED = ("perplexity", "eval_loss", "token_accuracy")  # on the reference answers, afterwards
_OF_SPEED = ("tokens_per_s", "samples_per_s", "joules_per_token", *_EVALUATED)
_OF_RATE = ("valid_qps", "user_tokens_per_s", "users_at_once", "served_tokens_per_s")
# What follows from others: the figures and the flags that it needs.
_NEEDS: dict[str, tuple[str, ...]] = {
    "servers": ("valid_qps", NEED),
    "load_per_server": ("valid_qps", NEED),
    "usd_per_hour": ("valid_qps", NEED, PRICE),
    "usd_per_month": ("valid_qps", NEED, PRICE),
    "usd_per_million_tokens_needed": ("valid_qps", NEED, PRICE),
    "usd_per_million_tokens_valid": ("valid_qps", PRICE),
    "usd_per_million_tokens": ("tokens_per_s", PRICE),
    "usd_per_million_input_tokens": ("tokens_per_s", PRICE),
    "usd_per_million_output_tokens": ("tokens_per_s", PRICE),
    "job_hours": ("tokens_per_s", JOB),
    "job_usd": ("tokens_per_s", JOB, PRICE),
    "kwh_per_million_tokens": ("joules_per_token",),
    "energy_usd_per_million_tokens": ("joules_per_token", PER_KWH),
}
# The names of a comparison's figures, short ones too, and what they are called here.
_HERE = {other: name for name, other in IN_ROWS.items()}
_OTHER_NAMES = {
    other: _HERE.get(figure.name, figure.name)
    for figure in TABLE.values()
    for other in (figure.name, *figure.also)
}
_TWO_MEANINGS = "qps"


def find(name: str, doing: str) -> Measure:
    """Return the figure of this name. Raises BadInput with the nearest known one."""
    if name == _TWO_MEANINGS:
        fine = "expected valid_qps (the highest rate that keeps the limits) or samples_per_s"
        raise BadInput(doing, "'qps' may mean either of two figures", fine, "Name one of them.")
    name = _OTHER_NAMES.get(name, name)
    if match := LATENCY.fullmatch(name):
        _check_percentile(match, doing)
        return measure(name)
    is_score = name in SCORES and SCORES[name].unit == OF_100
    if name in MEASURES or is_score:
        return measure(name)
    raise unknown(doing, name, names())


def names() -> list[str]:
    """Name what may be asked for; of the percentiles the usual ones."""
    grid = [f"{what}_{p}" for what in LATENCIES for p in ("mean", "p50", "p90", "p99", "p99.9")]
    scores = [name for name, score in SCORES.items() if score.unit == OF_100]
    return [*MEASURES, *_HERE, *grid, *scores]


def _check_percentile(match: re.Match[str], doing: str) -> None:
    if match[3] is not None and not 0 < float(match[3]) < 100:
        found, fine = f"{match[2]} is no percentile", "expected one above p0 and below p100"
        raise BadInput(doing, found, fine, f"For example: {match[1]}_p99.")


def percent_of(measure: Measure) -> float | None:
    """Return the percentile of a latency, in percent; None of any other figure."""
    match = LATENCY.fullmatch(measure.name)
    return float(match[3]) if match and match[3] else None


def is_latency(measure: Measure) -> bool:
    """Is it a latency, whose limit a server must keep?"""
    return LATENCY.fullmatch(measure.name) is not None


def is_evaluated(measure: Measure) -> bool:
    """Is it measured on the reference answers, after the run?"""
    return measure.name in _EVALUATED


def flags_for(measure: Measure) -> list[str]:
    """Return the flags without which this figure is not known."""
    return [name for name in _NEEDS.get(measure.name, ()) if name.startswith("--")]


def stages_of(one: Measure) -> set[Stage]:
    """Return the stages that this figure needs; none where any run tells it."""
    if one.name in _NEEDS:
        others = [name for name in _NEEDS[one.name] if not name.startswith("--")]
        return {stage for name in others for stage in stages_of(measure(name))}
    if one.name in _OF_SPEED:
        return {"speed"}
    if one.name in _OF_RATE or is_latency(one):
        return {"rate"}
    return set() if one.name in _ANY else {"quality"}
