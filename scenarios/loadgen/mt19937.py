"""LoadGen's random numbers: mt19937 with the distributions and the shuffle of libstdc++ (GCC 11 and
later).

The C++ standard fixes the engine but not the distributions, so each is restated here from its
definition:
    integer in [0, n)   Lemire: the high word of u32 * n, redrawn while the low word is below (2^32
                        - n) mod n
    real in [0, 1)      (low + high * 2^32) / 2^64 of two words, low word first
    exponential(rate)   -log(1 - u) / rate, with the C library's log
    shuffle of n        n < 65536: two positions per draw of [0, k(k+1)); otherwise one draw per
                        position
numpy supplies the raw 32-bit words in blocks; the seeding is the engine's own (not numpy's).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.kernel.types import Int64s

_BLOCK = 4096
_PASS = 512  # draws tried at once: a rejection repeats what is left of the pass
_ONE_BY_ONE = 65536  # from here on libstdc++ draws each position by itself
_LOG_DOUBT = 8e-15  # relative; the logarithms agree to a few units in the last place (2.2e-16)
_Words = np.ndarray[Any, np.dtype[np.uint64]]


class Mt19937:
    """One stream. Every method consumes exactly the words that LoadGen would."""

    def __init__(self, seed: int) -> None:
        state = [seed % 2**32]
        for i in range(1, 624):
            state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + i) % 2**32)
        self._bits = np.random.MT19937()
        key = np.array(state, np.uint32)
        self._bits.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": 624}}
        self._words = np.empty(0, np.uint64)
        self._at = 0

    def integers(self, n: int, count: int) -> Int64s:
        """Return (count,) uniform integers in [0, n)."""
        out = np.empty(count, np.int64)
        floor = np.uint64((2**32 - n) % n)
        filled = 0
        while filled < count:
            product = self._take(count - filled) * np.uint64(n)
            low = product & np.uint64(0xFFFF_FFFF)
            kept = (product >> np.uint64(32))[
                low >= floor
            ]  # a rejected word is skipped; the next one takes its place
            out[filled : filled + len(kept)] = kept
            filled += len(kept)
        return out

    def draws(self, bounds: Int64s) -> Int64s:
        """Draw one uniform integer in [0, bound) for each bound, in order; a rejected word delays
        all that follow.
        """
        out = np.empty(len(bounds), np.int64)
        wide = bounds.astype(np.uint64)
        floors = (np.uint64(2**32) - wide) % wide
        at = 0
        while at < len(bounds):
            size = min(_PASS, len(bounds) - at)
            product = self._peek(size) * wide[at : at + size]
            rejected = np.flatnonzero((product & np.uint64(0xFFFF_FFFF)) < floors[at : at + size])
            good = int(rejected[0]) if len(rejected) else size
            out[at : at + good] = product[:good] >> np.uint64(32)
            self._at += good + bool(len(rejected))
            at += good
        return out

    def reals(self, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return (count,) uniform doubles in [0, 1)."""
        words = self._take(2 * count).astype(np.float64)
        u = (words[0::2] + words[1::2] * 2.0**32) / 2.0**64
        return np.minimum(u, math.nextafter(1.0, 0.0))

    def exponential_ns(self, rate_per_s: float, count: int) -> Int64s:
        """Return (count,) gaps in nanoseconds, each truncated.

        numpy's log may differ from the C library's in the last bits, which matters only where a gap
        is within rounding of a whole nanosecond: there the C library decides.
        """
        u = self.reals(count)
        gaps = -np.log(1.0 - u) / rate_per_s * 1e9
        whole = gaps.astype(np.int64)
        near = np.flatnonzero(np.abs(gaps - np.rint(gaps)) <= np.maximum(gaps, 1.0) * _LOG_DOUBT)
        for i, value in zip(near.tolist(), u[near].tolist(), strict=True):
            whole[i] = int(-math.log(1.0 - value) / rate_per_s * 1e9)
        return whole

    def shuffle(self, items: list[int]) -> None:
        """Shuffle in place."""
        draws = self.draws(shuffle_bounds(len(items))).tolist()
        if len(items) >= _ONE_BY_ONE:
            for i, j in enumerate(draws, 1):
                items[i], items[j] = items[j], items[i]
            return
        i = 1
        if len(items) % 2 == 0 and draws:
            _swap(items, 1, draws.pop(0))
            i = 2
        for x in draws:
            first, second = divmod(x, i + 2)
            items[i], items[first] = items[first], items[i]
            i += 1
            items[i], items[second] = items[second], items[i]
            i += 1

    def _take(self, count: int) -> _Words:
        """Return the next `count` 32-bit words, as uint64."""
        words = self._peek(count)
        self._at += count
        return words

    def _peek(self, count: int) -> _Words:
        """Return the same, but keep them next."""
        if len(self._words) - self._at < count:
            fresh = self._bits.random_raw(max(count, _BLOCK))
            self._words = np.concatenate((self._words[self._at :], fresh))
            self._at = 0
        return self._words[self._at : self._at + count]


def shuffle_bounds(n: int) -> Int64s:
    """Return the bounds that a shuffle of n draws from, in order."""
    if n < 2:
        return np.empty(0, np.int64)
    if n >= _ONE_BY_ONE:
        return np.arange(2, n + 1, dtype=np.int64)
    k = np.arange(3 if n % 2 == 0 else 2, n, 2, dtype=np.int64)
    pairs = k * (k + 1)
    return np.concatenate(([2], pairs)) if n % 2 == 0 else pairs


def _swap(items: list[int], i: int, j: int) -> None:
    items[i], items[j] = items[j], items[i]
