"""What must a GPU reach? The rows of the table: a figure, another one beside it, and how far apart
the two may be.

A row whose figures are missing is not measured, and says so; a row without a target is there for
the reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Figures = Mapping[str, Any]


class Wanted(NamedTuple):
    """`ours` and `other` are names of figures; the ratio of the two is judged."""

    what: str
    ours: str
    other: str
    unit: str
    at_most: float | None = None
    at_least: float | None = None


class Row(NamedTuple):
    """`met` is None where nothing is asked, or nothing was measured."""

    what: str
    ours: float | None
    other: float | None
    unit: str
    ratio: float | None
    target: str
    met: bool | None


def _steps(shape: str, targets: Mapping[int, float | None]) -> Iterator[Wanted]:
    for rows, most in targets.items():
        many = f"{rows} row" if rows == 1 else f"{rows} rows"
        ours, limit = f"{shape}.step_ms.{rows}", f"{shape}.limit_ms.{rows}"
        what = f"{shape} bf16, decode step, {many}: ours, limit"
        yield Wanted(what, ours, limit, "ms", at_most=most)
        eager = f"{shape}.eager_step_ms.{rows}"
        yield Wanted(f"  {many}: eager lean step, limit", eager, limit, "ms")


def _first_pass(batches: tuple[int, ...]) -> Iterator[Wanted]:
    for count in batches:
        what = f"8B bf16, first pass, {count} at once: ours, generate"
        ours, theirs = f"8B.engine.tokens_per_s.{count}", f"8B.generate.tokens_per_s.{count}"
        yield Wanted(what, ours, theirs, "tokens/s", at_least=4.0)


_BF16 = "8B.engine.tokens_per_s.8"


def _variant(name: str) -> str:
    return f"8B.{name}.tokens_per_s"


WANTED = (
    *_steps("8B", {1: 1.5, 8: 1.6, 32: 1.7, 128: 2.2}),
    *_steps("1B", {1: 2.5, 8: None}),
    *_first_pass((1, 8, 32)),
    Wanted("8B, 8 at once: bf16, fp32", _BF16, _variant("fp32"), "tokens/s", at_least=1.8),
    Wanted("8B, 8 at once: fp8, bf16", _variant("fp8"), _BF16, "tokens/s", at_least=1.2),
    Wanted("8B, 8 at once: int8, bf16", _variant("int8"), _BF16, "tokens/s"),
    Wanted("8B, 8 at once: nf4, bf16", _variant("nf4"), _BF16, "tokens/s"),
    Wanted("1B bf16, offline: the scenario, its engine bare", "1B.offline.tokens_per_s",
           "1B.bare.tokens_per_s", "tokens/s", at_least=0.95),
    Wanted("1B bf16, server at 70 %: TPOT p99, p50", "1B.server.tpot_p99_ms",
           "1B.server.tpot_p50_ms", "ms", at_most=1.5),
    Wanted("8B bf16, windows of 1,024: scoring, bare forward pass", "8B.scoring.tokens_per_s",
           "8B.forward.tokens_per_s", "tokens/s", at_least=0.9),
)  # fmt: skip


def rows(found: Figures, is_dry_run: bool = False) -> list[Row]:
    """Return all rows; of a dry run, whose figures say nothing, without a verdict."""
    table = [*(_row(one, found) for one in WANTED), _same(found)]
    return [row._replace(met=None) for row in table] if is_dry_run else table


def _row(wanted: Wanted, found: Figures) -> Row:
    ours, other = found.get(wanted.ours), found.get(wanted.other)
    ratio = ours / other if ours is not None and other else None
    met = None if ratio is None else _is_met(wanted, ratio)
    return Row(wanted.what, ours, other, wanted.unit, ratio, _target(wanted), met)


def _is_met(wanted: Wanted, ratio: float) -> bool | None:
    if wanted.at_most is not None:
        return ratio <= wanted.at_most
    return ratio >= wanted.at_least if wanted.at_least is not None else None


def _target(wanted: Wanted) -> str:
    if wanted.at_most is not None:
        return f"at most {wanted.at_most:g}x"
    return f"at least {wanted.at_least:g}x" if wanted.at_least is not None else ""


def _same(found: Figures) -> Row:
    """Greedy answers that are `generate`'s, or leave it at a near tie."""
    what = "SmolLM2 fp32, greedy answers: those of generate or near ties, all"
    asked = found.get("smollm2.questions")
    if not asked:
        return Row(what, None, None, "answers", None, "all", None)
    good = found["smollm2.same"] + found["smollm2.near_ties"]
    return Row(what, good, asked, "answers", good / asked, "all", good == asked)
