"""When was the client the limit?"""

from __future__ import annotations

import pytest

from harness.engine.referee.client import MOST_BUSY, client_limit

LIMIT_NS = 200_000_000


@pytest.mark.parametrize(
    ("busy", "late_us", "status"),
    [(5.0, 80.0, "PASS"), (MOST_BUSY, 80.0, "PASS"), (MOST_BUSY + 1, 80.0, "FAIL"),
     (5.0, 199_000.0, "PASS"), (5.0, 201_000.0, "FAIL")],
)  # fmt: skip
def test_a_worker_that_is_always_at_work_or_stamps_too_late(busy, late_us, status):
    client = {"workers": 1, "busy_percent": busy, "stamp_delay_p99_us": late_us}
    verdict = client_limit(client, LIMIT_NS)
    assert (verdict.rule, verdict.status) == ("client_limit", status)
    assert bool(verdict.remedy) == (status == "FAIL")
    assert f"{busy:g} %" in verdict.detail


def test_workers_that_said_nothing_are_not_judged():
    assert client_limit({}, LIMIT_NS).status == "SKIPPED"


def test_over_tls_stamps_are_not_sampled_and_the_rest_is_judged():
    verdict = client_limit({"workers": 3, "busy_percent": 12.5}, LIMIT_NS)
    assert verdict.status == "PASS"
    assert verdict.detail == "the busiest worker was at work 12.5 % of the time"
