"""Is a system caught that sends, counts or times its answers as it likes?"""

import pytest

from tests.cheats import suts

RUN_RULES = [
    (suts.ReportsAnotherFirstToken, "first_token"),
    (suts.GoesOnAfterEos, "eos"),
    (suts.CountsTooMany, "token_count"),
    (suts.LosesTheSlowOnes, "samples_complete"),
    (suts.AnswersBeforeItIsAsked, "events_in_order"),
    (suts.AnswersTwice, "events_in_order"),
    (suts.SaysNothing, "not_empty"),
    (suts.SendsInOneBurst, "streamed"),
    (suts.SendsAnotherText, "text"),
    (suts.WritesAfterwards, "text"),
    (suts.InventsItsVocabulary, "text"),
    (suts.AvoidsWhatItSaid, "text"),
]


@pytest.mark.parametrize(
    ("kind", "rule"), RUN_RULES, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_rule_of_every_run_catches_it(cheat, kind, rule):
    _, result = cheat(kind, sample_timeout=120)
    statuses = {v["rule"]: v["status"] for v in result["verdicts"]}
    assert (result["status"], statuses[rule]) == ("INVALID", "FAIL")


def test_who_speaks_honestly_breaks_no_rule(cheat, audited):
    folder, result = cheat(suts.Speaks, num_samples=100, min_queries=100)
    assert result["status"] == "VALID", result["status_reason"]
    assert "FAIL" not in audited(folder).values()
    assert result["driver"]["silent_tokens"] == 0


AUDIT_RULES = [
    (suts.SendsAnyFirstToken, "TEST06 own_first_token", "UNDECIDED"),
    (suts.NamesNoEos, "TEST06 eos", "UNDECIDED"),
    (suts.PadsWithNothing, "UNTIMED padding", "FAIL"),
    (suts.RefusesToCommit, "UNTIMED vocabulary", "UNDECIDED"),
]


@pytest.mark.parametrize(
    ("kind", "rule", "status"), AUDIT_RULES, ids=lambda value: getattr(value, "__name__", value)
)
def test_an_audit_catches_it(cheat, audited, kind, rule, status):
    folder, _ = cheat(kind)
    found = audited(folder)
    assert found[rule] == status
    assert found[""] != "PASS"


def test_another_model_in_the_timed_run_is_no_pass_without_its_accuracy_run(
    cheat, audited, monkeypatch
):
    folder, _ = cheat(suts.SmallerModelInTime)
    alone = audited(folder)
    assert (alone[""], alone["TEST01 same_answers"]) == ("SKIPPED", "SKIPPED")
    monkeypatch.setattr(suts.SmallerModelInTime, "careful", True)
    companion, _ = cheat(suts.SmallerModelInTime, mode="accuracy")
    assert audited(folder, "--with", companion)["TEST01 same_answers"] == "FAIL"


def test_answers_cut_short_everywhere_need_a_published_length(cheat, audited):
    folder, _ = cheat(suts.CutsAllShort, mode="submission")
    assert audited(folder)["TEST09 output_length"] == "PASS"  # both parts are as short
    assert audited(folder, "--tokens-per-sample", 32)["TEST09 output_length"] == "FAIL"
