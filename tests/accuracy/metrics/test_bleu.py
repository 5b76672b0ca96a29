"""Is this sacrebleu's corpus BLEU? Against the package, against the formula of the paper, and by
hand.
"""

from collections import Counter
from math import exp, log

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accuracy.metrics.bleu import bleu, corpus, counts, score
from harness.kernel.types import Sample
from tests.scenario_helpers import Row, hand_log

words = st.sampled_from(["the", "a", "cat", "sat", "on", "mat", "Paris", "42", "blue."])
sentences = st.lists(words, max_size=9).map(" ".join)
pairs = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=6)


def scored(rows, references):
    samples = [Sample(i, "?", reference=reference) for i, reference in enumerate(references)]
    hand = hand_log(rows)
    found = bleu(hand, samples, np.flatnonzero(hand.completed))
    return {m.name: m.value for m in found}, {m.n for m in found}


def papers_bleu(compared):
    """Papineni et al. 2002 for words that blanks part; the product of the precisions, without
    smoothing.
    """
    right, total, ours, theirs = [0] * 4, [0] * 4, 0, 0
    for text, reference in compared:
        a, b = text.split(), reference.split()
        ours, theirs = ours + len(a), theirs + len(b)
        for n in range(4):
            grams, wanted = (
                [tuple(side[i : i + n + 1]) for i in range(len(side) - n)] for side in (a, b)
            )
            right[n] += (Counter(grams) & Counter(wanted)).total()
            total[n] += len(grams)
    if not all(right):
        return None
    penalty = min(1.0, exp(1 - theirs / ours))
    return 100 * penalty * exp(sum(log(r / t) for r, t in zip(right, total, strict=True)) / 4)


@hypothesis_settings(deadline=None)
@given(pairs)
def test_pooled_counts_score_as_the_package_scores_the_corpus(compared):
    official = sacrebleu.corpus_bleu(
        [text for text, _ in compared], [[reference for _, reference in compared]]
    )
    found = corpus(counts(*pair) for pair in compared)
    assert (found.score, found.bp, found.precisions) == (
        official.score,
        official.bp,
        official.precisions,
    )


@hypothesis_settings(deadline=None)
@given(pairs)
def test_where_every_order_has_a_match_it_is_the_papers_formula(compared):
    compared = [
        ("the cat sat on", "the cat sat on a mat"),
        *((a.replace(".", ""), b.replace(".", "")) for a, b in compared),
    ]
    assert corpus(counts(*pair) for pair in compared).score == pytest.approx(papers_bleu(compared))


def test_a_corpus_worked_out_by_hand():
    """5 of 5 words, 4 of 4 pairs, 3 of 3, 2 of 2; 5 words for 6: the penalty is exp(1 - 6/5)."""
    figures, n = scored([Row(text="the cat sat on the")], ["the cat sat on the mat"])
    assert figures == {
        "bleu": round(100 * exp(-0.2), 4),
        **{f"bleu_p{k}": 100.0 for k in (1, 2, 3, 4)},
        "bleu_bp": round(exp(-0.2), 4),
    }
    assert n == {1}


def test_counts_are_pooled_and_not_averaged_over_samples():
    figures, _ = scored(
        [Row(text="a b c d e f g h"), Row(text="x y z w")], ["a b c d e f g h", "k l m n"]
    )
    assert figures["bleu_p1"] == round(100 * 8 / 12, 4)
    assert figures["bleu_p4"] == round(100 * 5 / 6, 4)


def test_longer_outputs_have_no_penalty_but_less_precision():
    figures, _ = scored([Row(text="the cat sat on the mat today")], ["the cat sat on the mat"])
    assert figures["bleu_bp"] == 1.0
    assert figures["bleu_p1"] == round(600 / 7, 4)


def test_an_empty_answer_counts_as_words_missing():
    rows = [Row(text="the cat sat on the mat"), Row(ids=(), ttft=None)]
    figures, n = scored(rows, ["the cat sat on the mat", "one two three four five six"])
    assert figures["bleu_bp"] == round(exp(1 - 12 / 6), 4)
    assert n == {2}


@pytest.mark.parametrize(
    ("text", "expected"), [("The sky is blue today.", 1.0), ("Nothing", 0.0), ("", 0.0)]
)
def test_a_pair_scores_between_zero_and_one(text, expected):
    assert score(text, "The sky is blue today.") == (expected,)


def test_a_short_equal_pair_scores_one_although_it_has_no_four_words():
    assert score("Paris", "Paris") == (1.0,)


@hypothesis_settings(deadline=None)
@given(st.text(st.characters(), max_size=80), st.text(st.characters(), max_size=80))
def test_no_text_is_too_odd(text, reference):
    assert 0.0 <= score(text, reference)[0] <= 1.0


@pytest.mark.parametrize("reference", ["B", "#### 5", "\\boxed{5}", "", None])
def test_letters_and_marked_numbers_have_no_bleu(reference):
    assert scored([Row(text="B")], [reference]) == ({}, set())


def test_nothing_at_all_scores_zero():
    assert corpus([]).score == 0.0
