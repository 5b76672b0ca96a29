"""May anybody read VALID beside a condition that nobody could decide?"""

import pytest

from harness.kernel.types import Verdict
from harness.result.judge import status_of
from tests.scenario_helpers import Row, hand_log

LOG = hand_log([Row()])
KEPT = Verdict("min_queries", "PASS", loadgen=True)


@pytest.mark.parametrize(
    ("verdict", "status", "reason"),
    [
        (KEPT, "VALID", "every condition holds"),
        (Verdict("streamed", "UNDECIDED"), "INVALID", "undecided: streamed"),
        (
            Verdict("ttft_p90", "UNDECIDED", error="KeyError"),
            "INVALID",
            "could not be judged: ttft_p90",
        ),
        (Verdict("text", "SKIPPED"), "VALID", "every condition holds"),
        (
            Verdict("tpot_p90", "SKIPPED", loadgen=True),
            "VALID",
            "every other condition holds; tpot_p90 could not be judged",
        ),
    ],
)
def test_what_is_undecided_is_not_valid_and_what_was_not_judged_is_named(verdict, status, reason):
    assert status_of(LOG, [KEPT, verdict]) == (status, reason)


def test_what_failed_is_told_before_what_is_undecided():
    verdicts = [Verdict("a", "UNDECIDED"), Verdict("b", "FAIL")]
    assert status_of(LOG, verdicts) == ("INVALID", "failed: b; undecided: a")
