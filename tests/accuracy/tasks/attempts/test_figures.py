"""The figures of several attempts, beside means over all sets that are counted out here."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accuracy.tasks import marks
from accuracy.tasks.attempts.draws import Draws
from accuracy.tasks.attempts.figures import sizes, summary

RIGHT = "7"


def table(answers, likely=None, verifier=None, tokens=10):
    """Rows of scores.parquet; `answers` has the attempts of each question, "" for none."""
    rows = []
    for question, attempts in enumerate(answers):
        for attempt, answer in enumerate(attempts):
            outcome = "right" if answer == RIGHT else "wrong" if answer else "no answer"
            row = {
                "index": question,
                "attempt": attempt,
                "scorer": "number",
                "score": float(answer == RIGHT),
                "outcome": outcome,
                "answer": answer,
                "tokens": tokens,
                "is_cut": False,
            }
            if likely is not None:
                row["log_likelihood"] = likely[question][attempt]
            if verifier is not None:
                row["verifier"] = verifier[question][attempt]
            rows.append(row)
    return rows


def figures(answers, n, span_s=8.0, **columns):
    draws = Draws(n, 0.8, 1.0, 0)._asdict()
    return summary(draws, table(answers, **columns), ["number"], span_s)


def at(found, k):
    return next(row for row in found["at"] if row["k"] == k)


def test_sizes_double_up_to_all():
    assert [sizes(n) for n in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["7", "8", ""]), min_size=4, max_size=4), min_size=1, max_size=6
    )
)
def test_pass_is_the_mean_over_sets_and_one_attempt_is_the_average_whatever_the_way(answers):
    found = figures(answers, 4)
    for k in (1, 2, 4):
        shares = [
            np.mean([RIGHT in some for some in combinations(attempts, k)]) for attempts in answers
        ]
        assert at(found, k)["pass"]["value"] == pytest.approx(np.mean(shares))
    average = np.mean([answer == RIGHT for attempts in answers for answer in attempts])
    assert found["average"]["value"] == pytest.approx(average)
    assert at(found, 1)["majority"]["value"] == pytest.approx(average)


def test_ways_choose_what_they_say():
    answers = [["7", "8", "8", "9"], ["7", "7", "8", "9"]]
    likely = [[-0.1, -2.0, -2.0, -2.0], [-2.0, -2.0, -0.1, -2.0]]
    verifier = [[1.0, 2.0, 3.0, 4.0], [None, 5.0, 1.0, 0.0]]
    last = at(figures(answers, 4, likely=likely, verifier=verifier), 4)
    values = {way: last[way]["value"] for way in ("pass", "majority", "likelihood", "verifier")}
    assert values == {"pass": 1.0, "majority": 0.5, "likelihood": 0.5, "verifier": 0.5}


def test_a_way_without_anything_to_choose_by_is_missing():
    found = figures([["7", "8"]], 2, likely=[[None, None]])
    assert "likelihood" not in at(found, 2)
    assert "verifier" not in at(found, 2)


def test_programs_have_no_votes():
    rows = [{**row, "scorer": "runs"} for row in table([["7", "8"]])]
    found = summary(Draws(2, 0.8, 1.0, 0)._asdict(), rows, ["runs"], 1.0)
    assert "majority" not in at(found, 2)
    assert at(found, 2)["pass"]["value"] == 1.0


def test_ties_are_counted_and_the_first_answer_wins():
    found = figures([["7", "8"], ["8", "7"], ["7", "7"], ["", ""]], 2)
    assert found["ties"] == 2
    assert at(found, 2)["majority"]["value"] == pytest.approx(2 / 4)


def test_questions_with_a_lost_answer_are_left_out_and_counted():
    found = figures([["7", "7"], ["8"]], 2)
    assert (found["questions"], found["incomplete"]) == (1, 1)
    assert at(found, 2)["pass"]["value"] == 1.0


def test_without_a_whole_question_there_are_no_figures():
    found = figures([["7"]], 2)
    assert found["at"] == []
    assert found["average"]["value"] is None


def test_cost_grows_with_the_attempts_and_is_divided_by_what_is_solved():
    found = figures([["7", "8"], ["8", "8"]], 2, span_s=8.0)
    one, two = at(found, 1), at(found, 2)
    assert (one["tokens"], two["tokens"]) == (10.0, 20.0)
    assert (one["seconds"], two["seconds"]) == (2.0, 4.0)
    assert two["pass"]["tokens_per_solved"] == 40.0
    assert two["pass"]["seconds_per_solved"] == 8.0
    assert figures([["8", "8"]], 2)["average"]["tokens_per_solved"] is None


def test_attempts_at_a_question_are_no_evidence_of_their_own():
    """Ten copies of each answer leave the interval as wide as one does."""
    once = [["7"]] * 12 + [["8"]] * 8
    copied = [attempts * 10 for attempts in once]
    one, ten = figures(once, 1)["average"], figures(copied, 10)["average"]
    assert (one["value"], one["low"], one["high"]) == (ten["value"], ten["low"], ten["high"])


def test_marks_of_a_scorer_count_questions():
    rows = table([["7", "8", "7"], ["8", "8", ""]])
    found = marks.marks(rows, "number")
    assert found.questions.tolist() == [0, 1]
    assert found.score.tolist() == pytest.approx([2 / 3, 0.0])
    assert found.outcome == ["right", "wrong"]
    told = marks.summary({"name": "t", "shots": 0, "scorers": ["number"]}, rows, [])
    assert (told["n"], told["scores"]["number"]["n"]) == (2, 2)
    assert [told["scores"]["number"][name] for name in ("right", "wrong", "no_answer")] == [2, 3, 1]


def test_the_scorer_is_the_first_that_reads_answers():
    rows = table([["7", "8"]])
    found = summary(Draws(2, 0.8, 1.0, 0)._asdict(), rows, ["likelihood", "number"], 1.0)
    assert found["scorer"] == "number"
    assert at(found, 2)["pass"]["value"] == 1.0
