"""Perplexity and its kin: against direct float64, scipy and numpy; what is refused, and what a few tokens may claim."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from accuracy import perplexity as p
from accuracy.perplexity import (
    TextScores,
    by_category,
    by_kind,
    by_label,
    by_length,
    by_position,
    by_sentence,
    comparable,
    corpus,
    difference,
    extremes,
    gain,
    hardest,
    hardest_ids,
    largest_gains,
    length_trend,
    per_text,
    ranked,
    spread,
)
from harness.errors import BadInput

losses = st.lists(st.floats(0, 30, width=32), max_size=12)
corpora = st.lists(losses, max_size=9)


def scored(nll, text_id="t", category="", num_bytes=None, ids=None, ends=None, correct=None):
    """A text whose tokens are four characters each, unless said otherwise."""
    n = len(nll)
    ends = np.arange(1, n + 1) * 4 if ends is None else np.asarray(ends)
    return TextScores(
        text_id,
        category,
        np.asarray(np.arange(n) if ids is None else ids, np.int32),
        np.asarray(np.concatenate([[0], ends[:-1]])[:n], np.int32),
        np.asarray(ends, np.int32),
        np.asarray(nll, np.float32),
        np.asarray(np.asarray(nll) < 1 if correct is None else correct, np.bool_),
        4 * n if num_bytes is None else num_bytes,
    )


def texts(rows, category=lambda i: ""):
    return [scored(row, f"t{i}", category(i)) for i, row in enumerate(rows)]


def drawn(num_texts, num_tokens, seed=0, mean=3.0, categories=1):
    """Texts of a difficulty of their own; those of one seed have the same lengths and tokens whatever their mean."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(num_tokens // 2, num_tokens * 3 // 2, num_texts)
    return texts([rng.exponential(mean * rng.lognormal(0, 0.2), n) for n in lengths], lambda i: "abcdef"[i % categories])


def better(given_texts, factor=0.9, seed=3):
    rng = np.random.default_rng(seed)
    return [
        scored(text.nll_nats * factor * rng.lognormal(0, 0.1, len(text)), text.text_id, text.category)
        for text in given_texts
    ]


# ---- the corpus


@hypothesis_settings(deadline=None)
@given(corpora)
def test_the_corpus_is_the_mean_of_all_tokens_in_float64(rows):
    found = corpus(texts(rows))
    every = [np.float64(np.float32(x)) for row in rows for x in row]
    assert (found.texts, found.unscored, found.tokens) == (sum(map(bool, rows)), rows.count([]), len(every))
    if not every:
        assert found.loss_nats.value is found.perplexity.value is found.bits_per_byte.value is found.accuracy.value is None
        return
    mean = math.fsum(every) / len(every)
    assert found.loss_nats.value == pytest.approx(mean, rel=1e-12)
    assert found.perplexity.value == pytest.approx(math.exp(mean), rel=1e-11)
    assert found.bits_per_byte.value == pytest.approx(mean / 4 / math.log(2), rel=1e-12)
    assert found.accuracy.value == pytest.approx(np.mean(np.array(every) < 1))


@hypothesis_settings(deadline=None)
@given(corpora)
def test_intervals_are_ordered_and_hold_the_figure(rows):
    found = corpus(texts(rows))
    for estimate in (found.loss_nats, found.perplexity, found.bits_per_byte, found.accuracy):
        if found.texts < p.FEWEST_TEXTS:
            assert estimate.low is estimate.high is None
        else:
            assert estimate.low <= estimate.value <= estimate.high


def test_a_long_text_weighs_more_than_a_short_one():
    found = texts([[1.0] * 9, [11.0]])
    assert corpus(found).loss_nats.value == 2
    assert spread(found).geometric_mean.value == pytest.approx(math.exp(6))
    assert spread(found).mean.value == pytest.approx((math.exp(1) + math.exp(11)) / 2)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    assert corpus(texts([[math.log(512)] * 7] * 6)).perplexity.value == pytest.approx(512, rel=1e-6)
    byte_model = scored([math.log(256)] * 8, num_bytes=8)
    assert corpus([byte_model]).bits_per_byte.value == pytest.approx(8, rel=1e-6)


def test_the_interval_is_scipy_s_percentile_bootstrap_at_student_s_tail():
    rng = np.random.default_rng(4)
    rows = [rng.exponential(2, rng.integers(5, 40)).astype(np.float32) for _ in range(12)]
    found = corpus(texts(rows)).loss_nats
    tail = stats.norm.cdf(math.sqrt(12 / 11) * stats.t.ppf(0.025, 11))
    sums, counts = np.array([row.sum() for row in rows]), np.array([len(row) for row in rows])
    official = stats.bootstrap(
        (sums, counts), lambda s, c, axis: s.sum(axis) / c.sum(axis), paired=True, vectorized=True, method="percentile",
        n_resamples=10_000, confidence_level=1 - 2 * tail, rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    width = official.high - official.low
    assert found.low == pytest.approx(official.low, abs=0.03 * width)
    assert found.high == pytest.approx(official.high, abs=0.03 * width)


@pytest.mark.parametrize("n", [6, 20])
def test_intervals_hold_the_truth_about_as_often_as_they_say(n):
    rng, hits = np.random.default_rng(8), 0
    for _ in range(300):
        sums = rng.lognormal(1, 0.25, (n, 1)) * np.array([[100.0, 0]]) + np.array([[0.0, 100]])
        draws = p.resampled(sums, 1_000)
        found = p.ratio(*sums.sum(axis=0), draws[:, 0], draws[:, 1], n)
        hits += found.low <= math.exp(1 + 0.25**2 / 2) <= found.high
    assert 0.90 <= hits / 300 <= 0.99


def test_the_same_scores_give_the_same_interval_and_the_order_of_texts_no_other_figure():
    found = drawn(20, 30)
    assert corpus(found) == corpus(found)
    turned = corpus(found[::-1])
    assert turned.loss_nats.value == pytest.approx(corpus(found).loss_nats.value, rel=1e-12)
    assert turned.loss_nats.low == pytest.approx(corpus(found).loss_nats.low, rel=0.01)


def test_texts_all_alike_leave_no_doubt():
    found = corpus(texts([[2.5, 2.5]] * 9))
    assert found.loss_nats == pytest.approx((2.5, 2.5, 2.5))
    assert found.accuracy == (0, 0, 0)


def test_a_huge_loss_is_an_infinite_perplexity_and_no_warning():
    found = texts([[3e38, 1.0]] * 3 + [[2.0]] * 5)
    figures = corpus(found)
    assert figures.perplexity.value == figures.perplexity.high == math.inf
    assert figures.loss_nats.value == pytest.approx(9e38 / 11, rel=1e-6)
    assert spread(found).mean.value == spread(found).highest == math.inf
    assert spread(found).median == pytest.approx(math.exp(2))
    assert difference(found, found).loss_nats.value == 0


def test_bytes_that_stand_for_nothing_give_no_bits():
    figures = corpus([scored([1.0], num_bytes=0)])
    assert figures.bits_per_byte.value is None
    assert figures.loss_nats.value == 1


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_named(broken):
    with pytest.raises(BadInput, match=r"text 'x'.* at token 1"):
        scored([1.0, broken, broken], "x")


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(BadInput, match="2 correct"):
        scored([1.0, 2.0, 3.0], correct=[True, False])


# ---- groups


def test_each_category_is_a_corpus_of_its_own():
    found = drawn(30, 20, categories=3)
    by = by_category(found)
    assert list(by) == ["a", "b", "c"]
    assert by["b"] == corpus([text for text in found if text.category == "b"])
    assert by_category([]) == {}
    assert by_category(found[:1]) == {"a": corpus(found[:1])}


def test_positions_fall_into_bins_that_double():
    found = by_position(texts([[0, 1, 2, 3, 4], [10]]))
    assert {at: (f.tokens, f.texts, f.loss_nats.value) for at, f in found.items()} == {
        (0, 0): (2, 2, 5), (1, 1): (1, 1, 1), (2, 3): (2, 1, 2.5), (4, 7): (1, 1, 4),
    }  # fmt: skip
    assert by_position([]) == {}


def test_bins_may_be_given():
    found = by_position(texts([list(range(10))]), [2, 5, 100])
    assert [(at, f.loss_nats.value) for at, f in found.items()] == [((2, 4), 3), ((5, 99), 7)]
    with pytest.raises(BadInput, match="edges"):
        by_position([], [3, 3])


@hypothesis_settings(deadline=None)
@given(corpora)
def test_every_token_is_in_one_bin(rows):
    found = texts(rows)
    bins = by_position(found).values()
    assert sum(f.tokens for f in bins) == corpus(found).tokens
    total = sum(f.tokens * f.loss_nats.value for f in bins)
    assert total == pytest.approx(float(sum(text.nll_nats.sum(dtype=np.float64) for text in found)), abs=1e-6)


def test_a_group_that_few_texts_have_has_no_interval_and_one_that_most_have_is_theirs_alone():
    found = texts([[1.0 + i, 5.0] for i in range(8)])
    labels = [np.array([0, 1 if i < 4 else -1]) for i in range(8)]
    by = by_label(found, labels, ["all", "few", "none"])
    assert list(by) == ["all", "few"]
    assert by["few"].loss_nats == (5, None, None)
    assert by["few"].texts == by["few"].unscored == 4
    assert by["all"].loss_nats.low < 4.5 < by["all"].loss_nats.high
    with pytest.raises(BadInput, match="1 labels"):
        by_label(found[:1], [np.array([0])], ["all"])


def test_more_groups_than_are_resampled_at_once():
    found = drawn(6, 400)
    by = by_label(found, [np.arange(len(text)) for text in found], range(400))
    assert by[150] == by_label(found, [np.arange(len(text)) - 150 for text in found], [150])[150]


STORY = 'Mr. Bo went home. "Why?" he said.\nIt rained.'


def test_tokens_are_told_apart_by_their_sentence():
    ends = [3, 6, 11, 17, 18, 24, 33, len(STORY)]
    found = by_sentence([scored([1, 2, 3, 4, 9, 9, 9, 7], "s", ends=ends)], {"s": STORY})
    got = [(number, f.tokens, f.loss_nats.value) for number, f in found.items()]
    assert got == [(1, 4, 2.5), (2, 2, 9), (3, 1, 9), (4, 1, 7)]
    lumped = by_sentence([scored([1, 2, 3, 4, 9, 9, 9, 7], "s", ends=ends)], {"s": STORY}, most=2)
    assert [(number, f.tokens) for number, f in lumped.items()] == [(1, 4), (2, 4)]


def test_tokens_are_told_apart_by_their_kind():
    found = by_kind([scored([1, 2, 3, 4, 9, 9, 9, 7], "s", ends=[3, 6, 11, 17, 18, 24, 33, len(STORY)])], {"s": STORY})
    assert {kind: f.tokens for kind, f in found.items()} == {"word_start": 6, "name": 1, "space": 1}


def test_the_wrong_text_or_none_is_named():
    with pytest.raises(BadInput, match="no text 's'"):
        by_kind([scored([1.0], "s")], {})
    with pytest.raises(BadInput, match="character 4; the text has 2"):
        by_sentence([scored([1.0], "s")], {"s": "ab"})


# ---- texts beside texts


def test_per_text_and_its_spread():
    found = drawn(40, 25, categories=2)
    single = np.array([f.perplexity.value for f in per_text(found)])
    got = spread(found)
    assert (got.mean.value, got.geometric_mean.value) == pytest.approx((single.mean(), stats.gmean(single)))
    assert got.deviation == pytest.approx(single.std(ddof=1))
    assert (got.lowest, got.highest) == pytest.approx((single.min(), single.max()))
    assert got.median == pytest.approx(np.exp(np.median(np.log(single))))
    assert got.mean.low < got.mean.value < got.mean.high


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


def test_the_texts_with_the_lowest_and_highest_perplexity():
    found = texts([[3.0], [1.0, 1.0], [], [9.0], [2.0, 2.0]])
    assert extremes(found, 2) == (["t1", "t4"], ["t3", "t0"])
    assert extremes(found, 5, at_least=2) == (["t1", "t4"], ["t4", "t1"])
    assert extremes([], 3) == ([], [])


# ---- tokens


@given(corpora, st.integers(0, 30))
def test_the_hardest_tokens_are_those_of_a_full_sort(rows, count):
    places = [(-np.float32(x), i, k) for i, row in enumerate(rows) for k, x in enumerate(row)]
    found = hardest(texts(rows), count)
    assert [(-token.nll_nats, int(token.text_id[1:]), token.position) for token in found] == sorted(places)[:count]


def test_a_hard_token_says_where_it_stands():
    (token,) = hardest([scored([0.5, 7.0, 0.1], "x", ids=[5, 6, 7], ends=[2, 9, 11])], 1)
    assert token == ("x", 1, 6, 2, 9, 7.0, False)


def test_the_hardest_of_the_vocabulary_come_often_enough():
    found = [scored([9.0, 1.0, 3.0], ids=[1, 2, 3]), scored([2.0, 5.0], ids=[2, 3])]
    assert hardest_ids(found, 5, at_least=2) == [(3, 2, 4.0), (2, 2, 1.5)]
    assert hardest_ids([], 5) == []


def test_where_the_better_model_gains_most():
    small, big = texts([[5.0, 1.0], [4.0]]), texts([[1.0, 2.0], [1.0]])
    found = largest_gains(small, big, 5)
    assert [(g.token.text_id, g.token.position, g.gain_nats) for g in found] == [("t0", 0, 4), ("t1", 0, 3)]
    assert [g.gain_nats for g in largest_gains(big, small, 5)] == [1]


# ---- models beside models


def test_a_paired_difference_sees_what_two_intervals_hide():
    small = drawn(40, 60)
    big = better(small, 0.97)
    a, b, change = corpus(small).loss_nats, corpus(big).loss_nats, difference(big, small)
    assert b.high > a.low
    assert change.loss_nats.value == pytest.approx(b.value - a.value)
    assert change.loss_nats.high < 0
    assert change.loss_nats.excludes_zero
    assert change.perplexity_ratio.value == pytest.approx(math.exp(b.value - a.value))
    assert change.bits_per_byte.value == pytest.approx((b.value - a.value) / 4 / math.log(2))


def test_a_model_differs_from_itself_by_nothing():
    found = drawn(9, 10)
    change = difference(found, found[::-1])
    assert change.loss_nats == (0, 0, 0)
    assert change.perplexity_ratio == (1, 1, 1)
    assert not change.loss_nats.excludes_zero


def test_across_tokenizers_only_bits_per_byte_have_a_difference():
    ours = [scored([2.0] * 6, f"t{i}", num_bytes=24) for i in range(6)]
    theirs = [scored([3.0] * 3, f"t{i}", num_bytes=24) for i in range(6)]
    change = difference(ours, theirs)
    assert change.loss_nats.value is change.perplexity_ratio.value is change.accuracy.value is None
    assert change.bits_per_byte.value == pytest.approx((12 - 9) / 24 / math.log(2))


def test_other_texts_cannot_be_paired():
    with pytest.raises(BadInput, match="'t1' on the second"):
        difference(texts([[1.0]]), texts([[1.0], [2.0]]))
    with pytest.raises(BadInput, match="two texts of one id"):
        difference([scored([1.0]), scored([2.0])], [scored([1.0])])


def test_a_text_that_one_side_could_not_score_is_left_out():
    change = difference(texts([[1.0], [2.0]]), texts([[], [3.0]]))
    assert (change.texts, change.loss_nats.value) == (1, -1)
    assert difference([], []).loss_nats.value is None


def test_what_a_context_is_worth():
    base = drawn(30, 40)
    helped = better(base, 0.8)
    found = gain(base, helped)
    assert found.loss_nats.value == pytest.approx(corpus(base).loss_nats.value - corpus(helped).loss_nats.value)
    assert 0 < found.loss_nats.low < found.loss_nats.value < found.loss_nats.high
    assert found.perplexity_ratio.value == pytest.approx(math.exp(-found.loss_nats.value))
    tokens = [(a.nll_nats > b.nll_nats).mean() * len(a) for a, b in zip(base, helped, strict=True)]
    assert found.tokens_helped.value == pytest.approx(sum(tokens) / corpus(base).tokens)
    assert (found.base, found.conditioned) == (corpus(base), corpus(helped))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (scored([1.0, 1.0], ids=[0, 9]), "token 1 at 4-8 beside token 9 at 4-8"),
        (scored([1.0, 1.0], ends=[4, 9]), "token 1 at 4-8 beside token 1 at 4-9"),
        (scored([1.0]), "from scored token 1 on: token 1 at 4-8 beside no token"),
    ],
)
def test_a_context_must_not_change_what_is_scored(other, what):
    with pytest.raises(BadInput, match=what):
        gain([scored([1.0, 1.0])], [other])


def test_nothing_scored_gains_nothing():
    assert gain([], []).loss_nats.value is None
    assert gain([scored([])], [scored([])]).tokens_helped.value is None


def test_models_of_one_tokenizer_may_be_ranked_by_perplexity():
    small = drawn(20, 30)
    models = {"small": small, "big": better(small, 0.9), "middle": better(small, 0.95)}
    found = ranked(models, dict.fromkeys(models, "x"), "perplexity")
    assert [row.model for row in found] == ["big", "middle", "small"]
    assert found[0].behind is None
    assert found[1].behind.low > 0
    assert comparable(dict.fromkeys(models, "x")).per_token


def test_across_tokenizers_perplexity_is_refused_with_the_reason_and_bits_are_not():
    small = drawn(20, 30)
    coarse = [scored(text.nll_nats[: len(text) // 2] * 1.9, text.text_id, num_bytes=text.num_bytes) for text in small]
    models, tokenizers = {"fine": small, "coarse": coarse}, {"fine": "x", "coarse": "y"}
    verdict = comparable(tokenizers)
    assert (verdict.per_token, verdict.groups) == (False, [["fine"], ["coarse"]])
    with pytest.raises(BadInput, match="Bits per byte counts the same bytes for all"):
        ranked(models, tokenizers, "perplexity")
    by_bits = ranked(models, tokenizers, "bits_per_byte")
    assert [row.model for row in by_bits] == ["coarse", "fine"]
    assert corpus(coarse).perplexity.value > corpus(small).perplexity.value


def test_a_ranking_needs_the_same_texts_and_something_scored():
    with pytest.raises(BadInput, match="'t1' on the second"):
        ranked({"a": texts([[1.0]]), "b": texts([[1.0], [2.0]])}, {"a": "x", "b": "x"}, "bits_per_byte")
    with pytest.raises(BadInput, match="a has nothing scored"):
        ranked({"a": texts([[]])}, {"a": "x"}, "perplexity")
    assert ranked({}, {}, "perplexity") == []


# ---- length


def of_lengths(lengths, values, category=lambda i: ""):
    return [scored([v] * 2, f"t{i}", category(i), num_bytes=n) for i, (n, v) in enumerate(zip(lengths, values, strict=True))]


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
    assert found.adjusted[""].value == pytest.approx(official.intercept + official.slope * np.log2(found.at_bytes))


def test_categories_are_compared_at_one_length():
    rng = np.random.default_rng(2)
    kind = np.arange(80) % 2
    lengths = np.where(kind, rng.integers(1000, 9000, 80), rng.integers(50, 900, 80))
    values = (5 - 0.3 * np.log2(lengths) + rng.normal(0, 0.05, 80)).astype(np.float32)
    found = length_trend(of_lengths(lengths, values, lambda i: "ab"[kind[i]]), at_bytes=1000)
    columns = np.stack([kind == 0, kind == 1, np.log2(lengths / 1000)], axis=1).astype(float)
    a, b, slope = np.linalg.lstsq(columns, values, rcond=None)[0]
    assert (found.adjusted["a"].value, found.adjusted["b"].value, found.within.value) == pytest.approx((a, b, slope))
    assert found.adjusted["a"].low < found.adjusted["b"].value < found.adjusted["a"].high
    by = by_category(of_lengths(lengths, values, lambda i: "ab"[kind[i]]))
    assert by["a"].loss_nats.low > by["b"].loss_nats.high


@pytest.mark.parametrize("lengths", [[], [5], [7] * 9, [7, 7, 7, 7, 7, 9]])
def test_lengths_that_say_little_are_no_trouble(lengths):
    found = length_trend(of_lengths(lengths, np.linspace(1, 2, len(lengths))))
    assert found.texts == len(lengths)
    assert (found.slope.value is None) == (len(set(lengths)) < 2)


def test_a_length_of_nothing_is_refused():
    with pytest.raises(BadInput, match="0 bytes"):
        length_trend(of_lengths([3], [1.0]), at_bytes=0)


def test_thirds_by_length_keep_texts_of_one_length_together():
    found = by_length(of_lengths([10, 20, 30, 40, 50, 60], [1, 1, 2, 2, 3, 3]))
    got = [(part.shortest, part.longest, part.figures.loss_nats.value) for part in found]
    assert got == [(10, 20, 1), (30, 40, 2), (50, 60, 3)]
    assert len(by_length(of_lengths([10] * 6, range(6)))) == 1
    assert [part.figures.texts for part in by_length(of_lengths([10, 10, 10, 10, 99], range(5)))] == [4, 1]
    assert by_length([]) == []


# ---- speed


@pytest.mark.parametrize("num_texts", [1, 60, 1000])
def test_a_hundred_thousand_tokens_take_well_under_a_second(num_texts):
    found = drawn(num_texts, 100_000 // num_texts, categories=5)
    other = better(found)
    documents = {text.text_id: "Ab. " * len(text) for text in found}
    figures = [
        corpus, per_text, by_category, by_position, spread, length_trend, by_length, lambda t: by_kind(t, documents),
        lambda t: by_sentence(t, documents), lambda t: hardest(t, 50), lambda t: hardest_ids(t, 50),
        lambda t: largest_gains(t, other, 50), lambda t: difference(t, other), lambda t: gain(t, other),
    ]  # fmt: skip
    slowest = 0.0
    for figure in figures:
        start = time.thread_time()
        figure(found)
        slowest = max(slowest, time.thread_time() - start)
    assert slowest < 1
