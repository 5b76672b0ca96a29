import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.kernel.stats import PERCENTILES, percentile, percentile_name, summary_ms
from tests.helpers import MS

TIMES_NS = st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=300)
PARTS = st.floats(0, 1, exclude_max=True)


@given(TIMES_NS, PARTS)
def test_percentile_is_loadgens_element_of_the_sorted_values(values, p):
    assert percentile(np.array(values), p) == sorted(values)[int(len(values) * p)]


@given(TIMES_NS)
def test_percentile_leaves_its_input_as_it_was(values):
    array = np.array(values)
    percentile(array, 0.9)
    assert array.tolist() == values


def test_percentile_does_not_interpolate():
    assert percentile(np.array([10, 20]), 0.5) == 20
    assert percentile(np.array([10, 20]), 0.49) == 10


def test_percentile_of_nothing_is_nothing():
    assert percentile(np.empty(0, np.int64), 0.9) is None


@pytest.mark.parametrize(
    ("p", "name"), [(0.5, "p50"), (0.9, "p90"), (0.97, "p97"), (0.999, "p99.9"), (0.07, "p7")]
)
def test_percentile_name(p, name):
    assert percentile_name(p) == name


def test_summary_of_the_hundred_first_milliseconds():
    row = summary_ms(np.arange(100, dtype=np.int64)[::-1] * MS)
    assert row == {
        "mean": 49.5, "p50": 50.0, "p90": 90.0, "p95": 95.0, "p97": 97.0, "p99": 99.0,
        "p99.9": 99.0, "max": 99.0, "n": 100,
    }  # fmt: skip


@given(TIMES_NS)
def test_summary_agrees_with_percentile(values):
    row = summary_ms(np.array(values))
    assert [row[percentile_name(p)] for p in PERCENTILES] == [
        percentile(np.array(values), p) / 1e6 for p in PERCENTILES
    ]
    assert (row["max"], row["n"]) == (max(values) / 1e6, len(values))


def test_summary_of_nothing_is_none_and_never_zero():
    row = summary_ms(np.empty(0, np.int64))
    assert row.pop("n") == 0
    assert set(row.values()) == {None}
