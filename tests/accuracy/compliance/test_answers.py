"""TEST01: may answers to the same question differ, and what does it take to call it rounding?"""

from __future__ import annotations

import pytest

from tests.compliance_helpers import accuracy, answers, changed, found, hand

TOKENS = 48
LONG = {"max_new_tokens": TOKENS}


def turning(n, share, at, seed=1):
    """Answers of which `share` turn off at position `at`, and those they should have been."""
    rows = answers(n, TOKENS, seed)
    return [changed(row, at) if i < share * n else row for i, row in enumerate(rows)], rows


def repeated(share, at=40, **changes):
    """A run that asks 100 questions twice; `share` of the second answers turn off."""
    turned, rows = turning(100, share, at)
    return hand([*rows, *turned], **LONG, **changes)


def one_at_a_time(share=0.0, n=25):
    return hand(
        [row for part in turning(n, share, 3) for row in part], scenario="single-stream", **LONG
    )


@pytest.mark.parametrize("rule", ["TEST01 repeats_agree", "TEST01 same_answers"])
@pytest.mark.parametrize(
    ("share", "status"),
    [(0.01, "PASS"), (0.02, "UNDECIDED"), (0.25, "UNDECIDED"), (0.47, "UNDECIDED")],
)
def test_answers_agree_or_the_check_does_not_pass(rule, share, status):
    """One threshold for both: 99 of 100. Whether what differs is as good is TEST07's question."""
    turned, rows = turning(100, share, 40)
    others = [accuracy(rows, **LONG)] if "same" in rule else []
    run = hand(turned, **LONG) if others else repeated(share)
    same = found(rule, run, *others)
    assert (same.status, same.limit, same.unit) == (status, 99, "% the same")
    assert same.measured == pytest.approx(100 - 100 * share)


def test_a_doubt_names_the_run_that_decides_it():
    doubt = found("TEST01 repeats_agree", repeated(0.25))
    assert doubt.detail.startswith("75 of 100 answers are those given the first time; sample 100 ")
    assert doubt.detail.endswith("; one token in 185 turns an answer off")
    words = "to see whether it is the batches, add --with this run: python -m harness run"
    assert doubt.remedy.startswith(words)
    assert "--scenario single-stream --mode performance --issue random" in doubt.remedy


def test_where_one_at_a_time_all_agree_it_is_how_batches_round():
    run, alone = repeated(0.25), one_at_a_time()
    steady = found("TEST01 repeats_agree", run, alone)
    assert steady.status == "PASS"
    assert steady.detail.endswith("one at a time 25 of 25 agree, so it is how batches round")


def test_where_one_at_a_time_they_differ_too_it_is_not():
    blamed = found("TEST01 repeats_agree", repeated(0.25), one_at_a_time(0.2))
    assert (blamed.status, blamed.remedy[:15]) == ("FAIL", "decode greedily")
    assert "one at a time 20 of 25 agree" in blamed.detail


def test_a_few_repeats_one_at_a_time_decide_nothing():
    assert found("TEST01 repeats_agree", repeated(0.25), one_at_a_time(n=19)).status == "UNDECIDED"


def test_what_is_too_frequent_for_rounding_does_not_pass_as_rounding():
    often = found("TEST01 repeats_agree", repeated(0.95, at=17), one_at_a_time())
    assert often.status == "UNDECIDED"
    assert "one token in 21 turns an answer off" in often.detail
    assert "rounding turns off at most one in 50" in often.detail


def test_alone_there_is_nothing_to_round_otherwise():
    blamed = found("TEST01 repeats_agree", repeated(0.25, scenario="single-stream"))
    assert blamed.status == "FAIL"
    assert "each was decoded alone, so there was no batch to round differently" in blamed.detail
    turned, rows = turning(100, 0.25, 40)
    alone = {"scenario": "single-stream", **LONG}
    run, other = hand(turned, **alone), accuracy(rows, **alone)
    assert found("TEST01 same_answers", run, other).status == "FAIL"
    batched = accuracy(rows, scenario="offline", **LONG)
    assert found("TEST01 same_answers", run, batched).status == "UNDECIDED"
