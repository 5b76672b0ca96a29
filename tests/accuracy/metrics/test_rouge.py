"""Is this MLPerf's ROUGE? Against the package that defines it, and against scores worked out by
hand.
"""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

import accuracy.metrics.rouge
from accuracy.metrics.rouge import KINDS, Prepared, by_sentence, overlaps, rouge, score, scores
from harness.kernel.types import Sample
from tests.bench.rouge import drawn
from tests.scenario_helpers import Row, hand_log

OFFICIAL = RougeScorer(list(KINDS), use_stemmer=True)
words = st.sampled_from(
    [
        "the",
        "a",
        "cat",
        "cats",
        "sat",
        "sitting",
        "mat",
        "runs",
        "running",
        "quickly",
        "Paris",
        "42",
        "blue",
        "sky",
    ]
)
plain_sentences = st.lists(words, max_size=8).map(
    lambda w: " ".join([*w, "there"]).capitalize() + "."
)
texts = st.lists(plain_sentences, min_size=1, max_size=4)
few_words = st.lists(st.sampled_from("aab\n"), max_size=40).map(
    " ".join
)  # many ways to the same length
ODD_PIECES = (
    """.|!?|...|Dr. |cats |Cat. |the|naïve|Kelvin \u212a|İstanbul|ß|日本。|3.14 |don't |_|yyyying"""
)
ODD_SPACE = ["", " ", "\n", "\r\n", "\u0085", "\u2028", "\x1c", "\x00", "\ud800"]
odd_pieces = st.sampled_from([*ODD_PIECES.split("|"), *ODD_SPACE, "generalization " * 9, "x" * 50])
odd = st.lists(odd_pieces | st.text(max_size=5), max_size=12).map("".join)


def scored(log, questions):
    return rouge(log, questions, np.flatnonzero(log.completed))


def samples(*references):
    return [Sample(i, "?", reference=reference) for i, reference in enumerate(references)]


@hypothesis_settings(deadline=None)
@given(texts, texts)
def test_scores_equal_the_package_given_one_sentence_per_line(text, reference):
    official = OFFICIAL.score("\n".join(reference), "\n".join(text))
    assert score(" ".join(text), " ".join(reference)) == tuple(
        official[kind].fmeasure for kind in KINDS
    )


@hypothesis_settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_scores_as_in_the_package_where_lines_do_not_matter(text, reference):
    official = OFFICIAL.score(reference, text)
    assert score(text, reference)[:3] == tuple(official[kind].fmeasure for kind in KINDS[:3])


def by_the_package(text, reference):
    found = OFFICIAL.score(by_sentence(reference), by_sentence(text))
    return tuple(found[kind] for kind in KINDS)


@pytest.mark.parametrize("kind", [few_words, odd])
def test_precision_recall_and_f_are_the_package_s_to_the_last_bit(kind):
    @hypothesis_settings(deadline=None, max_examples=600)
    @given(kind, kind)
    def equal(text, reference):
        found = overlaps(text, reference)
        assert tuple((each.precision, each.recall, each.f) for each in found) == by_the_package(
            text, reference
        )

    equal()


def test_thousands_of_short_pairs_of_many_shapes_score_as_in_the_package():
    draw = random.Random(7)
    for _ in range(3000):
        vocabulary = ["a", "b", "c", "dogs", "dog", "run", "running", "x1"][: draw.randint(1, 8)]
        lines = [
            "\n".join(
                " ".join(draw.choices(vocabulary, k=draw.randint(0, 9)))
                for _ in range(draw.randint(0, 5))
            )
            for _ in range(2)
        ]
        assert score(*lines) == tuple(each.fmeasure for each in by_the_package(*lines)), lines


def test_answers_of_hundreds_of_words_score_as_in_the_package():
    for text, reference in [
        *drawn(12, 220),
        ("the cat sat. " * 70, "sat the cat on the mat. " * 40),
    ]:
        assert score(text, reference) == tuple(
            each.fmeasure for each in by_the_package(text, reference)
        )


def test_stems_are_right_after_their_store_was_emptied(monkeypatch):
    monkeypatch.setattr(accuracy.metrics.rouge, "_MOST_KEPT", 3)
    monkeypatch.setattr(accuracy.metrics.rouge, "_stems", accuracy.metrics.rouge._Stems())
    for text, reference in drawn(2, 100, seed=2):
        assert score(text, reference) == tuple(
            each.fmeasure for each in by_the_package(text, reference)
        )
    assert len(accuracy.metrics.rouge._stems) <= 3


def test_a_pair_worked_out_by_hand():
    """3 of 4 words shared, 1 of 3 pairs; longest common sequence "the cat mat"."""
    assert score("the cat on mat", "the cat saw mat") == pytest.approx((3 / 4, 1 / 3, 3 / 4, 3 / 4))


@pytest.mark.parametrize(
    ("text", "expected"), [("The sky is blue.", 1.0), ("Nothing alike", 0.0), ("", 0.0)]
)
def test_equal_texts_score_one_and_unlike_texts_zero(text, expected):
    assert score(text, "The sky is blue.") == (expected,) * 4


def test_words_of_a_sentence_count_where_the_package_s_way_back_takes_them():
    """Of "a b" both letters are longest common subsequences with "b a"; the package keeps the
    reference's first word. So the union with "b" is both, and the one with "a" is not.
    """
    assert [score(text, "a b")[3] for text in ("b a\nb", "b a\na")] == pytest.approx([4 / 5, 2 / 5])


def test_words_are_stemmed():
    assert score("cats running", "cat runs")[0] == 1.0


def test_many_pairs_are_scored_row_by_row():
    pairs = [("the cat", "the cat"), ("", "the cat"), ("a dog", "the cat")] * 50
    found = scores([text for text, _ in pairs], [reference for _, reference in pairs])
    assert found.tolist() == [list(score(*pair)) for pair in pairs]
    assert scores([], []).shape == (0, 4)


def test_a_reference_can_be_prepared_once_for_many_candidates():
    candidates, reference = (
        ["the cat sat.", "a cat. It sat on a mat.", "", "on"],
        "The cat sat. It was on the mat.",
    )
    prepared = Prepared(reference)
    assert (
        scores(candidates, [prepared] * 4).tolist() == scores(candidates, [reference] * 4).tolist()
    )


def test_the_means_are_over_samples_times_a_hundred():
    log = hand_log([Row(text="the sky is blue"), Row(text="nothing alike")])
    found = scored(log, samples("the sky is blue", "grass"))
    assert [(m.name, m.value, m.unit, m.n) for m in found] == [
        (kind, 50.0, "F x 100", 2) for kind in KINDS
    ]


def test_texts_are_compared_with_the_reference_of_their_own_sample():
    log = hand_log(
        [Row(index=1, text="blue"), Row(index=0, text="green"), Row(index=1, text="blue")]
    )
    assert scored(log, samples("green", "blue"))[0].value == 100.0


def test_the_means_are_rounded_to_four_places():
    log = hand_log([Row(text="the sky"), Row(text="sky"), Row(text="grey")])
    assert scored(log, samples(*["the sky"] * 3))[0].value == 55.5556


@pytest.mark.parametrize("text", ["", "...", None])
def test_an_empty_answer_counts_and_scores_nothing(text):
    """A log keeps no empty text; one that was decoded from its ids is there."""
    log = hand_log([Row(text="blue"), Row(text=text or "", ids=() if text is None else (5, 2))])
    log.texts |= {1: text} if text is not None else {}
    assert [(m.value, m.n) for m in scored(log, samples("blue", "blue"))] == [
        (50.0, 2),
        (0.0, 2),
        (50.0, 2),
        (50.0, 2),
    ]


def test_only_completed_samples_with_text_and_reference_count():
    rows = [Row(text="blue"), Row(text="blue", finish="error"), Row(), Row(text="blue")]
    assert scored(hand_log(rows), samples("blue", "blue", "blue", None))[0].n == 1


@pytest.mark.parametrize(
    ("row", "reference"), [(Row(), "blue"), (Row(text="blue"), None), (Row(text="blue"), "")]
)
def test_nothing_to_compare_is_no_metric(row, reference):
    assert scored(hand_log([row]), samples(reference)) == []
