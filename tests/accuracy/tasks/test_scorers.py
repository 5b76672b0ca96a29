"""What does each scorer read, and which is right?"""

import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuracy.tasks import TABLE as TASKS
from accuracy.tasks.scorers import TABLE, Given, asks_likelihoods, installed
from accuracy.tasks.scoring import verified
from accuracy.tasks.scoring.likelihoods import place
from accuracy.tasks.scoring.mark import Mark
from harness.kernel.types import Sample

GOLD = "3 * 6 = <<3*6=18>>18\n#### 18"


def mark(scorer, text, reference, choices=(), nll_nats=()):
    return TABLE[scorer](
        Given(text, nll_nats), Sample(0, "?", reference=reference, choices=choices)
    )


@pytest.mark.parametrize(
    ("text", "number", "strict", "lm_eval_strict", "flexible"),
    [
        ("#### 18", 1, 1, 1, 1),
        ("#### 18.00", 1, 1, 0, 0),  # a value for us, a text for lm-eval
        ("That makes $18.", 1, 0, 0, 1),
        ("18 euros ...", 1, 0, 0, 0),  # "..." looks like a number to lm-eval
        ("#### $18", 1, 1, 0, 1),
        ("The answer is \\boxed{18}. Others say 19.", 1, 0, 0, 0),
        ("#### 18\nAnd 5 are left.", 1, 1, 1, 0),
        ("#### 19", 0, 0, 0, 0),
        ("no number", 0, 0, 0, 0),
    ],
)
def test_numbers_are_read_where_each_scorer_looks(text, number, strict, lm_eval_strict, flexible):
    names = ("number", "number_strict", "strict_match", "flexible_extract")
    found = [mark(name, text, GOLD).score for name in names]
    assert found == [number, strict, lm_eval_strict, flexible]


def test_nothing_read_is_no_answer():
    for name in ("number", "number_strict", "strict_match", "flexible_extract"):
        assert mark(name, "I do not know", GOLD).outcome == "no answer"
    assert mark("number_strict", "18", GOLD).outcome == "no answer"
    assert mark("letter", "Who can say?", "B", (" A", " B")).outcome == "no answer"
    assert mark("alias_match", "the", "Seine").outcome == "no answer"
    assert mark("plain_match", " ", "Seine").outcome == "no answer"


def test_boxed_answers_are_compared_as_formulas():
    gold = "So it is $\\boxed{\\frac{1}{2}}$."
    assert mark("boxed", "\\boxed{0.5}", gold).score == 1
    assert mark("boxed", "The answer is $\\frac12$.", gold).score == 1
    assert mark("boxed_strict", "The answer is $\\frac12$.", gold).outcome == "no answer"
    assert mark("boxed_strict", "$\\boxed{\\tfrac12}$", gold).score == 1


@pytest.mark.parametrize("text", [" B", "B. Water", "(b)", "The answer is B."])
def test_a_letter_is_right(text):
    assert mark("letter", text, "B", (" A", " B", " C", " D")) == Mark(1.0, "B", "right")
    assert mark("letter", text, "C", (" A", " B", " C", " D")).outcome == "wrong"


def test_any_accepted_answer_is_right():
    accepted = "Seine\nRiver Seine"
    assert mark("plain_match", "river seine!", accepted).score == 1
    assert mark("plain_match", "the Seine", accepted).outcome == "wrong"
    assert mark("alias_match", "The Seine", accepted).score == 1
    assert mark("alias_match", "Thames", accepted).outcome == "wrong"


# ---- likelihoods


CHOICES = (" a", " ab", " 日")


@pytest.mark.parametrize(
    ("scorer", "chosen"),
    [("likelihood", "A"), ("likelihood_per_char", "B"), ("likelihood_per_byte", "C")],
)
def test_lengths_change_which_choice_is_the_likeliest(scorer, chosen):
    nll_nats = (1.0, 1.6, 2.0)  # per character 1, 0.8, 2; per byte 1, 0.8, 0.667
    for letter in "ABC":
        found = mark(scorer, "", letter, CHOICES, nll_nats)
        assert (found.answer, found.score) == (chosen, float(letter == chosen))


@given(st.lists(st.floats(0.1, 50), min_size=2, max_size=9), st.data())
def test_the_likeliest_is_the_argument_of_the_maximum(nll_nats, data):
    texts = data.draw(st.lists(st.text(min_size=1), min_size=len(nll_nats), max_size=len(nll_nats)))
    choices = tuple(f" {text}" for text in texts)
    for scorer, lengths in (
        ("likelihood", np.ones(len(texts))),
        ("likelihood_per_char", np.array([float(len(text)) for text in texts])),
    ):
        best = int(np.argmax(-np.array(nll_nats) / lengths))
        found = mark(scorer, "", "ABCDEFGHI"[best], choices, tuple(nll_nats))
        assert found == Mark(1.0, "ABCDEFGHI"[best], "right")


@pytest.mark.parametrize("nll_nats", [(), (1.0, 2.0), (1.0, float("nan"), 2.0)])
def test_choices_without_a_likelihood_are_no_answer(nll_nats):
    assert mark("likelihood", "", "A", CHOICES, nll_nats) == Mark(0.0, "", "no answer")


def test_the_right_choice_is_named_by_its_letter_or_its_place():
    assert [place(text) for text in ("A", "D", "0", "3", "", "AB", "a")] == [0, 3, 0, 3, -1, -1, -1]


# ---- all of them


def test_every_task_has_scorers_that_are_there_and_likelihoods_where_it_has_choices():
    for task in TASKS.values():
        assert set(task.scorers) <= set(TABLE)
        assert task.asks_likelihoods == any(map(asks_likelihoods, task.scorers))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(sorted(TABLE)))
def test_no_text_breaks_a_scorer(text, name):
    if name == "math_verify":
        return
    for reference in (GOLD, "\\boxed{3}", "B", "Seine\nThames", ""):
        found = mark(name, text, reference, (" A", " B"), (1.0, 2.0))
        assert 0 <= found.score <= 1


# ---- math-verify, in a process of its own


@pytest.mark.skipif(not verified.is_installed(), reason="needs the extra math")
def test_formulas_are_equal_by_algebra():
    gold = "It is $\\boxed{x+1}$."
    assert mark("math_verify", "$\\boxed{1+x}$", gold) == Mark(1.0, "1+x", "right")
    assert mark("math_verify", "$\\boxed{x}$", gold).outcome == "wrong"
    assert mark("math_verify", "", gold).outcome == "no answer"
    assert mark("boxed", "$\\boxed{1+x}$", gold).outcome == "wrong"


def test_math_verify_is_left_out_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr(verified, "is_installed", lambda: False)
    assert installed(TASKS["math500"].scorers) == ["boxed", "boxed_strict"]
    monkeypatch.setattr(verified, "is_installed", lambda: True)
    assert installed(TASKS["math500"].scorers) == ["boxed", "boxed_strict", "math_verify"]


STUCK = """
    import json, sys, time
    print("ready", flush=True)
    for line in sys.stdin:
        text = json.loads(line)["text"]
        if text == "stuck":
            time.sleep(600)
        if text == "gone":
            sys.exit()
        if text == "slow":
            time.sleep(0.1)
        print(json.dumps({"is_right": True, "answer": text}), flush=True)
"""


@pytest.fixture
def verifier(monkeypatch, tmp_path):
    """A verifier whose process is stuck or gone where it is told to be."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(STUCK))
    monkeypatch.setattr(verified, "_SCRIPT", script)
    monkeypatch.setattr(verified, "_LONGEST_S", 1.0)
    made = verified._Verifier()
    yield made
    made.end()


@pytest.mark.parametrize("word", ["stuck", "gone"])
def test_an_answer_that_never_ends_or_ends_the_process_is_not_read(verifier, word):
    assert verifier.compare("r", "fine") == (True, "fine")
    began = time.monotonic()
    assert verifier.compare("r", word) == (False, "")
    assert time.monotonic() - began < 60
    assert verifier.compare("r", "after it\n\ud83d") == (True, "after it\n\ud83d")


def test_runs_that_are_scored_side_by_side_lose_no_answer(verifier):
    """One of them is over before the other: its end must not take an answer from the other."""
    assert verifier.compare("r", "begun") == (True, "begun")
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(verifier.compare, "r", "slow") for _ in range(4)]
        verifier.end()
    assert [answer.result() for answer in answers] == [(True, "slow")] * 4
