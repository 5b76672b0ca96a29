"""The size of a step of prompts, by rates that are given, with a clock that stands still or runs as
it is told.
"""

from __future__ import annotations

import pytest
import torch

from harness.kernel.clock import RealClock, VirtualClock
from sut.engine.batching import PREFILL_TOKENS
from sut.engine.prefill import sizes
from sut.engine.prefill.sizes import SIZES, best, found, measured, rates_of
from tests.sut.engine.prefill.test_packed import runner_of
from tests.sut.engine.test_lean import FAMILIES, made


class Told:
    """A clock that moves by what the device is said to take."""

    def __init__(self):
        self.ns = 0

    def now_ns(self):
        return self.ns


def feeding(clock, ms_of, room=10**9):
    def feed(tokens):
        if tokens > room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        clock.ns += int(ms_of(tokens) * 1e6)

    return feed


def test_the_smallest_size_that_is_nearly_as_fast_as_the_fastest_is_taken():
    assert best({512: 700.0, 1024: 960.0, 2048: 1000.0, 4096: 980.0}) == 1024


def test_a_device_that_needs_many_tokens_gets_them():
    clock = Told()
    rates = rates_of(feeding(clock, lambda n: 100 + n / 100), 10**6, clock)
    assert sorted(rates) == list(SIZES)
    assert best(rates) == 16384


def test_a_device_whose_rate_is_the_same_everywhere_gets_few():
    clock = Told()
    assert best(rates_of(feeding(clock, lambda n: n / 10), 10**6, clock)) == 512


def test_what_does_not_fit_into_memory_ends_the_search():
    clock = Told()
    rates = rates_of(feeding(clock, lambda n: 100 + n / 100, room=3000), 10**6, clock)
    assert sorted(rates) == [512, 1024, 2048]


def test_another_fault_is_no_lack_of_memory():
    def broken(tokens):
        raise RuntimeError("an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        rates_of(broken, 10**6, Told())


def test_no_size_is_larger_than_what_the_rows_hold():
    clock = Told()
    assert sorted(rates_of(feeding(clock, lambda n: n), 1500, clock)) == [512, 1024]
    assert sorted(rates_of(feeding(clock, lambda n: n), 100, clock)) == [512]


def test_a_clock_that_stands_still_divides_by_nothing():
    assert best(rates_of(lambda tokens: None, 10**6, VirtualClock())) in SIZES


def test_on_a_cpu_nothing_is_measured():
    runner = runner_of(made(*FAMILIES["llama"]))
    cpu = torch.device("cpu")
    assert found(None, runner, 20, cpu, RealClock()).most == PREFILL_TOKENS == 512
    assert found(96, runner, 20, cpu, RealClock()).most == 96


def test_a_real_runner_is_measured_within_its_rows():
    runner = runner_of(made(*FAMILIES["llama"]), rows=12, length=64)
    fed = measured(runner, 50, RealClock())
    assert sorted(fed.rates) == [512]
    assert fed.most == 512
    assert all(rate > 0 for rate in fed.rates.values())
    assert sizes.measured(runner, 10**6, RealClock()).most == 512  # a prompt is as long as a row
