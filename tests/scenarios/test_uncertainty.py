"""Does the driver answer for its own delays, and for no more than these?"""

import numpy as np
import pytest

from harness.kernel.log import RunLog
from scenarios import uncertainty
from scenarios.offline import Offline
from scenarios.server import Server
from scenarios.single_stream import SingleStream
from scenarios.uncertainty import is_doubtful, judged_twice
from tests.scenario_helpers import MS, Row, hand_log, run_settings, verdict

SETTINGS = run_settings(min_queries=1, ttft_limit_ns=100 * MS, tpot_limit_ns=20 * MS)


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    """Undo what the other tests are spared."""
    monkeypatch.setattr(uncertainty, "ERROR_SHARE", 0.10)
    monkeypatch.setattr(uncertainty, "is_doubtful", is_doubtful)


def log_of(n: int = 64, first_ms: float = 0.0, done_ms: float = 0.0, **row: float) -> RunLog:
    """Samples that are all alike, heard so late: three tokens, a stamp for each."""
    log = hand_log([Row(due=200.0 * i, **row) for i in range(n)])
    log.stamp_start = 3 * np.arange(n + 1, dtype=np.int64)
    log.stamp_ns = np.repeat(log.first_ns, 3)
    log.stamp_delay_ns = np.full(3 * n, round(first_ms * MS), np.int64)
    log.done_delay_ns = np.full(n, round(done_ms * MS), np.int64)
    return log


def judged(log: RunLog, scenario=None, settings=SETTINGS):
    return judged_twice(scenario or SingleStream(), log, settings)


def error(log: RunLog, scenario=None, settings=SETTINGS):
    return verdict(judged(log, scenario, settings), "driver_error")


@pytest.mark.parametrize(
    ("late_ms", "status", "percent"), [(0, "PASS", 0), (5, "PASS", 10), (15, "FAIL", 30)]
)
def test_the_error_is_a_share_of_what_was_measured_and_not_of_the_limit(late_ms, status, percent):
    found = error(log_of(ttft=50.0, latency=90.0, first_ms=late_ms, done_ms=late_ms))
    assert (found.status, found.limit, found.unit) == (status, 10, "%")
    assert found.measured == pytest.approx(percent)
    assert bool(found.remedy) == (status == "FAIL")


def test_the_worst_figure_is_named_with_both_its_values():
    found = error(log_of(ttft=150.0, latency=190.0, first_ms=100, done_ms=100))
    assert found.detail == "p90 TTFT: 150 ms, 50 ms without the driver's own delays"


def test_a_first_token_heard_late_makes_tpot_too_short_which_is_an_error_as_well():
    found = error(log_of(ttft=500.0, latency=520.0, first_ms=20, done_ms=0))
    assert found.detail == "p90 TPOT: 10 ms, 20 ms without the driver's own delays"
    assert (found.status, found.measured) == ("FAIL", 100)


def test_a_query_issued_late_counts():
    found = error(log_of(ttft=100.0, latency=140.0, lag=40.0))
    assert found.detail == "p90 TTFT: 100 ms, 60 ms without the driver's own delays"


def test_waking_up_is_no_error():
    assert error(log_of(ttft=0.1, latency=0.2, first_ms=0.04, done_ms=0.04)).status == "PASS"


def test_a_rate_has_an_error_too():
    found = error(log_of(n=1, ttft=None, ids=(), latency=100.0, done_ms=50.0), Offline())
    assert found.status == "FAIL"
    assert found.detail.startswith("samples: 10 samples/s, 20 samples/s without")


@pytest.mark.parametrize(
    ("ttft", "status"), [(90.0, "PASS"), (120.0, "UNDECIDED"), (170.0, "FAIL")]
)
def test_a_limit_between_the_two_figures_is_undecided(ttft, status):
    log = log_of(ttft=ttft, latency=ttft + 30, first_ms=50, done_ms=50)
    found = verdict(judged(log, Server()), "ttft_p90")
    assert found.status == status
    if status == "UNDECIDED":
        assert found.detail.endswith("without the driver's own delays it would be 70 ms: PASS")
        assert found.remedy.startswith("free a core for the driver")


def test_a_limit_that_only_the_delays_let_it_keep_is_undecided():
    """A first token heard late makes TPOT shorter than it was."""
    log = log_of(ttft=60.0, latency=95.0, first_ms=10, done_ms=0)
    found = verdict(judged(log, Server()), "tpot_p90")
    assert (found.measured, found.status) == (17.5, "UNDECIDED")
    assert "it would be 22.5 ms: FAIL" in found.detail


def test_where_delays_are_not_known_nothing_is_said_of_them():
    rules = [v.rule for v in judged(hand_log([Row()] * 64))]
    assert rules == [v.rule for v in SingleStream().judge(hand_log([Row()] * 64), SETTINGS)]


def test_without_any_answer_there_is_no_figure_to_raise():
    log = log_of(n=4, ttft=None, latency=None, finish="", ids=())
    log.stamp_start, log.stamp_ns = np.zeros(5, np.int64), np.empty(0, np.int64)
    log.stamp_delay_ns = np.empty(0, np.int64)
    assert error(log).status == "SKIPPED"
