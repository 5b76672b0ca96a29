"""SQuAD's exact match and token F1, by hand and against a second reading of the definition."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuracy.metrics.exact_match import MOST_WORDS, exact_match, plain, score
from harness.kernel.types import Sample
from tests.scenario_helpers import Row, hand_log

words = st.sampled_from(
    [
        "the",
        "The",
        "a",
        "An",
        "cat",
        "cats",
        "U.S.",
        "it's",
        "42",
        "—",
        "Paris,",
        "theatre",
        "x_y",
        "(an)",
    ]
)
texts = st.lists(words, max_size=7).map(" ".join)


def scored(rows, references):
    samples = [Sample(i, "?", reference=reference) for i, reference in enumerate(references)]
    log = hand_log(rows)
    return [
        (m.name, m.value, m.unit, m.n)
        for m in exact_match(log, samples, np.flatnonzero(log.completed))
    ]


def f1_of_lists(ours, theirs):
    """2pr / (p + r), the words in common struck out one by one."""
    left, shared = list(theirs), 0
    for word in ours:
        if word in left:
            left.remove(word)
            shared += 1
    if not ours or not theirs:
        return float(ours == theirs)
    precision, recall = shared / len(ours), shared / len(theirs)
    return 2 * precision * recall / (precision + recall) if shared else 0.0


def words_of(text):
    kept = "".join(c for c in text.lower() if c not in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    return [word for word in re.sub(r"\b(a|an|the)\b", " ", kept).split() if word]


@given(texts, texts)
def test_scores_equal_a_second_reading_of_the_definition(text, reference):
    ours, theirs = words_of(text), words_of(reference)
    assert score(text, reference) == (
        float(ours == theirs),
        pytest.approx(f1_of_lists(ours, theirs)),
    )


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Cat.", "cat"),
        ("An apple a day", "apple day"),
        ("U.S.", "us"),
        ("it's", "its"),
        ("theatre another", "theatre another"),
        ("Côte d'Ivoire!", "côte divoire"),
        ("1,234", "1234"),
        ("x-ray", "xray"),
        ("“quoted”", "“quoted”"),  # SQuAD strips ASCII punctuation only
        ("the", ""),
    ],
)
def test_texts_are_compared_in_small_letters_without_punctuation_and_articles(text, normal):
    assert plain(text) == normal


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("the Eiffel Tower!", "Eiffel tower", (1.0, 1.0)),
        ("It is the Eiffel Tower", "Eiffel Tower", (0.0, 2 * 2 / (4 + 2))),
        ("tower tower", "the tower", (0.0, 2 * 1 / (2 + 1))),
        ("London", "Paris", (0.0, 0.0)),
        ("", "Paris", (0.0, 0.0)),
        ("the", "a", (1.0, 1.0)),  # neither has a word
    ],
)
def test_pairs_worked_out_by_hand(text, reference, expected):
    assert score(text, reference) == pytest.approx(expected)


@given(st.text(st.characters()), st.text(st.characters()))
def test_no_text_is_too_odd(text, reference):
    equal, f1 = score(text, reference)
    assert equal in (0.0, 1.0)
    assert equal <= f1 <= 1.0
    assert score(text, text) == (1.0, 1.0)


def test_means_are_in_percent_and_empty_answers_count():
    rows = [
        Row(text="Paris"),
        Row(text="in Rome"),
        Row(ids=(), ttft=None),
        Row(text="no", finish="error"),
    ]
    found = scored(rows, ["Paris", "Rome", "Oslo", "Bern"])
    assert found == [
        ("exact_match", round(100 / 3, 4), "%", 3),
        ("token_f1", round(100 * (1 + 2 / 3) / 3, 4), "F x 100", 3),
    ]


def test_long_references_are_left_out_and_a_set_of_them_has_no_such_metric():
    long = "word " * (MOST_WORDS + 1)
    rows = [Row(text="Paris")] * 3
    assert scored(rows, ["Paris", "Paris", long])[0] == ("exact_match", 100.0, "%", 2)
    assert scored(rows, ["Paris", long, long]) == []
    assert scored(rows[:1], ["word " * MOST_WORDS])[0][3] == 1


@pytest.mark.parametrize("reference", ["B", "x\n#### 5", "\\boxed{5}", "The", "?!", "", None])
def test_letters_marked_numbers_and_references_without_a_word_are_left_out(reference):
    assert scored([Row(text="B")], [reference]) == []


def test_a_number_without_a_mark_is_a_short_text():
    assert scored([Row(text="42.")], ["42"])[0] == ("exact_match", 100.0, "%", 1)
