"""Is the final answer found where it stands, and are equal numbers and formulas equal?"""

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accuracy.metrics.numbers import Reading, number_match, plain, read, same, score, target, value
from harness.kernel.types import Sample
from tests.scenario_helpers import Row, hand_log


def scored(rows, references):
    samples = [Sample(i, "?", reference=reference) for i, reference in enumerate(references)]
    log = hand_log(rows)
    found = number_match(log, samples, np.flatnonzero(log.completed))
    return {m.name: m.value for m in found}, {(m.unit, m.n) for m in found}


# ---- where the answer stands


@pytest.mark.parametrize(
    ("text", "answer", "how"),
    [
        ("36 / 2 = 18\n#### 18", "18", "####"),
        ("#### 1,234.50 dollars", "1,234.50", "####"),
        ("####-5", "-5", "####"),
        ("#### $-5", "-5", "####"),
        ("#### -$5", "-5", "####"),
        ("#### **18**", "18", "####"),
        (
            "#### 5\n\nQuestion: and then?\n#### 7",
            "5",
            "####",
        ),  # a model that goes on asking itself
        ("\\boxed{6}\n#### 5", "5", "####"),
        ("#### Step 1\nso \\boxed{42}, of 50", "42", "boxed"),
        ("#### 1. First step\n#### 2. Second step\nIt is 7.", "7", "last number"),
        ("The answer is 18.", "18", "last number"),
        ("It costs $1,234.", "1,234", "last number"),
        ("He paid \\$12.50", "12.50", "last number"),
        ("5-3", "3", "last number"),
        ("5 - 3 = -2", "-2", "last number"),
        ("It fell to \N{MINUS SIGN}7 degrees", "-7", "last number"),
        ("He owes -$5", "-5", "last number"),
        ("about .5 of it", ".5", "last number"),
        ("3/4 of them", "3/4", "last number"),
        ("1{,}234 people", "1,234", "last number"),
        ("<think>5 or 6</think>It is 6. ", "6", "last number"),
        ("no idea", "", ""),
        ("", "", ""),
    ],
)
def test_the_answer_of_gsm8k_is_after_its_mark_or_the_last_number(text, answer, how):
    assert read(text) == (answer, how)


@pytest.mark.parametrize(
    ("text", "answer", "how"),
    [
        ("\\boxed{1} so \\boxed{\\frac{1}{2}}, 3 times", "\\frac{1}{2}", "boxed"),
        ("#### 5 \\boxed{6}", "6", "boxed"),
        ("x is 3.\n#### 5", "5", "####"),
        ("Final Answer: The final answer is $x+1$. I hope it is correct.", "x+1", "stated"),
        ("The answer is: \\(2\\pi\\) and 3 more", "2\\pi", "stated"),
        ("It is 7", "7", "last number"),
        ("\\boxed{}", "", ""),
        ("\\boxed{5", "5", "last number"),
    ],
)
def test_the_answer_of_math_is_in_its_box_or_stated_or_the_last_number(text, answer, how):
    assert read(text, "boxed") == (answer, how)


def test_a_reference_names_its_answer_and_its_mark():
    assert target("2 + 2 = 4\n#### 1,004") == Reading("1,004", "####")
    assert target("so $\\boxed{\\sqrt{2}}$.") == Reading("\\sqrt{2}", "boxed")
    assert target("42") == Reading("", "")


# ---- what is equal


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("1,234", "1234.00"), ("1{,}234", "1234"), ("1\\,234", "1,234"), ("10,\\!000", "10000"),
        ("12,34,567", "1234567"), ("+5", "5"), ("5.", "5"), ("\N{MINUS SIGN}5", "-5"),
        ("0", "0.00"), (".5", "0.5"), ("5\\,", "5"), ("\\frac{1}{2}", "0.5"), ("\\frac12", ".5"),
        ("\\dfrac{3}{4}", "3/4"), ("\\tfrac34", "\\frac{3}{4}"), ("2/4", "1/2"),
        ("-\\frac{1}{2}", "\\frac{-1}{2}"), ("2\\frac{1}{2}", "2.5"), ("-2\\frac12", "-2.5"),
        ("\\frac1{72}", "1/72"), ("\\pi/2", "\\frac{\\pi}{2}"), ("3\\pi/4", "\\frac{3\\pi}{4}"),
        ("\\frac{\\sqrt3}2", "\\frac{\\sqrt{3}}{2}"), ("\\sqrt3", "\\sqrt{3}"),
        ("2\\sqrt 3", "2\\sqrt{3}"), ("x^{2}", "x^2"), ("2516_{8}", "2516_8"), ("50\\%", "50"),
        ("50%", "50"), ("90^\\circ", "90"), ("90^{\\circ}", "90°"), ("\\$18.90", "18.9"),
        ("$18$", "18"), ("5\\text{ cm}^2", "5"), ("5 \\mbox{ inches}", "5"), ("5 cm", "5"),
        ("11 square units", "11"), ("9\\mathrm{~km}", "9"), ("90^\\circ \\text{C}", "90"),
        ("x \\leq y", "x\\le y"), ("\\dfrac 12", "1/2"), ("2\\pi cm", "2\\pi"),
        ("12x\\text{ cm}", "12x"), ("8\\text{cm}", "8"), ("\\text{ Evelyn}", "Evelyn"),
        ("30\\text{ miles per hour}", "30 miles per hour"), ("10\\pi\\text{ cm}", "10\\pi"),
        ("6\\text{th}", "6"), ("\\text{Evelyn}", "Evelyn"), ("\\text{even}", "Even"),
        ("\\text{(C)}", "C"), ("\\textbf{(C)}", "\\mathrm{C}"), ("\\left(1, 2\\right)", "(1,2)"),
        ("\\left[0,\\infty\\right)", "[0,\\infty)"), ("\\bigl(1,2\\bigr)", "(1,2)"),
        ("\\left\\{1, 2\\right\\}", "\\{1,2\\}"), ("(1/2, 3)", "(\\frac{1}{2},3)"),
        ("(.5,1)", "(0.5,1)"), ("3\\text{ or }4", "3,4"), ("1,\\text{ and }2", "1,2"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
        ("x=5", "5"), ("x = 5", "5"), ("f(x)=x+1", "x+1"), ("x\\leq 3", "x\\le 3"),
        ("x \\lt 3", "x<3"), ("\\boxed{\\boxed{7}}", "7"), ("{7}", "7"), ("\\(7\\)", "7"),
        ("x \\quad y", "xy"), ("\\displaystyle 7", "7"),
    ],
)  # fmt: skip
def test_differences_of_writing_do_not_matter(ours, theirs):
    assert same(ours, theirs)
    assert same(theirs, ours)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("5", "6"), ("x", "y"), ("", ""), ("", "0"), ("\\frac{1}{0}", "\\frac{2}{0}"),
        ("\\frac{1}{0}", "0"), ("-5", "5"), ("1,2,3", "123"), ("(1,234)", "1234"), ("2x", "2"),
        ("3pi", "3"), ("x+1", "1+x"), ("1:2", "1/2"), ("0.333", "1/3"), ("(1,2)", "[1,2]"),
        ("50\\%", "0.5"), ("2^3", "8"), ("\\sqrt{4}", "2"), ("\\leftarrow", "arrow"),
        ("1 \\\\ 2", "12"), ("2516_8", "25168"),
    ],
)  # fmt: skip
def test_different_answers_stay_different(ours, theirs):
    assert not same(ours, theirs)


@given(st.integers(-(10**12), 10**12), st.integers(0, 3))
def test_a_number_is_itself_however_it_is_written(number, zeros):
    written = f"{number:,}" + ("." + "0" * zeros if zeros else "")
    assert value(plain(written)) == number
    assert score(f"It is {written}", f"#### {number}") == (1.0, 0.0)
    assert score(f"#### {written}", f"#### {number}") == (1.0, 1.0)


@given(st.integers(-999, 999), st.integers(1, 999))
def test_a_fraction_is_itself_however_it_is_written(over, under):
    for written in (
        f"{over}/{under}",
        f"\\frac{{{over}}}{{{under}}}",
        f"\\dfrac{{{2 * over}}}{{ {2 * under} }}",
    ):
        assert value(plain(written)) == Fraction(over, under)


def test_endless_digits_are_compared_as_text():
    assert same("7" * 9_000, "7" * 9_000)
    assert not same("7" * 9_000, "7" * 8_999)


# ---- lm-eval's two readings of GSM8K, written down again


def strict_match(text):
    found = re.findall(r"#### (\-?[0-9\.\,]+)", text)
    return found[0] if found else ""


def flexible_extract(text):
    found = re.findall(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", text)
    return next(filter(None, found[-1])) if found else ""


def cleaned(number):
    return re.sub(r"[,$]|\.$", "", number)


steps = st.lists(
    st.sampled_from(
        ["He has 3 apples.", "Then 2+2=4.", "That is $1,200 a year.", "So half, 0.5, is left."]
    ),
    max_size=4,
)


@given(steps.map("\n".join), st.integers(-9_999, 99_999), st.booleans())
def test_gsm8k_is_read_as_lm_eval_reads_it(reasoning, number, is_marked):
    text = (
        f"{reasoning}\n#### {number:,}" if is_marked else f"{reasoning}\nThe answer is {number:,}."
    )
    flexible, strict = score(text, f"#### {number}")
    assert flexible == (cleaned(flexible_extract(text)) == str(number)) == 1.0
    assert strict == (cleaned(strict_match(text)) == str(number)) == is_marked


# ---- the metric


def test_right_ones_in_percent_by_the_mark_and_by_whatever_was_found():
    rows = [
        Row(text="#### 18"),
        Row(text="It is 18."),
        Row(text="#### 17"),
        Row(text="no idea"),
        Row(ids=(), ttft=None),
    ]
    figures, counted = scored(rows, ["x\n#### 18"] * 5)
    assert figures == {
        "number_match": 40.0,
        "number_match_strict": 20.0,
        "number_match_marked": 2.0,
        "number_match_unread": 2.0,
    }
    assert counted == {("%", 5), ("answers", 5)}


def test_only_samples_whose_reference_has_a_mark_count():
    rows = [Row(text="\\boxed{\\frac12}"), Row(text="Paris"), Row(text="B")]
    figures, counted = scored(rows, ["so \\boxed{0.5}", "Paris", "B"])
    assert (figures["number_match"], figures["number_match_strict"]) == (100.0, 100.0)
    assert ("%", 1) in counted


def test_the_metric_is_the_mean_of_the_scores():
    texts, reference = ["#### 5", "\\boxed{5}", "5", "", "five"], "#### 5"
    figures, _ = scored(
        [Row(text=text, ids=(5, 2) if text else ()) for text in texts], [reference] * 5
    )
    means = 100 * np.mean([score(text, reference) for text in texts], axis=0)
    assert (
        [figures["number_match"], figures["number_match_strict"]] == means.tolist() == [60.0, 20.0]
    )


@pytest.mark.parametrize("reference", ["42", "B", "#### Heading", "", None])
def test_without_a_mark_there_is_no_such_metric(reference):
    assert scored([Row(text="42")], [reference]) == ({}, set())
    assert score("42", reference or "") == (0.0, 0.0)


pieces = [
    *"0123456789,.-/$%{}()^_= \n",
    "####",
    "\\boxed{",
    "\\frac",
    "\\text{",
    "\\left",
    "\\\\",
    "answer is $",
    "\\sqrt",
    "٣",
    "½",
]


@hypothesis_settings(deadline=None)
@given(st.text(st.characters()), st.lists(st.sampled_from(pieces), max_size=40).map("".join))
def test_no_text_is_too_odd(text, odd):
    for output in (text, odd, text + odd):
        for reference in ("#### 5", "\\boxed{\\frac12}", output, f"\\boxed{{{output}}}"):
            flexible, strict = score(output, reference)
            assert 0.0 <= strict <= flexible <= 1.0
