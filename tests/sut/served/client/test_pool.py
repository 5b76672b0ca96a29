"""Do requests go out on time, and do answers come back with the moments at which they came?"""

from __future__ import annotations

import os
import resource
import signal
from contextlib import ExitStack

import numpy as np
import pytest

from harness.kernel.answers import Window
from harness.kernel.errors import RunBroke, SetupFailed
from harness.kernel.types import AfterInFlight, At, Query, QuerySample
from tests.client_helpers import Heard, dispatched, finish, pooled, timed


@pytest.fixture(scope="module")
def _pools():
    """Pools by the port of their server, which changes when one has died."""
    made = {}
    with ExitStack() as stack:

        def of(golden):
            if golden.port not in made:
                made[golden.port] = stack.enter_context(pooled(golden))
            return made[golden.port]

        yield of


@pytest.fixture
def pool(golden, _pools):
    """A pool of one worker without limits, which several tests share."""
    return _pools(golden)


def one_by_one(number: int, below: int = 1) -> list[Query]:
    return [Query(i, (QuerySample(i, i % 8),), AfterInFlight(below)) for i in range(number)]


def test_each_query_goes_out_once_and_its_answer_has_the_stamps_of_its_reads(golden, pool):
    golden.set(ttft_ms=3, per_token_ms=2)
    heard = dispatched(pool, timed(20))
    assert [row[0] for row in heard.rows] == list(range(20))
    assert not heard.failures
    for row, (_, due_ns, issued_ns) in zip(golden.stamps(), heard.rows, strict=True):
        answer = heard.answers[int(row.id.removeprefix("touchstone-"))]
        assert list(answer.token_ids) == row.ids
        assert due_ns <= issued_ns == answer.issued_ns <= row.received_ns
        moments = np.repeat(row.sent_ns[: len(row.tokens)], row.tokens)[: len(answer.stamps_ns)]
        assert (np.array(answer.stamps_ns) >= moments).all()
        assert np.median(np.array(answer.stamps_ns) - moments) < 50e6


def test_the_plan_starts_no_earlier_than_it_says(golden, pool):
    heard = dispatched(pool, [Query(0, (QuerySample(0, 0),), At(20_000_000))])
    assert heard.rows[0][1] == heard.start_ns + 20_000_000
    assert heard.rows[0][2] >= heard.rows[0][1]


def test_one_after_the_other_each_waits_for_the_end_of_the_one_before(golden, pool):
    golden.set(ttft_ms=4)
    window = Window(min_queries=5)
    heard = dispatched(pool, one_by_one(50), window)
    ends = [heard.answers[i].done_ns for i in range(5)]
    assert len(heard.answers) == 5  # the rules of the end are the driver's
    for (_, due_ns, issued_ns), end_ns in zip(heard.rows[1:], ends, strict=False):
        assert end_ns <= due_ns <= issued_ns


def test_as_many_are_open_as_a_slot_is_free(golden):
    golden.set(ttft_ms=20)
    plan = [Query(0, [QuerySample(i, i % 8) for i in range(12)], At(0))]
    with pooled(golden, in_flight=3) as pool:
        heard = dispatched(pool, plan)
    stamps = golden.stamps()
    events = [(row.received_ns, 1) for row in stamps] + [(row.sent_ns[-1], -1) for row in stamps]
    assert max(np.cumsum([step for _, step in sorted(events)])) <= 3
    assert len(heard.answers) == 12
    assert len(heard.rows) == 1


def test_max_queries_and_max_duration_end_a_plan(golden, pool):
    few = dispatched(pool, timed(30), Window(max_queries=7))
    short = dispatched(pool, timed(30, gap_ms=5), Window(max_duration_ns=22_000_000))
    assert len(few.answers) == 7
    assert len(short.answers) == 6  # the first that is due later is the last


def test_several_workers_share_a_plan(golden):
    with pooled(golden, workers=2) as pool:
        heard = dispatched(pool, timed(30))
        assert len({*pool.pids}) == 2
        assert pool.facts()["workers"] == 2
        whole = dispatched(pool, [Query(0, [QuerySample(i, 0) for i in range(9)], At(0))])
    assert sorted(row[0] for row in heard.rows) == list(range(30))
    assert sorted(heard.answers) == list(range(30))
    assert sorted(whole.answers) == list(range(9))


@pytest.mark.parametrize("fault", ["crlf", "split", "no_length", "trailers", "close_after",
                                   "early_hints", "comments", "close_idle"])  # fmt: skip
def test_answers_that_clients_stumble_over_are_good(golden, pool, fault):
    golden.set(faults={"*": fault})
    heard = dispatched(pool, timed(12, gap_ms=4))
    assert not heard.failures
    assert [len(heard.answers[i].token_ids) for i in range(12)] == [4] * 12


@pytest.mark.parametrize(
    ("fault", "failure"),
    [("cut", "cut"), ("closed", "cut"), ("reset", "reset"), ("busy", "overloaded"),
     ("garbage", "malformed"), ("bad_chunk", "malformed"), ("server_error", "server_error"),
     ("unfinished", "unfinished"), ("nothing", "empty")],
)  # fmt: skip
def test_a_failure_is_one_samples_own(golden, pool, fault, failure):
    golden.set(faults={"3": fault})
    heard = dispatched(pool, timed(8, gap_ms=4))
    assert list(heard.failures.values()) == [failure]  # the fourth to arrive, on a busy machine
    assert sorted(heard.answers) == list(range(8))


def test_an_answer_that_stalls_is_given_up_and_one_that_lasts_too_long(golden):
    golden.set(faults={"1": "stalled", "2": "slow"}, ttft_ms=1)
    with pooled(golden, stall_ns=500_000_000, total_ns=1_200_000_000) as pool:
        heard = dispatched(pool, timed(5))
    assert sorted(heard.failures.values()) == ["overdue", "stalled"]
    assert not heard.reason


def test_a_server_that_says_nothing_any_more_ends_the_run(golden):
    golden.set(faults={"2+": "silent"})
    with pooled(golden, total_ns=400_000_000) as pool:
        heard = dispatched(pool, one_by_one(40))
    assert "sent nothing" in heard.reason
    assert 2 <= len(heard.answers) < 10


def test_a_server_that_dies_costs_what_was_open_and_what_follows(golden):
    golden.set(faults={"5": "die"})
    with pooled(golden) as pool:
        heard = dispatched(pool, one_by_one(9))
    assert set(heard.failures) == {5, 6, 7, 8}
    assert set(heard.failures.values()) <= {"refused", "cut", "reset"}


def test_no_more_is_sent_after_a_withdrawal_and_what_is_open_goes_on(golden):
    golden.set(ttft_ms=30)
    heard = Heard()
    with pooled(golden, workers=2) as pool:
        start_ns = pool.dispatch(timed(400, gap_ms=5), Window(), heard)
        while pool.clock.wait(start_ns + 200_000_000) < start_ns + 200_000_000:
            pass
        pool.withdraw()
        finish(pool, heard)
    places = sorted(row[0] for row in heard.rows)
    assert places == list(range(len(places)))  # no gap, whichever worker has them
    assert 10 < len(places) < 200
    assert sorted(heard.answers) == places
    assert not heard.failures


def test_what_is_given_up_is_closed_and_told_by_nobody(golden, pool):
    golden.set(ttft_ms=20_000)
    heard = Heard()
    start_ns = pool.dispatch(timed(40), Window(), heard)
    while pool.clock.wait(start_ns + 60_000_000) < start_ns + 60_000_000:
        pass
    pool.give_up()
    finish(pool, heard)
    assert heard.rows
    assert not heard.answers
    assert not heard.reason


def test_a_worker_that_dies_is_told_of(golden):
    golden.set(ttft_ms=5)
    heard = Heard()
    with pooled(golden) as pool:
        pool.dispatch(timed(1000), Window(), heard)
        os.kill(pool.pids[0], signal.SIGKILL)
        with pytest.raises(RunBroke, match="SIGKILL"):
            finish(pool, heard)


def test_a_server_without_room_is_asked_again_in_accuracy_mode_alone(golden, pool):
    golden.set(faults={"1": "busy"}, retry_after_s=0)
    heard = dispatched(pool, one_by_one(4), Window(retries=3))
    assert not heard.failures
    assert [heard.answers[i].seen.retries for i in range(4)] == [0, 1, 0, 0]
    golden.set(faults={"1": "busy"}, retry_after_s=0)
    assert dispatched(pool, one_by_one(4)).failures == {1: "overloaded"}


def test_connections_that_the_server_closed_between_requests_cost_no_sample(golden):
    golden.set(faults={"*": "close_idle"})
    with pooled(golden, connections=1) as pool:
        heard = dispatched(pool, one_by_one(30))
        assert pool.facts()["answers"] == 30
    assert not heard.failures


def test_tls(golden_tls):
    golden_tls.set(ttft_ms=2, per_token_ms=8)
    with pooled(golden_tls, ca_file=golden_tls.ca_file) as pool:
        heard = dispatched(pool, timed(20))
    assert not heard.failures
    apart = [len(set(answer.stamps_ns)) for answer in heard.answers.values()]
    assert max(apart) > 1


def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_clock(golden_tls):
    with pytest.raises(SetupFailed, match="certificate"), pooled(golden_tls):
        pass


def test_nobody_there_is_said_before_the_clock(golden):
    class Nowhere:
        url = "http://127.0.0.1:9/v1"

    with pytest.raises(SetupFailed, match="refused"), pooled(Nowhere):
        pass


def test_the_workers_say_how_busy_and_how_late_they_were(golden, pool):
    dispatched(pool, timed(40))
    facts = pool.facts()
    assert facts["answers"] == 40
    assert 0 <= facts["busy_percent"] <= 100
    assert 0 <= facts["lag_p50_us"] <= facts["lag_p99_us"]


def test_the_key_is_in_no_command_line_and_no_environment(golden, monkeypatch):
    golden.set(key="sk-secret-of-ours")
    monkeypatch.setenv("TOUCHSTONE_API_KEY", "sk-secret-of-ours")
    with pooled(golden) as pool:
        monkeypatch.delenv("TOUCHSTONE_API_KEY")
        heard = dispatched(pool, timed(3))
        with open(f"/proc/{pool.pids[0]}/cmdline", "rb") as file:
            assert b"secret" not in file.read()
    assert not heard.failures


class _Sink:
    def __init__(self):
        self.events = []

    def first_token(self, i, token):
        self.events.append(("first", i, token))

    def tokens(self, i, ids):
        self.events.append(("tokens", i, list(ids)))

    def complete(self, output):
        self.events.append(("complete", output.sample_id, list(output.token_ids)))

    def fail(self, i, reason):
        self.events.append(("fail", i, reason))


def test_what_loadgen_asks_for_goes_out_at_once_and_is_told_as_it_comes(golden, pool):
    golden.set(ttft_ms=5, per_token_ms=20, faults={"1": "busy"})
    sink = _Sink()
    pool.listen(sink)
    for number in range(2):
        pool.issue(Query(number, (QuerySample(number, number),), At(0)))
        until_ns = pool.clock.now_ns() + 10_000_000_000
        while len(sink.events) < 1 and pool.clock.wait(until_ns) < until_ns:
            pass
        if not number:
            assert [event[0] for event in sink.events] == ["first"]  # the rest is to come
    while not {"complete", "fail"} <= {event[0] for event in sink.events}:
        assert pool.clock.wait(until_ns) < until_ns
    ids = golden.stamps()[0].ids
    of_first = [event for event in sink.events if event[1] == 0]
    assert of_first == [("first", 0, ids[0]), ("tokens", 0, ids[1:]), ("complete", 0, ids)]
    assert "no room" in next(event[2] for event in sink.events if event[0] == "fail")


def test_where_no_descriptor_is_left_samples_fail_and_the_worker_lives(golden):
    golden.set(ttft_ms=400)
    plan = [Query(0, [QuerySample(i, i % 8) for i in range(20)], At(0))]
    with pooled(golden, connections=2) as pool:
        there = len(os.listdir(f"/proc/{pool.pids[0]}/fd"))
        resource.prlimit(pool.pids[0], resource.RLIMIT_NOFILE, (there + 3, there + 3))
        heard = dispatched(pool, plan)
        assert not dispatched(pool, timed(3)).failures
    assert set(heard.failures.values()) == {"no_connection"}
    assert 0 < len(heard.failures) < 20
    assert all("open files" in answer.detail for answer in heard.answers.values() if answer.failure)
