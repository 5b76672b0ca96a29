"""How many tokens of prompts are fed in a step? As many as were asked for; else 512 on a CPU, and
on a GPU what is best there, measured at load: of 512 to 16,384 the fewest tokens whose rate is
within 5 % of the best, for those that run wait as long as a step takes.

Prompts of the run's usual length are fed to rows that nobody uses yet. A size that does not fit
into memory ends the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from harness.kernel.protocols import Clock
from sut.engine.batching import PREFILL_TOKENS
from sut.model import faults, peak

SIZES = (512, 1024, 2048, 4096, 8192, 16384)
_NEARLY_BEST = 0.95


class PrefillTokens(NamedTuple):
    """What a step is fed at most, and the tokens per second that were measured, by size."""

    most: int = PREFILL_TOKENS
    rates: Mapping[int, float] = {}


def found(
    asked: int | None, runner: Any, usual_prompt: int, device: Any, clock: Clock
) -> PrefillTokens:
    """Return what was asked for, or what is best on the device. `usual_prompt` is in tokens."""
    if asked is not None:
        return PrefillTokens(asked)
    if device.type == "cpu" or not runner.in_pieces:
        return PrefillTokens()
    return measured(runner, usual_prompt, clock)


def measured(runner: Any, usual_prompt: int, clock: Clock) -> PrefillTokens:
    """Measure a runner whose rows nobody uses."""
    length = max(1, min(usual_prompt, runner.max_len))
    rates = rates_of(lambda size: _feed(runner, size, length), runner.max_rows * length, clock)
    peak.give_back()
    peak.reset()  # the run's own peak is asked for, not that of the search
    return PrefillTokens(best(rates), rates) if rates else PrefillTokens()


def rates_of(feed: Callable[[int], object], most: int, clock: Clock) -> dict[int, float]:
    """Return the tokens per second of each size up to `most`, the smallest in any case; `feed`
    returns when the device is done. The first call of a size warms it up.
    """
    rates: dict[int, float] = {}
    for size in SIZES:
        if rates and size > most:
            break
        tokens = min(size, most)
        try:
            feed(tokens)
            start_ns = clock.now_ns()
            feed(tokens)
        except (RuntimeError, MemoryError) as error:
            if not faults.is_out_of_memory(error):
                raise
            break
        rates[size] = round(tokens * 1e9 / max(1, clock.now_ns() - start_ns), 1)
    return rates


def best(rates: Mapping[int, float]) -> int:
    """Return the smallest size that is nearly as fast as the fastest."""
    enough = _NEARLY_BEST * max(rates.values())
    return min(size for size, rate in rates.items() if rate >= enough)


def _feed(runner: Any, tokens: int, length: int) -> None:
    whole, rest = divmod(tokens, length)
    pieces = [[0] * length] * whole + ([[0] * rest] if rest else [])
    runner.prefill(0, pieces, 0)
