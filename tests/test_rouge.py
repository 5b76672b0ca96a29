"""Is this MLPerf's ROUGE? Against the package that defines it, and against scores worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from accuracy.rouge import KINDS, by_sentence, rouge, score
from harness.types import Sample
from tests.scenario_helpers import Row, hand_log

OFFICIAL = RougeScorer(list(KINDS), use_stemmer=True)
words = st.sampled_from(
    ["the", "a", "cat", "cats", "sat", "sitting", "mat", "runs", "running", "quickly", "Paris", "42", "blue", "sky"]
)
sentences = st.lists(words, min_size=1, max_size=8).map(lambda w: " ".join(w).capitalize() + ".")
texts = st.lists(sentences, min_size=1, max_size=4)


def scored(log, questions):
    return rouge(log, questions, np.flatnonzero(log.completed))


def samples(*references):
    return [Sample(i, "?", reference=reference) for i, reference in enumerate(references)]


@hypothesis_settings(deadline=None)
@given(texts, texts)
def test_scores_equal_the_package_given_one_sentence_per_line(text, reference):
    official = OFFICIAL.score("\n".join(reference), "\n".join(text))
    assert score(" ".join(text), " ".join(reference)) == tuple(official[kind].fmeasure for kind in KINDS)


@hypothesis_settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_scores_as_in_the_package_where_lines_do_not_matter(text, reference):
    official = OFFICIAL.score(reference, text)
    assert score(text, reference)[:3] == tuple(official[kind].fmeasure for kind in KINDS[:3])


def test_a_pair_worked_out_by_hand():
    """3 of 4 words shared, 1 of 3 pairs; longest common sequence "the cat mat"."""
    assert score("the cat on mat", "the cat saw mat") == pytest.approx((3 / 4, 1 / 3, 3 / 4, 3 / 4))


@pytest.mark.parametrize(("text", "expected"), [("The sky is blue.", 1.0), ("Nothing alike", 0.0), ("", 0.0)])
def test_equal_texts_score_one_and_unlike_texts_zero(text, expected):
    assert score(text, "The sky is blue.") == (expected,) * 4


def test_words_are_stemmed():
    assert score("cats running", "cat runs")[0] == 1.0


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It costs 2.50 euros. Then e.g. this goes on.", ["It costs 2.50 euros.", "Then e.g. this goes on."]),
        ('He left. "Why?" (Nobody knows.) 42 did.', ["He left.", '"Why?" (Nobody knows.) 42 did.']),
        ("First.\n\nSecond.", ["First.", "Second."]),
        ("  no end  ", ["no end"]),
        ("", [""]),
    ],
)
def test_sentences_stand_on_lines_of_their_own(text, lines):
    assert by_sentence(text).split("\n") == lines


def test_the_means_are_over_samples_times_a_hundred():
    log = hand_log([Row(text="the sky is blue"), Row(text="nothing alike")])
    found = scored(log, samples("the sky is blue", "grass"))
    assert [(m.name, m.value, m.unit, m.n) for m in found] == [(kind, 50.0, "F x 100", 2) for kind in KINDS]


def test_texts_are_compared_with_the_reference_of_their_own_sample():
    log = hand_log([Row(index=1, text="blue"), Row(index=0, text="green"), Row(index=1, text="blue")])
    assert scored(log, samples("green", "blue"))[0].value == 100.0


def test_only_completed_samples_with_text_and_reference_count():
    rows = [Row(text="blue"), Row(text="blue", finish="error"), Row(), Row(text="blue")]
    assert scored(hand_log(rows), samples("blue", "blue", "blue", None))[0].n == 1


@pytest.mark.parametrize(("row", "reference"), [(Row(), "blue"), (Row(text="blue"), None), (Row(text="blue"), "")])
def test_nothing_to_compare_is_no_metric(row, reference):
    assert scored(hand_log([row]), samples(reference)) == []
