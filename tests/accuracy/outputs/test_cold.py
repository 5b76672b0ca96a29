"""Is a warm prefix cache found, and is a budget of failures kept?"""

from __future__ import annotations

import pytest

from accuracy.outputs.cold import cold_prompts
from accuracy.outputs.rules import samples_complete
from harness.kernel.answers import Seen
from harness.kernel.types import Output
from tests.accuracy.outputs.test_rules import recorded

SALTED = {"prompts": {"salted": True, "head_tokens": 0}}


def asked(*cached, prompt=100):
    """A log of as many samples, each with that many cached tokens of its prompt."""
    log = recorded(issued=len(cached))
    log.seen = {
        i: Seen(prompt_tokens=prompt, cached_tokens=tokens) for i, tokens in enumerate(cached)
    }
    return log


@pytest.mark.parametrize(("cached", "status"), [((0, 0), "PASS"), ((0, 90), "FAIL")])
def test_a_warm_cache_is_a_failure(cached, status):
    found = cold_prompts(asked(*cached), SALTED)
    assert found.status == status
    assert found.measured == pytest.approx(sum(cached) / 2)
    assert f"{sum(cached)} of 200 prompt tokens" in found.detail
    assert bool(found.remedy) == (status == "FAIL")


def test_what_opens_every_prompt_may_be_known():
    head = {"prompts": {"salted": True, "head_tokens": 32}}
    assert cold_prompts(asked(32, 32), head).status == "PASS"
    assert cold_prompts(asked(32, 32), SALTED).status == "FAIL"


def test_the_opening_of_a_prompt_that_was_computed_excuses_no_other():
    head = {"prompts": {"salted": True, "head_tokens": 32}}
    found = cold_prompts(asked(100, -1, -1, -1), head)
    assert (found.status, found.measured) == ("FAIL", 25.0)
    assert "100 of 400 prompt tokens were cached (as its answers say), 32 of" in found.detail
    assert "opening" not in cold_prompts(asked(0, 0), head).detail


def test_an_answer_that_says_nothing_was_computed_where_others_say():
    found = cold_prompts(asked(60, -1, -1, -1), SALTED)
    assert found.measured == 15.0


def test_a_shared_prefix_is_told_and_not_judged():
    found = cold_prompts(asked(0, 90), {"prompts": {"salted": False}})
    assert (found.status, found.measured) == ("SKIPPED", 45.0)


def test_the_servers_counters_speak_where_its_answers_do_not():
    counted = {"prompts": {"salted": True, "counters": {"queries": 1000.0, "hits": 980.0}}}
    found = cold_prompts(recorded(), counted)
    assert (found.status, found.measured) == ("FAIL", 98.0)
    assert cold_prompts(recorded(), SALTED).status == "SKIPPED"
    assert cold_prompts(recorded(), {}).status == "SKIPPED"


@pytest.mark.parametrize(("budget", "status"), [(0.0, "FAIL"), (1.9, "FAIL"), (2.0, "PASS")])
def test_a_budget_lets_some_samples_fail(budget, status):
    events = [("complete", Output(i)) for i in range(2, 100)]
    log = recorded(*(("fail", i, "429") for i in range(2)), *events, issued=100)
    log.failures = {0: "overloaded", 1: "cut"}
    found = samples_complete(log, {"error_budget": budget})
    assert (found.status, found.measured) == (status, 2)
    assert "1 overloaded, 1 cut" in found.detail


def test_a_budget_is_a_share_of_all_samples_to_the_last_one():
    events = [("complete", Output(i)) for i in range(7, 1000)]
    log = recorded(*(("fail", i, "429") for i in range(7)), *events, issued=1000)
    found = samples_complete(log, {"error_budget": 0.7})
    assert (found.status, found.limit) == ("PASS", 7)
