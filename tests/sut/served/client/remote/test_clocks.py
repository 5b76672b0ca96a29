"""Is the offset of two clocks within its stated error, whatever the network does?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sut.served.client.remote.clocks import Asked, Offset, error_ns, offset

delays = st.integers(1_000, 50_000_000)  # nanoseconds, each way


@given(st.integers(-(10**15), 10**15), st.lists(st.tuples(delays, delays), min_size=1, max_size=9))
def test_the_true_offset_is_within_the_error(true_ns, trips):
    asked, now_ns = [], 10**12
    for there_ns, back_ns in trips:
        arrived_ns = now_ns + there_ns
        asked.append(Asked(now_ns, arrived_ns + true_ns, arrived_ns + back_ns))
        now_ns = arrived_ns + back_ns
    found = offset(asked)
    assert abs(found.offset_ns - true_ns) <= found.error_ns
    assert found.error_ns <= min(sum(trip) for trip in trips) / 2 + 1


@given(st.floats(-1e-4, 1e-4), st.integers(0, 10**12), st.floats(0, 1), delays, delays)
def test_no_stamp_of_an_even_clock_is_further_off_than_the_error(rate, length_ns, at, one, two):
    def measured(moment_ns, error_ns):
        return Offset(round(rate * moment_ns), error_ns)

    before, after = measured(0, one), measured(length_ns, two)
    off_ns = rate * at * length_ns - before.offset_ns
    assert abs(off_ns) <= error_ns(before, after) + 1
