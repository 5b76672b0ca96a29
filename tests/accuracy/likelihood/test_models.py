"""Models beside models: paired differences, what a context is worth, and what must not be
compared.
"""

import math

import pytest

from accuracy.likelihood.figures import corpus
from accuracy.likelihood.models import gain
from harness.kernel.errors import BadInput
from tests.perplexity_helpers import better, drawn, scored, slowest_s, texts


def test_a_paired_gain_sees_what_two_intervals_hide():
    small = drawn(40, 60)
    big = better(small, 0.97)
    a, b, change = corpus(small).loss_nats, corpus(big).loss_nats, gain(small, big)
    assert b.high > a.low
    assert change.loss_nats.value == pytest.approx(a.value - b.value)
    assert change.loss_nats.low > 0
    assert change.loss_nats.excludes_zero
    assert change.perplexity_ratio.value == pytest.approx(math.exp(b.value - a.value))


def test_a_model_gains_nothing_over_itself():
    found = drawn(9, 10)
    change = gain(found, found[::-1])
    assert change.loss_nats == (0, 0, 0)
    assert change.perplexity_ratio == (1, 1, 1)
    assert not change.loss_nats.excludes_zero


def test_losses_beyond_any_perplexity_have_a_gain():
    found = texts([[3e38, 1.0]] * 3 + [[2.0]] * 5)
    assert gain(found, found).loss_nats.value == 0


def test_other_texts_cannot_be_paired():
    with pytest.raises(BadInput, match="'t1' on the second"):
        gain(texts([[1.0]]), texts([[1.0], [2.0]]))
    with pytest.raises(BadInput, match="two texts of one id"):
        gain([scored([1.0]), scored([2.0])], [scored([1.0])])


def test_what_a_context_is_worth():
    base = drawn(30, 40)
    helped = better(base, 0.8)
    found = gain(base, helped)
    assert found.loss_nats.value == pytest.approx(
        corpus(base).loss_nats.value - corpus(helped).loss_nats.value
    )
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


@pytest.mark.parametrize("num_texts", [1, 60, 1000])
def test_a_hundred_thousand_tokens_take_well_under_a_second(num_texts):
    found = drawn(num_texts, 100_000 // num_texts)
    other = better(found)
    assert slowest_s([lambda t: gain(t, other)], found) < 1
