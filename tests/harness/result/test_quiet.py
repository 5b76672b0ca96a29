"""Is a run on a busy machine told from a slow system?"""

import pytest

from harness.kernel.types import Verdict
from harness.result import quiet
from tests.scenario_helpers import Row, hand_log

# two queries of 10 s, a pause of 80 s, and another of 10 s: open for 20 s of 100
LOG = hand_log([Row(due=0, latency=8_000), Row(due=2_000, latency=8_000),
                Row(due=90_000, latency=10_000)])  # fmt: skip
LOAD = {"wall_s": 100.0, "cpus": 2, "foreign_cpus": 1.0, "steal_cpus": 0.0, "sut_wait_s": 15.0,
        "driver_wait_s": 0.1}  # fmt: skip


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    """Undo what the other tests are spared."""
    monkeypatch.setattr(quiet, "BUSY_SHARE", 0.60)
    monkeypatch.setattr(quiet, "NOTED_SHARE", 0.10)


def judged(is_official=False, **changes):
    return quiet.foreign_load(LOAD | changes, LOG, is_official)


def test_what_the_system_waited_for_is_a_share_of_the_time_with_a_query_open():
    found = judged()
    assert (found.status, found.measured, found.limit, found.unit) == ("FAIL", 75.0, 60.0, "%")
    assert found.detail == "others kept 1 of 2 processors busy; the system waited 15 of 100 s"
    assert found.remedy


@pytest.mark.parametrize(
    ("changes", "status", "measured"),
    [
        ({"sut_wait_s": 10.0}, "PASS", 50.0),
        ({"foreign_cpus": 0.02}, "PASS", 10.0),  # its own threads waited for one another
        ({"sut_wait_s": 0.0, "steal_cpus": 0.4}, "FAIL", 100.0),  # the hypervisor's doing
        ({"sut_wait_s": 0.0, "steal_cpus": 0.02}, "PASS", 5.0),
    ],
)
def test_waiting_counts_as_far_as_others_had_the_processors(changes, status, measured):
    found = judged(**changes)
    assert (found.status, found.measured) == (status, pytest.approx(measured))


def test_a_profile_of_mlperf_asks_for_a_quiet_machine():
    assert judged(is_official=True, sut_wait_s=3.0).status == "FAIL"
    assert judged(sut_wait_s=3.0).status == "PASS"


def test_a_system_in_the_drivers_process_waits_with_it():
    alone = {key: value for key, value in LOAD.items() if key != "sut_wait_s"}
    found = quiet.foreign_load(alone | {"driver_wait_s": 15.0}, LOG, False)
    assert found.status == "FAIL"


def test_less_than_a_second_is_too_little_to_tell():
    short = hand_log([Row(latency=500)])
    found = quiet.foreign_load(LOAD | {"wall_s": 0.6, "sut_wait_s": 0.4}, short, False)
    assert (found.status, "too little to tell" in found.detail) == ("SKIPPED", True)


def test_where_the_system_does_not_tell_the_condition_says_so():
    found = quiet.foreign_load({}, LOG, False)
    assert (found.status, found.detail) == (
        "SKIPPED",
        "this system does not tell who waited for a processor",
    )


@pytest.mark.parametrize(
    ("measured", "status"), [(300.0, "UNDECIDED"), (1000.0, "FAIL"), (150.0, "PASS")]
)
def test_a_limit_that_the_neighbours_may_have_broken_is_undecided(measured, status):
    """Three quarters of the time were theirs, so 300 ms may be 75 ms."""
    tail = Verdict("ttft_p90", "PASS" if measured <= 200 else "FAIL", measured, 200.0, "ms", over=9)
    (found,) = quiet.certain([tail], LOAD, LOG)
    assert found.status == status
    if status == "UNDECIDED":
        assert "without other programs it may be as little as 75 ms" in found.detail
        assert found.remedy


def test_the_drivers_own_lag_is_not_the_neighbours_business():
    lag = Verdict("driver_lag", "FAIL", 300.0, 200.0, "ms", over=9)
    assert quiet.certain([lag], LOAD, LOG) == [lag]


def test_a_run_that_stands_on_a_busy_machine_says_so():
    (said,) = quiet.note(LOAD | {"sut_wait_s": 8.0}, LOG)
    assert "40 %" in said
    assert quiet.note(LOAD | {"sut_wait_s": 1.5}, LOG) == []
    assert quiet.note({}, LOG) == []
