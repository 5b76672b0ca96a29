"""Several copies as one system: nothing is lost, and one that fails ends the run."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from harness.engine.driver import drive
from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.errors import RunBroke, SetupFailed
from harness.kernel.machine import waits
from harness.kernel.types import At, Output, Query, QuerySample, Sample
from sut.border.replicas.places import Place
from sut.border.replicas.replicas import Plan, Replicas
from sut.null import Null
from sut.simulated import Simulated
from tests.helpers import settings

HERE = "tests.sut.border.replicas.test_replicas"
SAMPLES = [Sample(i, "a" * (4 * i), max_new_tokens=5) for i in range(8)]
PLACES = [Place("here", {"PLACE": "1"}), Place("there", {"PLACE": "2"})]


@pytest.fixture
def clock():
    clock = RealClock()
    yield clock
    clock.close()


@pytest.fixture
def made(clock, tmp_path):
    """Make two copies of a system; they are closed, and gone, whatever happens."""
    open_ones = []

    def make(factory, rows=2, patience_s=60.0, **options):
        log = tmp_path / "sut.log"
        open_ones.append(Replicas(clock, Plan(factory, options, PLACES, log, {}, rows, patience_s)))
        return open_ones[-1]

    yield make
    for one in open_ones:
        one.close()
    assert not [row for row in psutil.Process().children() if "sut.border.child" in row.cmdline()]


def simulated(made, **options):
    quick = {"ttft_ms": 4.0, "per_token_ms": 1.0, "tokens": 5, "slots": 2}
    return made("sut.simulated:Simulated", **{**quick, **options})


def at_once(count, start=0):
    return [Query(0, [QuerySample(i, i % 8) for i in range(start, start + count)], At(0))]


def run(clock, sut, plan, recorder=None, **limits):
    recorder = recorder or Recorder(clock)
    sut.load(SAMPLES, recorder)
    return drive(plan, sut, clock, recorder, settings(min_queries=len(plan), **limits))


def struck(clock, sut, number, signal_number):
    """Return a recorder in whose run a copy gets a signal once some samples are complete."""
    recorder = Recorder(clock)

    def strike():
        if recorder.num_done >= 20:
            os.kill(sut.pids[number], signal_number)
        else:
            clock.call_at(clock.now_ns() + 5_000_000, strike)

    clock.call_at(clock.now_ns(), strike)
    return recorder


# ---- the work is shared


def test_a_query_of_many_samples_is_shared_and_all_are_answered(clock, made):
    sut = simulated(made)
    log = run(clock, sut, at_once(60))
    assert (log.end, int(log.completed.sum())) == ("completed", 60)
    told = sut.after()["replicas"]
    assert (sum(told["samples"]), sum(told["tokens"])) == (60, 300)
    assert min(told["samples"]) > 20


def test_a_slower_replica_gets_fewer_samples(clock, made):
    sut = made(f"{HERE}:slower_there", rows=2)
    log = run(clock, sut, at_once(60))
    here, there = sut.after()["replicas"]["samples"]
    assert log.completed.all()
    assert here > 2 * there


def test_a_second_load_begins_anew_and_hears_nothing_of_the_first(clock, made):
    sut, stale = simulated(made, ttft_ms=60.0), Recorder(clock)
    sut.load(SAMPLES, stale)
    for query in at_once(30):
        sut.issue(query)
    log = run(clock, sut, at_once(12))
    assert (log.completed.all(), stale.num_done) == (True, 0)
    assert sum(sut.after()["replicas"]["samples"]) == 12


def test_the_end_of_the_queries_is_told_once_the_queue_is_empty(clock, made):
    sut = made(f"{HERE}:Patient", rows=2)
    log = run(clock, sut, at_once(30))
    assert log.completed.all()


def test_each_copy_has_its_own_place_and_its_own_stream(clock, made):
    sut, heard = simulated(made), set()
    sut.load(SAMPLES, Recorder(clock))
    sut.tap(lambda data, stream=0: heard.add(stream))
    run(clock, sut, at_once(20))
    assert heard == {0, 1}


# ---- one of them fails


def test_a_copy_that_dies_ends_the_run_and_what_was_complete_is_kept(clock, made):
    sut = simulated(made, ttft_ms=20.0)
    log = run(clock, sut, at_once(4000), struck(clock, sut, 1, signal.SIGKILL))
    assert log.end == "error"
    assert "replica 2 of 2 (there): was killed by SIGKILL" in log.end_reason
    assert 0 < log.completed.sum() < 4000
    assert sut.after()["replicas"]["memory"][1] is None
    with pytest.raises(RunBroke, match="replica 2 of 2"):
        sut.memory()
    assert sut.decode([[1]]) is None  # the other one is asked, and answers this question


def test_a_copy_that_says_nothing_while_the_other_works_ends_the_run(clock, made):
    sut = made(f"{HERE}:Silent", patience_s=0.8)
    plan = [Query(i, [QuerySample(i, 0)], At(i * 10_000_000)) for i in range(600)]
    log = run(clock, sut, plan, sample_timeout_ns=60_000_000_000)
    assert log.end == "error"
    assert "replica 2 of 2 (there): it said nothing for 0.8 s, with" in log.end_reason


def test_a_copy_without_work_is_not_stuck(clock, made):
    sut = simulated(made)
    sut._plan = sut._plan._replace(patience_s=0.1)
    plan = [Query(i, [QuerySample(i, 0)], At(i * 300_000_000)) for i in range(3)]
    assert run(clock, sut, plan).end == "completed"


@pytest.mark.timeout(60)
def test_a_copy_that_is_stopped_ends_the_run(clock, made, monkeypatch):
    monkeypatch.setattr(waits, "STOPPED_S", 0.5)
    monkeypatch.setattr(waits.Stops, "LOOK_NS", 100_000_000)
    sut = simulated(made)
    log = run(clock, sut, at_once(4000), struck(clock, sut, 0, signal.SIGSTOP))
    assert "replica 1 of 2 (here): it was stopped (SIGSTOP)" in log.end_reason


@pytest.mark.parametrize("where", ["start", "load"])
def test_a_copy_that_fails_while_the_other_still_loads_is_heard_at_once(clock, made, where):
    begun_s = time.monotonic()
    with pytest.raises(SetupFailed, match="there is no room"):
        made(f"{HERE}:Fails", where=where).load(SAMPLES, Recorder(clock))
    assert time.monotonic() - begun_s < 60, "the other one sleeps for longer"


def test_copies_load_side_by_side(clock, made, tmp_path):
    """Each waits for the other, so one after the other would never end."""
    sut = made(f"{HERE}:Meets", folder=str(tmp_path))
    sut.load(SAMPLES, Recorder(clock))


# ---- the systems, in processes of their own


def is_there() -> bool:
    return os.environ.get("PLACE") == "2"


def slower_there(clock):
    return Simulated(
        clock, ttft_ms=40.0 if is_there() else 4.0, per_token_ms=0.5, tokens=4, slots=2
    )


class Silent(Null):
    """One answers, the other never does."""

    def issue(self, query):
        if not is_there():
            super().issue(query)


class Patient(Null):
    """Answers only once it is told that no more comes, which must be true."""

    def load(self, samples, sink):
        super().load(samples, sink)
        self._heard, self._over, self._sink = [], False, sink

    def issue(self, query):
        assert not self._over, "told too early that no more would come"
        self._heard += [sample.id for sample in query.samples]
        if len(self._heard) >= 2:
            self._answer()

    def flush(self):
        self._over = True
        self._answer()

    def _answer(self):
        for sample_id in self._heard:
            self._sink.complete(Output(sample_id))
        self._heard = []


class Fails(Null):
    """One fails, the other takes its time."""

    def __init__(self, clock, where):
        super().__init__(clock)
        self._where = where
        self._reach("start")

    def load(self, samples, sink):
        self._reach("load")

    def _reach(self, where):
        if where != self._where:
            return
        if is_there():
            raise SetupFailed("loading", "there is no room")
        time.sleep(100)


class Meets(Null):
    """Loads once the other one loads too."""

    def __init__(self, clock, folder):
        super().__init__(clock)
        self._folder = Path(folder)

    def load(self, samples, sink):
        mine, other = ("2", "1") if is_there() else ("1", "2")
        (self._folder / mine).touch()
        for _ in range(3000):
            if (self._folder / other).exists():
                return
            time.sleep(0.01)
        raise SetupFailed("loading", "the other one does not load")


class Choosing(Null):
    """Tells of each choice its length, infinite where it is none, and which process answers."""

    def choose(self, asked):
        return [(i, [len(one) or math.inf for one in own], [os.getpid()]) for i, own in asked]


def test_the_replicas_share_questions_of_choices_and_keep_their_order(made, clock):
    sut = made(f"{HERE}:Choosing")
    sut.load(SAMPLES, Recorder(clock))
    rows = sut.choose([(i, ["x" * i, "y"]) for i in range(5)])
    assert [(i, nll) for i, nll, _ in rows] == [(i, [i or math.inf, 1]) for i in range(5)]
    pids = [pid for _, _, (pid,) in rows]
    assert pids == [*sut.pids, *sut.pids, sut.pids[0]]
    assert sut.choose([(4, ["x"])])[0][:2] == (4, [1])


def test_copies_that_cannot_compare_choices_say_so(made, clock):
    sut = made("sut.null:Null")
    sut.load(SAMPLES, Recorder(clock))
    assert sut.choose([(0, ["x", "y"])]) is None
