"""Tokens by place, sentence and kind, and the single ones that cost or gain most: against a full
sort, and odd input.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accuracy.likelihood.figures import corpus
from accuracy.likelihood.tokens import (
    by_kind,
    by_label,
    by_position,
    by_sentence,
    hardest,
    largest_gains,
)
from harness.kernel.errors import BadInput
from tests.perplexity_helpers import better, corpora, drawn, scored, slowest_s, texts

STORY = 'Mr. Bo went home. "Why?" he said.\nIt rained.'


# ---- groups


def test_positions_fall_into_bins_that_double():
    found = by_position(texts([[0, 1, 2, 3, 4], [10]]))
    assert {at: (f.tokens, f.texts, f.loss_nats.value) for at, f in found.items()} == {
        (0, 0): (2, 2, 5), (1, 1): (1, 1, 1), (2, 3): (2, 1, 2.5), (4, 7): (1, 1, 4),
    }  # fmt: skip
    assert by_position([]) == {}


@hypothesis_settings(deadline=None)
@given(corpora)
def test_every_token_is_in_one_bin(rows):
    found = texts(rows)
    bins = by_position(found).values()
    assert sum(f.tokens for f in bins) == corpus(found).tokens
    total = sum(f.tokens * f.loss_nats.value for f in bins)
    assert total == pytest.approx(
        float(sum(text.nll_nats.sum(dtype=np.float64) for text in found)), abs=1e-6
    )


def test_a_group_that_few_texts_have_has_no_interval_and_one_that_most_have_is_theirs_alone():
    found = texts([[1.0 + i, 5.0] for i in range(8)])
    labels = [np.array([0, 1 if i < 4 else -1]) for i in range(8)]
    by = by_label(found, labels, ["all", "few", "none"])
    assert list(by) == ["all", "few"]
    assert by["few"].loss_nats == (5, None, None)
    assert by["few"].texts == 4
    assert by["all"].loss_nats.low < 4.5 < by["all"].loss_nats.high
    with pytest.raises(BadInput, match="1 labels"):
        by_label(found[:1], [np.array([0])], ["all"])


def test_more_groups_than_are_resampled_at_once():
    found = drawn(6, 400)
    by = by_label(found, [np.arange(len(text)) for text in found], range(400))
    assert by[150] == by_label(found, [np.arange(len(text)) - 150 for text in found], [150])[150]


def test_tokens_are_told_apart_by_their_sentence():
    ends = [3, 6, 11, 17, 18, 24, 33, len(STORY)]
    found = by_sentence([scored([1, 2, 3, 4, 9, 9, 9, 7], "s", ends=ends)], {"s": STORY})
    got = [(number, f.tokens, f.loss_nats.value) for number, f in found.items()]
    assert got == [(1, 4, 2.5), (2, 2, 9), (3, 1, 9), (4, 1, 7)]


def test_the_tenth_sentence_and_all_later_ones_are_one_group():
    many = "One two. " * 12
    found = by_sentence([scored([1] * 12, "s", ends=[9 * k + 8 for k in range(12)])], {"s": many})
    assert [(number, f.tokens) for number, f in found.items()][-1] == (10, 3)


def test_tokens_are_told_apart_by_their_kind():
    found = by_kind(
        [scored([1, 2, 3, 4, 9, 9, 9, 7], "s", ends=[3, 6, 11, 17, 18, 24, 33, len(STORY)])],
        {"s": STORY},
    )
    assert {kind: f.tokens for kind, f in found.items()} == {"word_start": 6, "name": 1, "space": 1}


def test_the_wrong_text_or_none_is_named():
    with pytest.raises(BadInput, match="no text 's'"):
        by_kind([scored([1.0], "s")], {})
    with pytest.raises(BadInput, match="character 4; the text has 2"):
        by_sentence([scored([1.0], "s")], {"s": "ab"})


# ---- single tokens


@given(corpora, st.integers(0, 30))
def test_the_hardest_tokens_are_those_of_a_full_sort(rows, count):
    places = [(-np.float32(x), i, k) for i, row in enumerate(rows) for k, x in enumerate(row)]
    found = hardest(texts(rows), count)
    assert [(-token.nll_nats, int(token.text_id[1:]), token.position) for token in found] == sorted(
        places
    )[:count]


def test_a_hard_token_says_where_it_stands():
    (token,) = hardest([scored([0.5, 7.0, 0.1], "x", ids=[5, 6, 7], ends=[2, 9, 11])], 1)
    assert token == ("x", 1, 6, 2, 9, 7.0, False)


def test_where_the_better_model_gains_most():
    small, big = texts([[5.0, 1.0], [4.0]]), texts([[1.0, 2.0], [1.0]])
    found = largest_gains(small, big, 5)
    assert [(g.token.text_id, g.token.position, g.gain_nats) for g in found] == [
        ("t0", 0, 4),
        ("t1", 0, 3),
    ]
    assert [g.gain_nats for g in largest_gains(big, small, 5)] == [1]


# ---- speed


@pytest.mark.parametrize("num_texts", [1, 60, 1000])
def test_a_hundred_thousand_tokens_take_well_under_a_second(num_texts):
    found = drawn(num_texts, 100_000 // num_texts)
    other, documents = better(found), {text.text_id: "Ab. " * len(text) for text in found}
    figures = [
        by_position, lambda t: by_kind(t, documents), lambda t: by_sentence(t, documents),
        lambda t: hardest(t, 50), lambda t: largest_gains(t, other, 50),
    ]  # fmt: skip
    assert slowest_s(figures, found) < 1
