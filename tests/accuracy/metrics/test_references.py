"""What a reference asks for, and which outputs stand against it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuracy.metrics.references import after_thinking, boxed, hashed, kind, letter, of_kind, pairs
from harness.kernel.types import Sample
from tests.scenario_helpers import Row, hand_log


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("B", "letter"),
        (" (C) ", "letter"),
        ("J.", "letter"),
        ("K", "text"),
        ("b", "text"),
        ("A B", "text"),
        ("Half of 36 is 18.\n#### 18", "number"),
        ("#### 1,234", "number"),
        ("#### -$0.50", "number"),
        ("so $\\boxed{\\frac{1}{2}}$.", "number"),
        ("#### 18 is a heading", "text"),
        ("#### Results\nAll went well.", "text"),
        ("##### 18", "text"),
        ("\\boxed{}", "text"),
        ("\\boxed{5", "text"),
        ("42", "text"),
        ("Paris", "text"),
    ],
)
def test_the_reference_says_what_it_asks_for(reference, expected):
    assert kind(reference) == expected


def test_a_letter_loses_its_brackets_and_a_marked_number_its_mark():
    assert [letter(r) for r in ("B", "(B)", "B)", "B.", "Bo")] == ["B"] * 4 + [""]
    assert [hashed(r) for r in ("x\n#### 1,234", "#### $5", "####-5 %", "5")] == [
        "1,234",
        "5",
        "-5",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("\\boxed{5}", "5"),
        ("\\boxed{\\frac{1}{\\sqrt{2}}} and so on {}", "\\frac{1}{\\sqrt{2}}"),
        ("\\boxed{1} no, \\boxed {2}", "2"),
        ("\\fbox{7}", "7"),
        ("\\boxed{\\boxed{3}}", "\\boxed{3}"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("\\boxed{\\left.x\\right\\}}", "\\left.x\\right\\}"),
        ("\\boxed{1} then \\boxed{2 was cut o", "1"),
        ("} {\\boxed{4}", "4"),
        ("\\boxed{5", None),
        ("boxed{5}", None),
        ("", None),
    ],
)
def test_the_last_closed_box_is_read_with_the_braces_inside(text, content):
    assert boxed(text) == content


@given(
    st.recursive(
        st.text("ab \\,^_", max_size=4),
        lambda part: st.lists(part, max_size=3).map(lambda p: "{" + "".join(p) + "}"),
    )
)
def test_any_balanced_content_comes_out_of_its_box(content):
    content = content.replace("\\", "\\,")
    assert boxed(f"x \\boxed{{{content}}} y") == content


@given(st.text(st.characters()), st.text(st.sampled_from("#$ 5{}\\boxedA(.)\n,")))
def test_no_text_is_too_odd(text, odd):
    for reference in (text, odd, text + odd):
        assert kind(reference) in ("letter", "number", "text")


def test_references_are_sorted_by_kind_and_blank_ones_left_out():
    given = ["B", "#### 5", "Paris", "", " ", None]
    samples = [Sample(10 + i, "?", reference=reference) for i, reference in enumerate(given)]
    assert of_kind(samples, "letter") == {10: "B"}
    assert of_kind(samples, "number") == {11: "#### 5"}
    assert of_kind(samples, "text") == {12: "Paris"}


def test_outputs_stand_against_the_reference_of_their_own_sample():
    log = hand_log(
        [Row(index=1, text="blue"), Row(index=0, text="green"), Row(index=2, text="red")]
    )
    assert pairs(log, {0: "zero", 1: "one"}, np.arange(3)) == [("blue", "one"), ("green", "zero")]


def test_an_empty_answer_counts_among_others_with_text():
    log = hand_log(
        [Row(text="blue"), Row(ids=(), ttft=None), Row(ids=(7, 2))]
    )  # the last one's tokens nobody could decode
    log.texts[0] = "blue"
    assert pairs(log, dict.fromkeys(range(3), "red"), np.arange(3)) == [
        ("blue", "red"),
        ("", "red"),
    ]


def test_a_sut_without_texts_is_not_compared():
    assert pairs(hand_log([Row(ids=(), ttft=None)]), {0: "red"}, np.array([0])) == []


def test_only_what_follows_the_thinking_is_the_answer():
    assert after_thinking("<think>A? B?</think> C") == " C"
    assert after_thinking("no thinking") == "no thinking"
