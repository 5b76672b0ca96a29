"""Are marks kept whole, and is their aggregate that of scipy?"""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from accuracy.tasks import files, marks
from accuracy.tasks.scoring import verified
from harness.kernel.types import Sample
from tests.scenario_helpers import Row, hand_log

GOLD = "#### 18"


def table(texts, scorers=("number",), likelihoods=None, labels=None, **sample):
    """The rows of scores.parquet of a run with these answers."""
    labels = labels or [()] * len(texts)
    samples = [
        Sample(i, "?", **{"reference": GOLD, "labels": labels[i], **sample})
        for i in range(len(texts))
    ]
    log = hand_log([Row(text=text) for text in texts])
    return marks.rows(scorers, log, samples, np.arange(len(texts)), likelihoods or {})


@given(st.integers(0, 40), st.integers(0, 40))
def test_a_share_has_wilsons_interval(right, wrong):
    if not right + wrong:
        return
    found = marks.marks(table(["#### 18"] * right + ["#### 7"] * wrong), "number")
    value, low, high = found.mean
    ends = binomtest(right, right + wrong).proportion_ci(method="wilson")
    assert value == right / (right + wrong)
    assert (low, high) == pytest.approx((ends.low, ends.high), abs=1e-9)


def test_nothing_marked_has_no_figure():
    assert all(value is None or value != value for value in marks.marks([], "number").mean)


@given(st.lists(st.sampled_from(["#### 18", "18", "7", "none"]), min_size=1, max_size=12))
def test_every_answer_is_right_wrong_or_none(texts):
    found = marks.summary(
        {"name": "gsm8k", "shots": 0, "scorers": ["number", "number_strict"]},
        table(texts, ("number", "number_strict")),
        (),
    )
    assert found["n"] == len(texts)
    for name, right in (("number", {"#### 18", "18"}), ("number_strict", {"#### 18"})):
        figure = found["scores"][name]
        assert figure["right"] + figure["wrong"] + figure["no_answer"] == len(texts)
        assert figure["right"] == sum(text in right for text in texts)
        assert figure["value"] == figure["right"] / len(texts)


def test_groups_add_up_to_the_whole():
    labels = [(("subject", name), ("group", "STEM")) for name in "aabbb"]
    made = table(["18", "7", "18", "18", ""], labels=labels)
    assert marks.groups_of(made) == ["subject", "group"]
    task = {"name": "t", "shots": 0, "scorers": ["number"]}
    groups = marks.summary(task, made, ["subject", "group"])["groups"]
    assert [(one["column"], one["group"], one["right"], one["n"]) for one in groups] == [
        ("subject", "a", 1, 2),
        ("subject", "b", 2, 3),
        ("group", "STEM", 3, 5),
    ]


def test_a_text_is_cut_at_its_stop_before_it_is_marked():
    text = " 18\n\nQuestion: And 19?\nAnswer: #### 19"
    (row,) = table([text], stop=("Question:", "</s>"))
    assert (row["answer"], row["score"]) == ("18", 1.0)
    (row,) = table([text])
    assert row["score"] == 0.0


@given(st.text(), st.lists(st.text(min_size=1, max_size=3), max_size=4))
def test_nothing_of_a_stop_is_left_and_nothing_else_is_lost(text, stop):
    found = marks.cut(text, stop)
    assert text.startswith(found)
    if not any(one in text for one in stop):
        assert found == text
    else:
        assert any(text[len(found) :].startswith(one) for one in stop)
        assert not any(one in found for one in stop)


def test_likelihoods_that_no_sut_told_are_not_wrong_answers():
    choices = (" A", " B")
    made = table([" A", " B"], ("likelihood", "letter"), choices=choices, reference="A")
    assert {row["scorer"] for row in made} == {"letter"}
    task = {"name": "mmlu", "shots": 0, "scorers": ["likelihood", "letter"]}
    labelled = [row | {"subject": "law"} for row in made]
    found = marks.summary(task, labelled, ["subject"])
    assert found["scores"]["likelihood"]["value"] is None
    assert found["scores"]["letter"]["value"] == 0.5
    assert found["groups"][0]["value"] == 0.5  # by the scorer that had something to compare
    told = {0: [1.0, 2.0], 1: [1.0, 2.0]}
    made = table([" A", " B"], ("likelihood", "letter"), told, choices=choices, reference="A")
    assert marks.summary(task, made, ())["scores"]["likelihood"]["value"] == 1.0


def test_the_first_scorer_that_had_something_to_compare_decides():
    told = {"name": "mmlu", "shots": 0, "scorers": ["likelihood", "letter"]}
    rows = table(["B"], told["scorers"], reference="B", choices=(" A", " B"))
    assert marks.deciding(told["scorers"], rows) == "letter"
    found = marks.summary(told, rows, ())
    assert (found["scorer"], found["scores"]["letter"]["value"]) == ("letter", 1.0)
    assert marks.deciding(told["scorers"], []) == "likelihood"


def test_a_scorer_whose_library_has_gone_has_no_rows(monkeypatch):
    monkeypatch.setattr(verified, "is_installed", lambda: False)
    assert {row["scorer"] for row in table(["18"], ("number", "math_verify"))} == {"number"}


def test_rows_go_through_their_file(tmp_path):
    labels = [(("kind", "time"),), ()]
    made = table(["18", "naïve 日本"], ("number", "number_strict"), labels=labels)
    files.write(tmp_path, made)
    assert pq.read_table(tmp_path / files.SCORES).num_rows == 4
    found = [{k: v for k, v in row.items() if v is not None} for row in files.read(tmp_path)]
    assert found == [{k: v for k, v in row.items() if v is not None} for row in made]
