"""Why is an answer wrong, and what is the matter with its form?"""

from __future__ import annotations

import pytest

from accuracy.tasks.errors import analysis, of_one
from accuracy.tasks.errors.kinds import answers
from accuracy.tasks.errors.loops import is_loop
from accuracy.tasks.errors.questions import questions
from tests.accuracy.tasks.errors.helpers import choice_sample, number_sample, solved

LOOP = "He says it again and again. " * 6


def one(text, cuts=(), scorers=("number", "number_strict"), **changes):
    """Return the answer to one question whose right answer is 36."""
    run = solved([number_sample(0, **changes)], {0: text}, scorers=scorers, cuts=cuts)
    return answers(run, {0: "What is 12 times 3?"})[0]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("12 * 3 = 36\n#### 36", "right"),
        ("12 * 3 = 35\n#### 35", "arithmetic slip"),
        ("12 * 3 = 35, 35 + 4 = 39 and 39 - 4 = 35\n#### 35", "arithmetic slip"),
        ("12 * 3 = <<12+3=35>>35\n#### 35", "arithmetic slip"),
        ("12 + 3 = 35\n#### 35", "slip and method"),
        ("12 * 3 = 35\n#### 34", "slip and method"),
        ("12 + 3 = 15\n#### 15", "wrong method"),
        ("#### 15", "no steps"),
        ("It is about 15.", "no steps"),
        ("I do not know.", "no final answer"),
        ("", "empty"),
        (" \n\n", "empty"),
        (LOOP, "loop"),
        ("12 * 3 = 36\n#### 36\n" + LOOP, "right"),
        ("12 + 3 = 15\n#### 15\n" + LOOP, "wrong method"),
        ("It is 15. " + LOOP, "loop"),
        ("12 * 3 = 36\n#### 36\n\nQuestion: 5 * 5 = 26", "right"),
        ("12 + 3 = 15\n#### 15\n\nQuestion: 5 * 5 = 26", "wrong method"),
    ],
)
def test_each_wrong_answer_is_of_one_kind(text, kind):
    assert one(text).kind == kind


def test_a_final_answer_in_another_form_is_told_from_a_wrong_one():
    strict = ("number_strict", "number")
    assert one("12 * 3 = 36", scorers=strict).kind == "not in the form"
    assert one("12 * 3 = 35", scorers=strict).kind == "arithmetic slip"
    assert one("I do not know.", scorers=strict).kind == "no final answer"
    flexible = one("12 * 3 = 36")
    assert (flexible.kind, flexible.is_marked) == ("right", False)


def test_an_answer_is_cut_only_before_its_final_answer_and_before_the_stop():
    assert one("12 + 3 is", cuts={0}).kind == "cut"
    assert one("12 + 3 = 15\n#### 15", cuts={0}).kind == "wrong method"
    assert one("12 + 3 = 15\n#### 15", cuts={0}).is_cut
    beyond = one("12 + 3 = 15\n\nQuestion: what else", cuts={0})
    assert (beyond.kind, beyond.is_cut, beyond.went_on) == ("wrong method", False, True)


def test_the_first_wrong_step_is_named_with_what_it_should_be():
    said = one("12 + 3 = 15, 15 * 2 = 31 and 31 + 5 = 37\n#### 37").says
    assert said == "15 * 2 = 31, should be 30"


SOLUTION = "Ana has 4 * 5 = <<4*5=20>>20.\nWith Ben that is 20 + 16 = <<20+16=36>>36.\n#### 36"


def test_a_wrong_method_may_reach_a_step_of_the_solution():
    assert one("4 * 5 = 20\n#### 20", reference=SOLUTION).has_reference_step is True
    assert one("4 + 5 = 9\n#### 9", reference=SOLUTION).has_reference_step is False
    assert one("4 + 5 = 9\n#### 9").has_reference_step is None  # it has no step but the result


def test_faults_of_form_are_counted_over_right_answers_too():
    texts = {
        0: "#### 36\n\nQuestion: and",
        1: "36",
        2: "",
        3: LOOP,
        4: "12 * 3 = 36\n#### 36\n12 and",
        5: "It is",
    }
    found = of_one(solved([number_sample(i) for i in texts], texts, cuts={3, 4, 5}))
    assert found["form"] == {
        "empty": 1,
        "unmarked": 4,
        "unmarked_right": 1,
        "cut": 3,
        "cut_with_answer": 1,
        "loops": 1,
        "went_on": 1,
    }
    assert {one["kind"]: one["n"] for one in found["kinds"]} == {"empty": 1, "loop": 1, "cut": 1}


def test_a_right_answer_may_have_a_slip():
    found = of_one(solved([number_sample(0)], {0: "12 * 3 = 35\n#### 36"}))
    assert found["wrong"] == 0
    assert found["steps"]["right_despite_slip"] == 1


def test_choices_are_wrong_or_not_known():
    samples = [choice_sample(i, right=0) for i in range(3)]
    nll = {0: [1.0, 2.0, 2.0, 2.0], 1: [2.0, 1.0, 3.0, 3.0]}
    found = of_one(solved(samples, {}, scorers=("likelihood",), nll=nll))
    assert {one["kind"]: one["n"] for one in found["kinds"]} == {
        "wrong choice": 1,
        "no final answer": 1,
    }


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("", False),
        ("The answer is 5. " * 10, True),
        ("The answer is 5. " * 10 + "The ans", True),
        ("0" * 200, True),
        ("\n".join(f"The answer is {i}." for i in range(20)), True),
        ("5 * 8 = 40\n5 * 10 = 50\n5 * 3 = 15\n40 + 50 + 15 = 105\n#### 105", False),
        ("very very very good", False),
        ("The answer is 5. " * 10 + "And so it goes, until somebody stops it for good.", False),
        ("- one apple\n- two pears\n- three plums\n- four figs\n- five dates\n- six limes", False),
    ],
)
def test_a_loop_is_the_same_again_and_again_until_the_end(text, is_one):
    assert is_loop(text) is is_one


def test_questions_are_told_from_the_examples_before_them():
    samples = {i: number_sample(i) for i in range(12)}
    assert questions(samples) == {i: f"What is problem {i}?" for i in range(12)}
    same = {0: samples[0], 1: samples[0]}
    assert "What is problem 0?" in questions(same)[1]


def test_a_run_without_questions_has_nothing_wrong():
    nothing = solved([], {})
    assert of_one(nothing)["wrong"] == 0
    assert analysis(nothing, nothing)["lost"] == 0
