"""Is the warm-up found where there is one, and nowhere else?"""

from __future__ import annotations

import numpy as np
import pytest

from scenarios.phases.steady import CHANGE_P, LEAST, mser, steady

RNG = np.random.default_rng(16)


def queue(n, load, servers, before=1500):
    """Return the times in a queue that has been running for a while (M/G/k)."""
    arrivals = np.cumsum(RNG.exponential(1, n + before))
    work = RNG.lognormal(0, 0.5, n + before) * load * servers / np.exp(0.125)
    free, found = np.zeros(servers), []
    for at, takes in zip(arrivals, work, strict=True):
        k = int(free.argmin())
        start = max(free[k], at)
        free[k] = start + takes
        found.append(start - at + 0.3 * takes)
    return np.array(found[before:])


def by_definition(values):
    """MSER-5 as its paper has it, in the plainest way."""
    means = values[: len(values) // 5 * 5].reshape(-1, 5).mean(axis=1)
    n = len(means)
    errors = [means[d:].var() / (n - d) for d in range(n // 2 + 1)]
    return int(np.argmin(errors))


@pytest.mark.parametrize("case", range(10))
def test_mser_is_that_of_its_paper(case):
    values = RNG.lognormal(0, 0.4, 80 + 37 * case)
    values[: 7 * case] *= 3
    assert mser(values) == by_definition(values)


def test_a_warm_up_is_found_where_it_ends():
    for _ in range(20):
        values = RNG.lognormal(0, 0.3, 600)
        values[:60] *= np.linspace(4, 1.5, 60)
        found = steady(values)
        assert found.is_found
        assert found.is_clear
        assert 45 <= found.first <= 90


def test_a_change_of_level_is_found():
    for _ in range(20):
        values = RNG.lognormal(0, 0.3, 600)
        values[400:] *= 1.5
        change = steady(values).change
        assert change is not None
        assert change.p_value < CHANGE_P
        assert change.at == pytest.approx(400, abs=60)
        assert change.after / change.before == pytest.approx(1.5, rel=0.15)


@pytest.mark.parametrize(("load", "servers"), [(0.3, 4), (0.6, 4), (0.8, 8)])
def test_a_queue_without_a_warm_up_has_none(load, servers):
    found = [steady(queue(800, load, servers)) for _ in range(60)]
    assert sum(one.is_clear for one in found) <= 6, "5 % are expected at most"
    assert sum(one.change is not None for one in found) <= 6
    assert sum(not one.is_found for one in found) <= 9


def test_a_queue_that_grows_has_no_steady_state():
    found = steady(np.arange(400) + RNG.normal(0, 3, 400))
    assert not found.is_found


def test_few_or_equal_values_say_nothing_wrong():
    assert steady(np.ones(LEAST - 1)) is None
    found = steady(np.ones(500))
    assert (found.first, found.is_clear, found.change) == (0, False, None)
