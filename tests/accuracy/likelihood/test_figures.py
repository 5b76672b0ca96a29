"""Perplexity and its kin of a corpus: against direct float64, at the ends of what floats hold, and
what is refused.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from accuracy.likelihood.figures import corpus
from accuracy.resampling import FEWEST_TEXTS
from harness.kernel.errors import BadInput
from tests.perplexity_helpers import corpora, drawn, scored, slowest_s, texts


@hypothesis_settings(deadline=None)
@given(corpora)
def test_the_corpus_is_the_mean_of_all_tokens_in_float64(rows):
    found = corpus(texts(rows))
    every = [np.float64(np.float32(x)) for row in rows for x in row]
    assert (found.texts, found.tokens) == (sum(map(bool, rows)), len(every))
    if not every:
        assert (
            found.loss_nats.value
            is found.perplexity.value
            is found.bits_per_byte.value
            is found.accuracy.value
            is None
        )
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
        if found.texts < FEWEST_TEXTS:
            assert estimate.low is estimate.high is None
        else:
            assert estimate.low <= estimate.value <= estimate.high


def test_a_long_text_weighs_more_than_a_short_one():
    assert corpus(texts([[1.0] * 9, [11.0]])).loss_nats.value == 2


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    assert corpus(texts([[math.log(512)] * 7] * 6)).perplexity.value == pytest.approx(512, rel=1e-6)
    byte_model = scored([math.log(256)] * 8, num_bytes=8)
    assert corpus([byte_model]).bits_per_byte.value == pytest.approx(8, rel=1e-6)


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
    figures = corpus(texts([[3e38, 1.0]] * 3 + [[2.0]] * 5))
    assert figures.perplexity.value == figures.perplexity.high == math.inf
    assert figures.loss_nats.value == pytest.approx(9e38 / 11, rel=1e-6)


def test_a_text_without_a_scored_token_moves_no_interval():
    found = drawn(9, 20)
    assert corpus([*found, scored([])]) == corpus(found)


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


@pytest.mark.parametrize("num_texts", [1, 60, 1000])
def test_a_hundred_thousand_tokens_take_well_under_a_second(num_texts):
    assert slowest_s([corpus], drawn(num_texts, 100_000 // num_texts)) < 1
