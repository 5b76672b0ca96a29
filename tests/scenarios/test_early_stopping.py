"""Is this LoadGen's early stopping? Its published table, its defining inequality, and what must
hold for any numbers.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import betainc

from scenarios.early_stopping import CONFIDENCE, estimate_rank, over_allowed, queries_needed

OVER = (0, 1, 2, 5, 10, 50, 100)
TABLE = {  # loadgen.md 2.3
    0.90: (44, 64, 81, 127, 197, 681, 1246),
    0.95: (90, 130, 165, 259, 398, 1372, 2504),
    0.97: (152, 219, 277, 433, 667, 2293, 4182),
    0.99: (459, 662, 838, 1307, 2010, 6898, 12571),
    0.999: (4603, 6636, 8403, 13105, 20140, 69058, 125826),
}
CELLS = [(p, over, n) for p, row in TABLE.items() for over, n in zip(OVER, row, strict=True)]
percentiles = st.sampled_from([0.5, 0.9, 0.95, 0.97, 0.99])


@pytest.mark.parametrize(("p", "over", "n"), CELLS)
def test_the_run_length_is_that_of_loadgens_table(p, over, n):
    assert queries_needed(over, p) == n


@pytest.mark.parametrize(("p", "over", "n"), CELLS)
def test_a_table_row_is_just_long_enough_for_its_overs(p, over, n):
    assert over_allowed(n, p) == over
    assert over_allowed(n - 1, p) == (over - 1 if over else None)


@pytest.mark.parametrize(
    ("n", "allowed"), [(5_000, 33), (13_368, 107), (24_576, 209), (49_152, 440), (270_336, 2_583)]
)
def test_server_runs_of_mlperf_lengths_allow_the_published_number_over_p99(n, allowed):
    assert over_allowed(n, 0.99) == allowed


@given(st.integers(0, 400), percentiles)
def test_the_run_length_is_the_smallest_that_satisfies_the_inequality(over, p):
    h = queries_needed(over, p) - over
    assert betainc(h, over + 1, p) < 1 - CONFIDENCE
    assert h == 1 or betainc(h - 1, over + 1, p) >= 1 - CONFIDENCE


@given(st.integers(0, 400), percentiles)
def test_so_few_overs_would_be_a_one_percent_accident_if_the_tail_were_too_fat(over, p):
    """The same inequality as a sentence about coin tosses, from scipy's binomial distribution."""
    n = queries_needed(over, p)
    assert stats.binom.cdf(over, n, 1 - p) < 0.01
    assert stats.binom.cdf(over, n - 1, 1 - p) >= 0.01


@given(st.integers(0, 500), percentiles)
def test_each_query_over_the_limit_asks_for_more_queries(over, p):
    assert queries_needed(over + 1, p) > queries_needed(over, p) + 1


@given(st.integers(0, 300))
def test_a_higher_percentile_asks_for_more_queries(over):
    needed = [queries_needed(over, p) for p in (0.5, 0.9, 0.95, 0.97, 0.99)]
    assert needed == sorted(set(needed))


@given(st.integers(1, 20_000), percentiles)
def test_the_allowance_is_the_largest_that_fits(n, p):
    allowed = over_allowed(n, p)
    assert queries_needed(0 if allowed is None else allowed + 1, p) > n
    assert allowed is None or queries_needed(allowed, p) <= n


@given(st.integers(1, 20_000), percentiles)
def test_one_query_more_never_lowers_the_allowance(n, p):
    fewer, more = (-1 if a is None else a for a in (over_allowed(n, p), over_allowed(n + 1, p)))
    assert fewer <= more <= fewer + 1


@given(st.integers(1, 20_000), percentiles)
def test_the_allowed_share_stays_below_the_tail_itself(n, p):
    assert (over_allowed(n, p) or 0) < n * (1 - p)


@pytest.mark.parametrize(("p", "least"), [(0.90, 64), (0.99, 662)])
def test_an_estimate_needs_the_run_length_that_allows_one_over(p, least):
    assert estimate_rank(least - 1, p) is None
    assert estimate_rank(least, p) == least - 1  # nothing is discarded yet: the maximum


@settings(deadline=None)  # beta functions, on a machine that others may use too
@given(st.integers(64, 20_000))
def test_the_estimate_is_the_highest_latency_but_for_those_allowed_over(n):
    rank = estimate_rank(n, 0.90)
    assert n - rank == max(t for t in range(1, n) if t <= over_allowed(n, 0.90))
    assert int(n * 0.90) <= rank <= n - 1  # never below the plain percentile
