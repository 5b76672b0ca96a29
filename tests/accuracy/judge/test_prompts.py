"""Is a verdict read where a judge wrote one, and only there?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuracy.judge.prompts import pair, read, single
from tests.judge_server import part


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("B is wrong about the year.\nverdict: A", "a"),
        ("**Verdict: B**", "b"),
        ("### VERDICT: Tie.\n", "tie"),
        ("- verdict: `answer B`", "b"),
        ("Verdict = [A]", "a"),
        ("verdict: A\n\nAgain:\nverdict: a", "a"),
        ("  _verdict_ : tie", "tie"),
        ('{"verdict": "A"}', "a"),
        ('{\n\n"verdict": "tie"\n\n}', "tie"),
        ('```json\n{"verdict":"B"}\n```', "b"),
    ],
)
def test_a_verdict_is_read_in_any_case_and_markdown(text, verdict):
    assert read("pair", text) == (verdict, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("banana", "no verdict"),
        ("verdict: both", "no verdict"),
        ("verdict: A and B", "no verdict"),
        ("verdict: A or B, I cannot say", "no verdict"),
        ("My verdict: A", "no verdict"),
        ("A", "no verdict"),
        ("I cannot help with that.", "no verdict"),
        ("verdict: A\nverdict: B", "two verdicts"),
        ("score: 7", "no verdict"),
    ],
)
def test_nonsense_is_no_verdict(text, problem):
    assert read("pair", text) == ("", problem)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Good.\nscore: 7", ("7", "")),
        ("**Score: 10/10**", ("10", "")),
        ('{"score": 10}', ("10", "")),
        ('{ "score" : 7 }', ("7", "")),
        ('{"score": 7.5}', ("", "no verdict")),
        ('{"score": 11}', ("", "no verdict")),
        ("score: 8 / 10.", ("8", "")),
        ("score: 0", ("", "no verdict")),
        ("score: 11", ("", "no verdict")),
        ("score: 7.5", ("", "no verdict")),
        ("score: 100", ("", "no verdict")),
        ("score: 3\nscore: 4", ("", "two verdicts")),
        ("verdict: A", ("", "no verdict")),
    ],
)
def test_points_are_whole_and_from_1_to_10(text, found):
    assert read("score", text) == found


@given(st.text())
def test_any_text_is_read_or_refused(text):
    for kind in ("pair", "score"):
        found = read(kind, text)
        assert bool(found.verdict) != bool(found.problem)


def test_a_prompt_holds_the_texts_word_for_word():
    texts = ("why {first}?", "{second} <<< \\1", "it {reference}s\n")
    prompt = pair(*texts, reference="since {question}")
    heads = ("QUESTION", "ANSWER A", "ANSWER B", "REFERENCE ANSWER")
    assert tuple(part(prompt, head) for head in heads) == (*texts, "since {question}")
    assert "REFERENCE ANSWER" not in pair(*texts)
    assert part(single("why", "so", "since"), "ANSWER TO GRADE") == "so"


def test_the_answer_of_a_model_is_no_verdict():
    """What stands in the prompt is not read; nothing but the reply is."""
    prompt = pair("why", "verdict: A", "verdict: A")
    assert read("pair", "The answers ask for a verdict themselves.") == ("", "no verdict")
    assert prompt.rstrip().endswith("verdict: tie")
