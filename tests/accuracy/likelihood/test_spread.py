"""Texts beside texts: categories, the spread against numpy and scipy, and length against their
regressions.
"""

import math

import numpy as np
import pytest
from scipy import stats

from accuracy.likelihood.figures import corpus
from accuracy.likelihood.spread import (
    by_category,
    by_length,
    extremes,
    length_trend,
    per_text,
    spread,
)
from tests.perplexity_helpers import drawn, scored, slowest_s, texts


def test_each_category_is_a_corpus_of_its_own():
    found = drawn(30, 20, categories=3)
    by = by_category(found)
    assert list(by) == ["a", "b", "c"]
    assert by["b"] == corpus([text for text in found if text.category == "b"])
    assert by_category([]) == {}
    assert by_category(found[:1]) == {"a": corpus(found[:1])}


def test_the_texts_with_the_lowest_and_highest_perplexity():
    found = texts([[3.0], [1.0, 1.0], [], [9.0], [2.0, 2.0]])
    assert extremes(found, 2) == (["t1", "t4"], ["t3", "t0"])
    assert extremes([], 3) == ([], [])


# ---- spread


def test_per_text_and_its_spread():
    found = drawn(40, 25, categories=2)
    single = np.array([f.perplexity.value for f in per_text(found)])
    got = spread(found)
    assert (got.mean.value, got.geometric_mean.value) == pytest.approx(
        (single.mean(), stats.gmean(single))
    )
    assert got.deviation == pytest.approx(single.std(ddof=1))
    assert (got.lowest, got.highest) == pytest.approx((single.min(), single.max()))
    assert got.median == pytest.approx(np.exp(np.median(np.log(single))))
    assert got.mean.low < got.mean.value < got.mean.high


def test_in_the_spread_a_long_text_weighs_no_more_than_a_short_one():
    found = spread(texts([[1.0] * 9, [11.0]]))
    assert found.geometric_mean.value == pytest.approx(math.exp(6))
    assert found.mean.value == pytest.approx((math.exp(1) + math.exp(11)) / 2)


def test_a_huge_loss_makes_the_mean_infinite_and_leaves_the_median():
    found = spread(texts([[3e38, 1.0]] * 3 + [[2.0]] * 5))
    assert found.mean.value == found.highest == math.inf
    assert found.median == pytest.approx(math.exp(2))


def test_the_share_between_categories_is_that_of_an_analysis_of_variance():
    found = texts([[1.0], [1.5], [3.0], [4.0], [2.0]], lambda i: "aabbc"[i])
    values = np.array([1, 1.5, 3, 4, 2])
    f = stats.f_oneway(values[:2], values[2:4], values[4:]).statistic
    assert spread(found).between_categories == pytest.approx(2 * f / (2 * f + 2))
    assert spread(texts([[1.0], [1.0]], lambda i: "ab"[i])).between_categories is None
    assert spread(texts([[1.0], [2.0]])).between_categories is None


def test_nothing_to_spread():
    assert spread([]) == spread(texts([[]]))
    assert spread([]).mean.value is None
    assert spread(texts([[2.0]])).deviation is None


# ---- length


def of_lengths(lengths, values, category=lambda i: ""):
    return [
        scored([v] * 2, f"t{i}", category(i), num_bytes=n)
        for i, (n, v) in enumerate(zip(lengths, values, strict=True))
    ]


def test_the_slope_is_that_of_a_regression_on_the_logarithm_of_the_length():
    rng = np.random.default_rng(1)
    lengths = rng.integers(50, 5000, 60)
    values = (4 - 0.2 * np.log2(lengths) + rng.normal(0, 0.1, 60)).astype(np.float32)
    found = length_trend(of_lengths(lengths, values))
    official = stats.linregress(np.log2(lengths), values)
    assert found.slope.value == pytest.approx(official.slope)
    assert found.slope.value == pytest.approx(found.within.value)
    half = official.stderr * stats.t.ppf(0.975, 58)
    assert found.slope.high - found.slope.low == pytest.approx(2 * half, rel=0.3)
    assert found.adjusted[""].value == pytest.approx(
        official.intercept + official.slope * np.log2(found.at_bytes)
    )


def test_categories_are_compared_at_one_length():
    rng = np.random.default_rng(2)
    kind = np.arange(80) % 2
    lengths = np.where(kind, rng.integers(1000, 9000, 80), rng.integers(50, 900, 80))
    values = (5 - 0.3 * np.log2(lengths) + rng.normal(0, 0.05, 80)).astype(np.float32)
    found = length_trend(of_lengths(lengths, values, lambda i: "ab"[kind[i]]))
    columns = np.stack([kind == 0, kind == 1, np.log2(lengths / found.at_bytes)], axis=1).astype(
        float
    )
    a, b, slope = np.linalg.lstsq(columns, values, rcond=None)[0]
    assert (
        found.adjusted["a"].value,
        found.adjusted["b"].value,
        found.within.value,
    ) == pytest.approx((a, b, slope))
    assert found.adjusted["a"].low < found.adjusted["b"].value < found.adjusted["a"].high
    by = by_category(of_lengths(lengths, values, lambda i: "ab"[kind[i]]))
    assert by["a"].loss_nats.low > by["b"].loss_nats.high


@pytest.mark.parametrize("lengths", [[], [5], [7] * 9, [7, 7, 7, 7, 7, 9]])
def test_lengths_that_say_little_are_no_trouble(lengths):
    found = length_trend(of_lengths(lengths, np.linspace(1, 2, len(lengths))))
    assert found.texts == len(lengths)
    assert (found.slope.value is None) == (len(set(lengths)) < 2)


def test_thirds_by_length_keep_texts_of_one_length_together():
    found = by_length(of_lengths([10, 20, 30, 40, 50, 60], [1, 1, 2, 2, 3, 3]))
    got = [(part.shortest, part.longest, part.figures.loss_nats.value) for part in found]
    assert got == [(10, 20, 1), (30, 40, 2), (50, 60, 3)]
    assert len(by_length(of_lengths([10] * 6, range(6)))) == 1
    assert [
        part.figures.texts for part in by_length(of_lengths([10, 10, 10, 10, 99], range(5)))
    ] == [4, 1]
    assert by_length([]) == []


# ---- speed


@pytest.mark.parametrize("num_texts", [1, 60, 1000])
def test_a_hundred_thousand_tokens_take_well_under_a_second(num_texts):
    figures = [per_text, by_category, spread, lambda t: extremes(t, 3), length_trend, by_length]
    assert slowest_s(figures, drawn(num_texts, 100_000 // num_texts, categories=5)) < 1
