"""Is the letter read as a person would read it, and is nothing read where nothing is said?"""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuracy.metrics.choices import multiple_choice, read, score
from harness.kernel.types import Sample
from tests.scenario_helpers import Row, hand_log


def scored(rows, references):
    samples = [Sample(i, "?", reference=reference) for i, reference in enumerate(references)]
    log = hand_log(rows)
    found = multiple_choice(log, samples, np.flatnonzero(log.completed))
    return [(m.name, m.value, m.unit, m.n) for m in found]


@pytest.mark.parametrize(
    "text",
    [
        "B", " B\n", "b", "(B)", "[B]", "**B**", "B.", "b) Paris", "B. Paris", "B: Paris",
        "B - Paris", "`B`", "$B$", '"B"', "B because it is the largest",
        "The answer is B.", "The answer is (B).", "The answer is b.",
        "the correct answer is: **B**", "Answer: B", "Answer:\n\n**B) Paris**", "### Answer: (B)",
        "answer is 'B'", "ANSWER = B", "The correct option is \"B\".",
        "The best choice is option (B)", "The answer is definitely B", "Solution: choice B",
        "$\\boxed{B}$", "\\boxed{\\text{B}}", "\\boxed{(B)}", "\\boxed{B. Paris}",
        "<answer>B</answer>", '{"answer": "B"}', "<think>A or C? A.</think>B",
        "It could be A or C, but I choose B.", "I'd go with B",
        "Option A is wrong. Option B is correct.", "(A) is wrong. (B) is right.",
        "Perhaps it is (B)", "Option B", "答案是B。", "The answer is (B) and not (C).",
        "The answer is B. Option A is tempting.", "The answer is B since",
        "B\n\nExplanation: C is wrong, and so is D.", "The answer is A. No, wait. The answer is B.",
        "A. London\nB. Paris\nC. Rome\nAnswer: B",
        "B. Paris\n\nA. London is in England.\nC. Rome is in Italy.",
    ],
)  # fmt: skip
def test_b_is_read(text):
    assert read(text) == "B"
    assert score(text, "B") == (1.0,)
    assert score(text, "C") == (0.0,)


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "a",
        "A.",
        "(A)",
        "A) London",
        "The answer is A",
        "the answer is a.",
        "The answer is A because",
    ],
)
def test_a_is_read_where_it_is_no_article(text):
    assert read(text) == "A"


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "Paris", "Bob", "ABCD", "A dog is an animal", "the answer is a dog",
        "I do not know", "None of the above", "A and B", "Both A and B", "A, B",
        "A, B and C are all right", "C or D", "Answer: B, C", "(A) Paris (B) London",
        "A. Paris\nB. London\nC. Rome\nD. Oslo", "The answer is not B.", "It isn't B",
        "B is wrong", "(C) is not correct", "E", "The answer is E",  # not on offer
    ],
)  # fmt: skip
def test_nothing_is_read_where_no_letter_is_chosen(text):
    assert read(text) == ""


def test_letters_beyond_d_are_read_where_they_are_on_offer():
    assert [read("The answer is (G).", last) for last in "DGJ"] == ["", "G", "G"]
    assert read("I think it is hard. Answer: I", "J") == "I"
    assert read("I", "J") == "I"
    assert read("I like it", "J") == ""
    assert score("Answer: H", "H") == (1.0,)


def simple_evals(text):
    """The pattern of OpenAI's simple-evals for MMLU and GPQA, which our rule 1 contains."""
    found = re.search(r"(?i)Answer[ \t]*:[ \t]*\$?([A-D])\$?", text)
    return found[1].upper() if found else ""


@given(
    st.sampled_from("ABCD"),
    st.text("xyz .\n", max_size=30),
    st.sampled_from(["Answer: {}", "Answer: ${}$", "ANSWER: {}."]),
)
def test_what_the_fields_own_pattern_reads_is_read_alike(letter, reasoning, form):
    text = f"{reasoning}\n{form.format(letter)}"
    assert read(text) == simple_evals(text) == letter


@given(
    st.text(st.characters()),
    st.lists(
        st.sampled_from([*"ABCDIabi().:,* \n", "answer ", "is ", "\\boxed{", "}", "not "])
    ).map("".join),
)
def test_no_text_is_too_odd(text, odd):
    for output in (text, odd, text + odd):
        assert read(output) in ("", *"ABCD")
        assert read(output, "J") in ("", *"ABCDEFGHIJ")


def test_right_ones_in_percent_and_what_was_not_read_is_counted():
    rows = [
        Row(text="(B)"),
        Row(text="The answer is C."),
        Row(text="D"),
        Row(text="Paris"),
        Row(ids=(), ttft=None),
    ]
    assert scored(rows, ["B", "(D)", "A", "A", "C"]) == [
        ("multiple_choice", 20.0, "%", 5),
        ("multiple_choice_unread", 2.0, "answers", 5),
    ]


def test_the_letters_on_offer_are_those_of_the_whole_set():
    """Where E is on offer, two letters choose nothing; among A to D it is not a letter."""
    rows = [Row(text="Vitamin E, B."), Row(text="Paris")]
    assert scored(rows, ["B", "E"])[0] == ("multiple_choice", 0.0, "%", 2)
    assert scored(rows, ["B", "D"])[0] == ("multiple_choice", 50.0, "%", 2)


@pytest.mark.parametrize("reference", ["Paris", "#### 5", "K", "a", "", None])
def test_other_references_have_no_such_metric(reference):
    assert scored([Row(text="B")], [reference]) == []
