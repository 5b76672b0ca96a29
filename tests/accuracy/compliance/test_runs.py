"""A run with an official audit.config: is it judged by its answers, and by what its config asks?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accuracy.compliance.audit import audit
from accuracy.compliance.audited import BadInput
from accuracy.compliance.runs import AUDIT_CONFIGS, AUDIT_SEED, audit_config, logged_lengths
from tests.compliance_helpers import accuracy, answers, changed, found, hand


def compliance(test, rows=None, logged=None, **changes):
    """A run as the config of `test` makes it: INVALID, because it is too short."""
    config = AUDIT_CONFIGS[test]
    rows = answers(config.answers) if rows is None else rows
    own = {
        "accuracy_log_seed": AUDIT_SEED,
        "accuracy_log_target": config.target,
        "issue": config.issue,
        "min_queries": config.answers,
        "min_duration_ns": 0,
    }
    run = hand(rows, status="INVALID", **(own | changes))
    return replace(run, logged=np.arange(len(rows) if logged is None else logged))


@pytest.mark.parametrize("test", ["TEST06", "TEST07", "TEST09"])
def test_a_run_is_known_by_its_seed_and_its_target(test):
    settings = compliance(test).settings
    assert audit_config(settings).test == test
    assert audit_config(replace(settings, accuracy_log_seed=1)) is None
    assert audit_config(replace(settings, accuracy_log_target=99)) is None
    assert audit_config(replace(settings, mode="accuracy")) is None


def test_a_short_run_with_test06s_config_passes_by_its_answers():
    run = compliance("TEST06")
    verdicts = {v.rule: v for v in audit(run)}
    assert verdicts["TEST06 valid_runs"].status == "PASS"
    assert "too short to be VALID, as TEST06's audit.config has it" in (
        verdicts["TEST06 valid_runs"].detail
    )
    assert {v.status for v in verdicts.values()} <= {"PASS", "SKIPPED"}
    ordinary = replace(run, settings=replace(run.settings, accuracy_log_target=0))
    assert found("TEST06 valid_runs", ordinary).status == "FAIL"


def test_a_compliance_run_that_did_not_come_to_its_end_is_none():
    run = compliance("TEST06")
    log = replace(run.log, end="interrupted")
    broken = replace(run, log=log, status="INTERRUPTED")
    assert found("TEST06 valid_runs", broken).status == "FAIL"


def test_its_companions_have_to_be_valid_all_the_same():
    rows = answers(100)
    other = accuracy(rows, status="INVALID")
    assert found("TEST06 valid_runs", compliance("TEST06", rows), other).status == "FAIL"


def test_the_rules_for_answers_hold_for_it_as_for_any_run():
    rows = answers(100)
    rows[7] = changed(rows[7], 3, 2)  # an EOS in the middle, which the official script accepts
    assert found("TEST06 eos", compliance("TEST06", rows)).status == "FAIL"


def test_too_few_logged_answers_are_no_compliance_run():
    few = found("TEST06 logged_answers", compliance("TEST06", logged=99))
    assert (few.status, few.measured, few.limit) == ("FAIL", 99, 100)
    assert few.remedy == "run it with the official audit.config of TEST06 as it is"


@pytest.mark.parametrize(("logged", "status"), [(60, "PASS"), (59, "FAIL")])
def test_of_a_longer_run_about_as_many_are_drawn(logged, status):
    """Multi-stream: 100 queries of 8 samples, of which each is logged with a chance of 1 in 8."""
    run = compliance("TEST06", answers(800), logged=logged)
    assert found("TEST06 logged_answers", run).status == status


@pytest.mark.parametrize(
    ("test", "changes", "detail"),
    [
        ("TEST06", {"equal_issue": True}, "issued: equal"),
        ("TEST06", {"issue": "unique"}, "issued: unique"),
        ("TEST07", {"issue": "random"}, "issued: random"),
    ],
)
def test_the_order_is_that_of_the_config(test, changes, detail):
    issue = found(f"{test} issue", compliance(test, **changes))
    assert (issue.status, issue.detail) == ("FAIL", detail)


def test_each_question_comes_once_where_the_config_says_so():
    rows = answers(990)
    rows[5] = replace(rows[5], index=6)
    issue = found("TEST07 issue", compliance("TEST07", rows))
    assert (issue.status, issue.detail) == (
        "FAIL",
        "issued: unique; 1 questions came more than once",
    )


@pytest.mark.parametrize(
    ("scores", "status"),
    [({"exact_match": 60.698}, "PASS"), ({"exact_match": 60.69}, "FAIL"), ({}, "UNDECIDED")],
)
def test_test07_reaches_the_figure_of_its_config(scores, status):
    run = replace(compliance("TEST07"), scores=scores)
    assert found("TEST07 exact_match", run).status == status


@pytest.mark.parametrize(
    ("tokens", "status"), [(1150, "FAIL"), (1151, "PASS"), (1406, "PASS"), (1407, "FAIL")]
)
def test_test09_keeps_the_bounds_of_its_config(tokens, status):
    run = compliance("TEST09", [replace(answers(1)[0], ids=(5,) * tokens, finish="length")])
    length = found("TEST09 mean_length", run)
    assert (length.status, length.measured) == (status, tokens)


def test_only_logged_answers_have_a_length():
    rows = answers(3)
    rows[2] = replace(rows[2], ids=rows[2].ids * 2)
    assert logged_lengths(compliance("TEST06", rows, logged=2)).tolist() == [8, 8]
    nothing = found("TEST09 mean_length", compliance("TEST09", rows, logged=0))
    assert (nothing.status, nothing.detail) == ("FAIL", "no answer was logged")


def test_it_is_audited_by_itself_and_stands_beside_no_run():
    with pytest.raises(BadInput, match=r"with TEST06's audit\.config; .* Audit it by itself"):
        audit(hand(answers(3)), [compliance("TEST06")])


def test_an_ordinary_run_has_no_such_conditions():
    rules = {v.rule for v in audit(hand(answers(3)))}
    assert not rules & {"TEST06 logged_answers", "TEST06 issue", "TEST07 exact_match"}
