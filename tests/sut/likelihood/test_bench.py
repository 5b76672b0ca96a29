"""The benchmark of scoring measures any model, on any device."""

from __future__ import annotations

from tests.bench.likelihood import Work, rows_of, speeds
from tests.sut.likelihood.test_distributions import made_llama


def test_losses_and_the_bare_pass_are_timed_in_turn():
    found = speeds(made_llama(), Work(windows=3, tokens=20, rounds=2))
    assert [len(rates) for rates in found[:3]] == [2, 2, 2]
    assert min(min(rates) for rates in found[:3]) > 0
    assert (found.bare_batch, found.our_batch) == (60, 2048)
    first, second = rows_of("tiny", found)
    assert first.target == "at least 0.90x"
    assert first.met == (found.ratio() >= 0.9)
    assert second.met
