"""Are the intervals of means and shares those of their papers?"""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accuracy.means import paired_difference

# (both, lost, gained, n) -> the interval of Newcombe 1998, Statistics in Medicine 17, table II
PUBLISHED = {(36, 12, 2, 50): (0.0569, 0.3404)}


@pytest.mark.parametrize("counts", PUBLISHED)
def test_the_interval_of_a_paired_difference_is_the_published_one(counts):
    found = paired_difference(*counts)
    assert found.value == pytest.approx((counts[1] - counts[2]) / counts[3])
    assert (found.low, found.high) == pytest.approx(PUBLISHED[counts], abs=5e-5)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_an_interval_holds_its_figure_and_turns_with_the_sides(both, lost, gained, neither):
    n = both + lost + gained + neither
    assume(n)
    one, turned = paired_difference(both, lost, gained, n), paired_difference(both, gained, lost, n)
    assert -1 - 1e-9 <= one.low <= one.value + 1e-9
    assert one.value - 1e-9 <= one.high <= 1 + 1e-9
    assert (turned.low, turned.high) == pytest.approx((-one.high, -one.low), abs=1e-9)
