"""Ratios with intervals, verdicts at limits: against scipy's own paired bootstrap, against
coverage, and on the edges.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from accuracy import resampling
from accuracy.gate import ratios as gate
from accuracy.gate.ratios import Ratio, Verdict, join, judge, ratios
from harness.kernel.errors import BadInput


def drawn(n, seed=0, loss=0.02, spread=0.05):
    """(candidate, reference): scores of which the candidate loses a little."""
    rng = np.random.default_rng(seed)
    reference = rng.beta(3, 4, n)
    return reference * (1 - loss) + rng.normal(0, spread, n), reference


def one(candidate, reference, **options) -> Ratio:
    (found,) = ratios({"rouge1": candidate}, {"rouge1": reference}, **{"resamples": 400, **options})
    return found


def ratio(value, low, high, n=100) -> Ratio:
    return Ratio("rouge1", 0.0, 0.0, value, low, high, n)


# ---- ratios


@pytest.mark.parametrize("n", [2, 37, 400])
def test_the_interval_is_scipys_paired_percentile_bootstrap(n):
    candidate, reference = drawn(n)
    wanted = bootstrap(
        (candidate, reference),
        lambda a, b, axis: a.mean(axis) / b.mean(axis),
        paired=True,
        vectorized=True,
        n_resamples=400,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(resampling.SEED),
    ).confidence_interval
    found = one(candidate, reference, confidence=90)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), rel=1e-12)
    assert found.value == pytest.approx(candidate.mean() / reference.mean(), rel=1e-15)


def test_it_covers_the_truth_about_as_often_as_it_says():
    """True ratio 0.98; 300 experiments of 100 samples; a 95 % interval misses 15 of them, give or
    take.
    """
    found = [one(*drawn(100, seed=i, loss=0.02)) for i in range(300)]
    misses = sum(not r.low <= 0.98 <= r.high for r in found)
    assert 4 <= misses <= 33


def test_the_same_scores_give_the_same_interval_and_the_same_draw_serves_every_ratio():
    candidate, reference = drawn(50)
    pair = ratios({"a": candidate, "b": 2 * candidate}, {"a": reference, "b": reference}, 200)
    assert pair == ratios(
        {"a": candidate, "b": 2 * candidate}, {"a": reference, "b": reference}, 200
    )
    assert (pair[1].low, pair[1].high) == pytest.approx(
        (2 * pair[0].low, 2 * pair[0].high), rel=1e-12
    )


scores = st.lists(st.floats(0, 1), min_size=2, max_size=20).map(np.array)


@given(scores)
@settings(max_examples=50, deadline=None)
def test_equal_scores_are_exactly_1_and_pass_everywhere(values):
    values[0] = 0.5  # nothing over nothing is no share
    found = one(values, values.copy(), resamples=100)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    assert judge(found, 1.0) == Verdict("PASS", "PASS")


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), min_size=2, max_size=20).map(np.array)
)
@settings(max_examples=50, deadline=None)
def test_no_interval_leaves_the_range_of_the_single_ratios(pairs):
    found = one(pairs[:, 0], pairs[:, 1], resamples=100)
    single = pairs[:, 0] / pairs[:, 1]
    assert single.min() - 1e-9 <= found.low <= found.high <= single.max() + 1e-9


def test_a_reference_without_a_score_leaves_no_ratio():
    found = one(np.array([0.1, 0.2]), np.zeros(2))
    assert (found.value, found.low, found.high) == (None, None, None)
    assert judge(found, 0.99) == Verdict("UNDECIDED", "UNDECIDED")


def test_where_some_draw_has_no_score_there_is_a_figure_and_no_interval():
    found = one(np.array([0.1, 0.2]), np.array([0.0, 0.2]))
    assert (found.value, found.low, found.high) == (pytest.approx(1.5), None, None)
    assert judge(found, 0.99) == Verdict("UNDECIDED", "PASS")


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_samples_are_refused(n):
    with pytest.raises(BadInput, match="at least 2"):
        one(np.ones(n), np.ones(n))


def test_memory_is_bounded_by_batches_and_progress_hears_of_each():
    heard: list[int] = []
    candidate, reference = drawn(24_576)
    one(candidate, reference, resamples=100, progress=heard.append)
    assert heard[-1] == 100
    assert max(np.diff([0, *heard])) * 24_576 * 8 <= 2**23


# ---- verdicts


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.99, 1.01, "PASS"),
        (0.9899, 1.01, "UNDECIDED"),
        (0.97, 0.99, "UNDECIDED"),
        (0.97, 0.9899, "FAIL"),
        (1.0, 1.0, "PASS"),
    ],
)
def test_an_interval_passes_from_its_limit_on_and_fails_below_it(low, high, word):
    assert judge(ratio((low + high) / 2, low, high), 0.99).status == word


def test_the_official_verdict_is_the_figures():
    assert judge(ratio(0.9901, 0.97, 1.01), 0.99)[:2] == ("UNDECIDED", "PASS")
    assert judge(ratio(0.9899, 0.97, 1.01), 0.99)[:2] == ("UNDECIDED", "FAIL")
    assert judge(ratio(0.99, 0.97, 1.01), 0.99).official == "PASS"


@pytest.mark.parametrize(
    ("value", "low", "high", "word", "needed"),
    [
        (1.0, 0.95, 1.05, "PASS", None),
        (1.0, 0.85, 1.05, "UNDECIDED", 225),  # (0.15 / 0.1)^2
        (1.05, 0.95, 1.2, "UNDECIDED", 900),  # (0.15 / 0.05)^2
        (1.2, 1.05, 1.3, "UNDECIDED", 225),
        (1.2, 1.15, 1.3, "FAIL", None),
        (0.8, 0.7, 0.85, "FAIL", None),
    ],
)
def test_a_length_has_a_limit_on_both_sides(value, low, high, word, needed):
    found = judge(ratio(value, low, high), 0.9, 1.1)
    assert found.status == word
    assert found.needed == pytest.approx(needed, abs=1) if needed else found.needed is None


def test_how_many_samples_would_decide_goes_with_the_square_of_the_width():
    assert judge(ratio(1.0, 0.98, 1.02), 0.99).needed == pytest.approx(400, abs=1)
    assert judge(ratio(0.98, 0.96, 1.01), 0.99).needed == pytest.approx(900, abs=1)
    assert judge(ratio(0.99, 0.96, 1.01), 0.99).needed is None  # on the limit: no number would
    assert judge(ratio(0.99 + 1e-9, 0.96, 1.01), 0.99).needed is None  # more than anybody has


def test_so_many_more_samples_do_decide_it():
    """Four times the data halve the interval, as the estimate assumes."""
    candidate, reference = drawn(200, loss=0.0)
    few, many = one(candidate, reference), one(np.tile(candidate, 4), np.tile(reference, 4))
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(2, rel=0.15)


numbers = st.floats(0.5, 1.5)


@given(
    st.tuples(numbers, numbers, numbers).map(sorted),
    st.tuples(numbers, numbers).map(sorted),
    st.integers(2, 10**6),
)
def test_verdicts_agree_with_one_another(ends, limits, n):
    low, value, high = ends
    easy, hard = (judge(ratio(value, low, high, n), limit) for limit in limits)
    if hard.status == "PASS":
        assert easy.status == "PASS"
    if easy.status == "FAIL":
        assert hard.status == "FAIL"
    for found in (easy, hard):
        assert found.status in (found.official, "UNDECIDED")
        assert found.needed is None or found.status == "UNDECIDED"
        assert found.needed is None or found.needed > n


P, F, U = Verdict("PASS", "PASS"), Verdict("FAIL", "FAIL"), Verdict("UNDECIDED", "PASS", 300)


@pytest.mark.parametrize(
    ("calls", "joined"),
    [
        ([P, P], P),
        ([P, F, U], F),
        ([P, U], U),
        (
            [U, Verdict("UNDECIDED", "PASS", 900)],
            Verdict("UNDECIDED", "PASS", 900),
        ),  # all have to pass
        (
            [U, Verdict("UNDECIDED", "FAIL", 100)],
            Verdict("UNDECIDED", "FAIL", 100),
        ),  # one FAIL is enough
        ([U, Verdict("UNDECIDED", "PASS", None)], Verdict("UNDECIDED", "PASS", None)),
        (
            [Verdict("UNDECIDED", "FAIL", None), Verdict("UNDECIDED", "FAIL", 50)],
            Verdict("UNDECIDED", "FAIL", 50),
        ),
        ([P, Verdict("UNDECIDED", "UNDECIDED")], Verdict("UNDECIDED", "UNDECIDED")),
        ([], Verdict("UNDECIDED", "UNDECIDED")),
    ],
)
def test_several_are_joined_by_the_worst(calls, joined):
    assert join(calls) == joined


# ---- MLPerf's targets, and a text against itself


@pytest.mark.parametrize(
    ("name", "least"),
    [
        (
            "llama2-70b-99.9",
            {"rouge1": 44.3867688, "rouge2": 22.0131648, "rougeL": 28.5875838, "tokens": 265.005},
        ),
        (
            "llama3.1-8b",
            {"rouge1": 38.391408, "rouge2": 15.748425, "rougeL": 24.250743, "rougeLsum": 35.43507},
        ),
        ("llama3.1-8b-edge", {"characters": 2_746_001.7 / 5000}),
        ("mixtral-8x7b", {"tokens": 130.356}),
        ("llama3.1-405b", {"rougeL": 21.449934, "tokens": 616.212}),
        ("gpt-j-99", {"characters": 3_615_190.2 / 13_368}),
    ],
)
def test_the_published_targets_are_the_submission_checkers(name, least):
    target = gate.PUBLISHED[name]
    figures = target.figures()
    for key, value in least.items():
        share = target.share if key.startswith("rouge") else target.length[0]
        unit = 100 if key.startswith("rouge") else 1
        assert share * figures[key] * unit == pytest.approx(value, rel=1e-9)


def test_gpt_js_answers_may_be_as_long_as_they_like():
    assert gate.PUBLISHED["gpt-j-99.9"].length == (0.9, math.inf)


def test_a_text_against_itself_is_exactly_1_whatever_rouge_says():
    kinds = ("rouge1", "rouge2", "rougeL", "rougeLsum")
    rows = np.array([[0, 0, 0, 0], [1, 0, 1, 1], [0.5, 0, 0.5, 0.5], [0, 0, 0, 0]])
    found = gate.against_itself(rows, np.array([True, False, False, False]), kinds)
    assert found.tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [0.5, 0, 0.5, 0.5], [0, 0, 0, 0]]
