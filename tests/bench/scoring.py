"""Losses of given texts, beside the bare forward pass and lm-eval's `hf` model: tokens per second
and memory, same sums.

Each way has a process of its own; they work in turn (A B C A B C) and every ratio is the median of
the ratios of the rounds. lm-eval need not be installed: `pip install --no-deps --target FOLDER
lm-eval`, then `LM_EVAL=FOLDER`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from statistics import median
from typing import Any

from tests.bench.peers import figures, thread_settings
from tests.bench.rows import Row, compared

DTYPES = ("float32", "bfloat16")
MIB = 2**20


def rows(texts: int = 24, rounds: int = 3) -> Iterator[Row | str]:
    ways = ["ours", "bare", "record", *(["lm_eval"] if has_lm_eval() else [])]
    for dtype in DTYPES:
        found = [
            {way: figures("scoring_peer", way, texts, dtype) for way in ways} for _ in range(rounds)
        ]
        yield _speed(
            f"scoring, {dtype}, tokens/s: a bare forward pass", found, "ours", "bare", 0.97
        )
        yield _speed("  with distributions for KL recorded", found, "record", "ours", None)
        if "lm_eval" in ways:
            yield _speed(f"scoring, {dtype}, tokens/s: lm-eval", found, "ours", "lm_eval", 1.0)
            yield _memory(f"scoring, {dtype}, MiB above the weights: lm-eval", found)
        if "lm_eval" in ways and dtype == "float32":
            yield _sums(found[0]["ours"]["sums"], found[0]["lm_eval"]["sums"])
    if "lm_eval" not in ways:
        yield "scoring: lm-eval is not installed here, it is left out"
    yield f"scoring: {texts} stories, {thread_settings()} for all"


def has_lm_eval() -> bool:
    if folder := os.environ.get("LM_EVAL"):
        sys.path.append(folder)
    return find_spec("lm_eval") is not None


def _speed(what: str, found: list[dict[str, Any]], way: str, peer: str, least: float | None) -> Row:
    rates, others = ([each[name]["tokens_per_s"] for each in found] for name in (way, peer))
    ratio = median(a / b for a, b in zip(rates, others, strict=True))
    target = "" if least is None else f"at least {least:.2f}x"
    return compared(
        what,
        median(rates),
        median(others),
        ratio,
        target,
        least is None or ratio >= least,
        "{:.0f}",
    )


def _memory(what: str, found: list[dict[str, Any]]) -> Row:
    mine, theirs = (
        median(each[way]["peak_bytes"] for each in found) / MIB for way in ("ours", "lm_eval")
    )
    return compared(
        what, mine, theirs, mine / theirs, "at most 0.50x", mine <= 0.5 * theirs, "{:.0f}"
    )


def _sums(ours: list[float], theirs: list[float]) -> Row:
    """lm-eval sums in float32, text by text."""
    worst = max(abs(a / b - 1) for a, b in zip(ours, theirs, strict=True))
    return Row(
        "  largest relative difference of a text's sum",
        f"{worst:.1e}",
        "",
        "",
        "at most 1e-5",
        worst <= 1e-5,
    )
