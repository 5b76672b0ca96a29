"""The process border: same events, same verdicts, and no hang when the other side dies."""

from __future__ import annotations

import os
import re
import signal
import time
from functools import partial

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.driver import drive
from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.errors import BadInput, RunBroke, SetupFailed
from harness.kernel.machine import waits
from harness.kernel.types import AfterInFlight, At, MemoryUse, Output, Query, QuerySample, Sample
from sut.border import wire
from sut.border.isolated import Isolated
from sut.null import Null
from tests.helpers import settings


@pytest.fixture
def clock():
    clock = RealClock()
    yield clock
    clock.close()


def isolated(clock, tmp_path, factory="sut.null:Null", **options):
    return Isolated(clock, factory, options, tmp_path / "sut.log")


def closed_loop(count):
    return (Query(i, (QuerySample(i, 0),), AfterInFlight(1)) for i in range(count))


def test_a_sut_in_another_process_completes_what_it_is_sent(clock, tmp_path):
    sut, recorder = isolated(clock, tmp_path), Recorder(clock)
    sut.load([], recorder)
    log = drive(closed_loop(50), sut, clock, recorder, settings(min_queries=50))
    sut.close()
    assert log.end == "completed"
    assert len(log) == 50
    assert log.completed.all()


def test_streamed_tokens_cross_the_border_unchanged(clock, tmp_path):
    sut = isolated(
        clock, tmp_path, "sut.simulated:Simulated", ttft_ms=2.0, per_token_ms=1.0, tokens=5
    )
    recorder = Recorder(clock)
    sut.load([Sample(0, "a", max_new_tokens=5)], recorder)
    log = drive([Query(0, [QuerySample(0, 0)], At(0))], sut, clock, recorder, settings())
    sut.close()
    record = log.record(0)
    assert record.token_ids.tolist() == [3, 10, 17, 24, 2]
    assert len(record.chunk_ns) == 5
    assert record.first_ns >= 2_000_000


class Checked(Null):
    """A SUT that notes its steps."""

    def self_check(self):
        return {"by_rows": [], "share": 0.5}


@pytest.mark.parametrize(
    ("factory", "said"),
    [("sut.null:Null", None), (f"{__name__}:Checked", {"by_rows": [], "share": 0.5})],
)
def test_a_sut_that_notes_its_steps_is_asked_across_the_border(clock, tmp_path, factory, said):
    sut = isolated(clock, tmp_path, factory)
    assert sut.self_check() == said
    sut.close()


def test_events_of_an_earlier_load_are_dropped(clock, tmp_path):
    sut = isolated(clock, tmp_path, "sut.simulated:Simulated", ttft_ms=50.0, tokens=1)
    stale, fresh = Recorder(clock), Recorder(clock)
    sut.load([Sample(0, "a")], stale)
    sut.issue(Query(0, [QuerySample(0, 0)], At(0)))
    sut.load([Sample(0, "a")], fresh)
    log = drive([Query(0, [QuerySample(0, 0)], At(0))], sut, clock, fresh, settings())
    sut.close()
    assert log.latency_ns[0] >= 50_000_000
    assert stale.num_done == 0


def test_a_killed_sut_ends_the_run_and_keeps_what_was_complete(clock, tmp_path):
    sut = isolated(clock, tmp_path, "sut.simulated:Simulated", ttft_ms=5.0, tokens=1)
    recorder = Recorder(clock)
    sut.load([Sample(0, "a")], recorder)
    clock.call_at(clock.now_ns() + 200_000_000, lambda: os.kill(sut.pid, signal.SIGKILL))
    log = drive(closed_loop(10_000), sut, clock, recorder, settings(min_queries=10_000))
    sut.close()
    assert log.end == "error"
    assert "SIGKILL" in log.end_reason
    assert log.completed[:-1].all()
    assert "lost" in log.errors[len(log) - 1]


class Hangs:
    """A SUT that stops itself, or only sleeps, when it is asked for `where`."""

    name = "hangs"

    def __init__(self, clock, where, how):
        self._clock, self._where, self._how = clock, where, how
        self._reach("start")

    def _reach(self, where):
        if where == self._where and self._how == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif where == self._where:
            time.sleep(1000)

    def load(self, samples, sink):
        self._sink = sink
        self._reach("load")

    def issue(self, query):
        self._sink.complete(Output(query.samples[0].id))
        if query.id == 5:
            self._reach("issue")

    def flush(self):
        pass

    def close(self):
        self._reach("close")

    def memory(self):
        self._reach("memory")
        return MemoryUse()

    def facts(self):
        self._reach("facts")
        return {}

    def decode(self, outputs):
        self._reach("decode")


@pytest.fixture
def impatient(monkeypatch):
    """Limits of half a second, looked at ten times as often."""
    monkeypatch.setattr(waits.Wait, "pause_s", 0.1)
    monkeypatch.setattr(waits, "STOPPED_S", 0.5)
    monkeypatch.setattr(waits.Stops, "LOOK_NS", 100_000_000)
    for name in ("LOADING", "ANSWERING"):
        monkeypatch.setattr(waits, name, waits.Limit(0.8, 60.0))


DID = {"stop": "stopped (SIGSTOP) and nobody continued it", "sleep": "no sign of life for 0.8 s"}
hanging = partial(isolated, factory="tests.sut.border.test_isolated:Hangs")


@pytest.mark.timeout(60)
def test_a_sut_that_stops_while_it_starts_is_a_setup_failure(clock, tmp_path, impatient):
    with pytest.raises(SetupFailed, match=rf"starting: it .*{re.escape(DID['stop'])}"):
        hanging(clock, tmp_path, where="start", how="stop")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("how", ["stop", "sleep"])
def test_a_sut_that_hangs_while_it_loads_is_a_setup_failure(clock, tmp_path, impatient, how):
    sut = hanging(clock, tmp_path, where="load", how=how)
    with pytest.raises(SetupFailed, match=rf"loading: it .*{re.escape(DID[how])}"):
        sut.load([], Recorder(clock))
    sut.close()
    assert not psutil.pid_exists(sut.pid)


@pytest.mark.timeout(60)
def test_a_sut_that_is_stopped_in_the_timed_part_ends_the_run_and_keeps_what_was_complete(
    clock, tmp_path, impatient
):
    sut, recorder = hanging(clock, tmp_path, where="issue", how="stop"), Recorder(clock)
    sut.load([], recorder)
    log = drive(closed_loop(1000), sut, clock, recorder, settings(min_queries=1000))
    assert (log.end, len(log) < 10) == ("error", True)
    assert DID["stop"] in log.end_reason
    assert log.completed[:5].all()
    with pytest.raises(RunBroke, match="stopped"):
        sut.memory()  # it is not asked again
    sut.close()
    assert not psutil.pid_exists(sut.pid)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("where", "how"), [("memory", "stop"), ("decode", "sleep")])
def test_a_sut_that_hangs_at_the_end_does_not_hang_us(clock, tmp_path, impatient, where, how):
    sut = hanging(clock, tmp_path, where=where, how=how)
    sut.load([], Recorder(clock))
    ask = {"memory": sut.memory, "facts": sut.facts, "decode": lambda: sut.decode([])}
    with pytest.raises(RunBroke, match=re.escape(DID[how])):
        ask[where]()
    for later in ask.values():  # none of them waits again
        with pytest.raises(RunBroke, match=re.escape(DID[how])):
            later()
    sut.close()
    assert not psutil.pid_exists(sut.pid)


@pytest.mark.timeout(60)
def test_a_sut_that_is_stopped_does_not_answer_a_ping_for_ever(clock, tmp_path, impatient):
    sut = isolated(clock, tmp_path)
    sut.load([], Recorder(clock))
    os.kill(sut.pid, signal.SIGSTOP)
    with pytest.raises(RunBroke, match=re.escape(DID["stop"])):
        sut.ping_us()
    sut.close()


@pytest.mark.timeout(60)
def test_a_sut_at_work_is_waited_for_beyond_the_limit_of_silence(clock, tmp_path, impatient):
    sut = isolated(clock, tmp_path, "tests.sut.border.test_isolated:Works")
    sut.load([], Recorder(clock))
    assert sut.facts() == {"worked_s": 1.2}
    sut.close()


class Works(Null):
    """A SUT that loads for twice as long as a silent one would be waited for."""

    def load(self, samples, sink):
        super().load(samples, sink)
        until_s = time.process_time() + 1.2
        while time.process_time() < until_s:
            pass

    def facts(self):
        return {"worked_s": 1.2}


@pytest.mark.timeout(60)
def test_a_sut_that_stops_reading_blocks_neither_the_driver_nor_its_timeouts(clock, tmp_path):
    sut, recorder = isolated(clock, tmp_path), Recorder(clock)
    sut.load([], recorder)
    os.kill(sut.pid, signal.SIGSTOP)
    plan = [
        Query(i, [QuerySample(8 * i + k, 0) for k in range(8)], At(i * 100_000))
        for i in range(3000)
    ]
    log = drive(plan, sut, clock, recorder, settings(sample_timeout_ns=500_000_000))
    sut._process.kill()
    sut.close()
    assert len(log) == 24_000
    assert not log.completed.any()
    assert all("timed out" in reason for reason in log.errors.values())


def test_what_a_dying_sut_still_said_is_heard_when_sending_fails(clock, tmp_path):
    sut, recorder = isolated(clock, tmp_path), Recorder(clock)
    sut.load([], recorder)
    for i in range(5):
        query = Query(i, [QuerySample(i, 0)], At(0))
        recorder.issue(query, 0, 0)
        sut.issue(query)
    time.sleep(0.3)  # it has answered all five by now; nobody has listened yet
    os.kill(sut.pid, signal.SIGKILL)
    sut._process.wait()
    with pytest.raises(RunBroke, match="SIGKILL"):
        sut.issue(Query(5, [QuerySample(5, 0)], At(0)))
    sut.close()
    assert recorder.num_done == 5


def test_a_user_error_in_the_child_is_a_user_error_here(clock, tmp_path, tiny_llama):
    sut = isolated(clock, tmp_path, "sut.local_model:LocalModel", path=str(tiny_llama))
    with pytest.raises(SetupFailed, match="sample 0: its prompt has 99 tokens"):
        sut.load([Sample(0, "a " * 99)], Recorder(clock))
    sut.close()
    sut = isolated(
        clock, tmp_path, "sut.local_model:LocalModel", path=str(tiny_llama), merge_adapter=True
    )
    with pytest.raises(BadInput, match="variant fp32 takes none"):
        sut.load([Sample(0, "a")], Recorder(clock))
    sut.close()


def test_a_child_that_cannot_start_is_a_setup_failure_with_its_reason(clock, tmp_path):
    with pytest.raises(SetupFailed, match=r"No module named 'sut.nothing'"):
        isolated(clock, tmp_path, "sut.nothing:Nothing")
    assert "Traceback" in (tmp_path / "sut.log").read_text()


def test_the_child_leaves_when_the_driver_closes(clock, tmp_path):
    sut = isolated(clock, tmp_path)
    sut.close()
    assert sut._process.returncode == 0


def test_the_ping_is_measured_in_microseconds(clock, tmp_path):
    sut = isolated(clock, tmp_path)
    assert 1 < sut.ping_us(50) < 50_000
    sut.close()


class Heard:
    def __init__(self):
        self.events = []

    def first_token(self, sample_id, token):
        self.events.append(("first", sample_id, token))

    def tokens(self, sample_id, ids):
        self.events.append(("tokens", sample_id, list(ids)))

    def complete(self, output):
        ids = None if output.token_ids is None else list(output.token_ids)
        self.events.append(
            ("done", output.sample_id, output.finish, ids, output.text, output.reported_tokens)
        )

    def fail(self, sample_id, reason):
        self.events.append(("fail", sample_id, reason))


ids = st.integers(0, 2**32 - 1)
tokens = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=8)
EVENTS = st.one_of(
    st.tuples(st.just("first_token"), ids, st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("tokens"), ids, tokens),
    st.tuples(st.just("fail"), ids, st.text(max_size=20)),
    st.builds(
        lambda i, f, t, text, r: ("complete", Output(i, f, t, text, r)),
        ids,
        st.sampled_from(["eos", "length", "stop", "error"]),
        st.none() | tokens,
        st.text(max_size=20),
        st.none() | st.integers(0, 2**31 - 1),
    ),
)


@given(st.lists(EVENTS, max_size=12), st.integers(1, 7))
def test_any_events_arrive_as_they_were_sent_however_the_bytes_are_cut(events, piece):
    direct, buffer, replayed = Heard(), wire.EventBuffer(3, int), Heard()
    for name, *arguments in events:
        getattr(direct, name)(*arguments)
        getattr(buffer, name)(*arguments)
    data, reader = buffer.take(), wire.FrameReader()
    for start in range(0, len(data), piece):
        for kind, body in reader.feed(data[start : start + piece]):
            assert kind == wire.EVENTS
            wire.replay(body, 3, replayed)
    assert replayed.events == direct.events


@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=20), ids, ids)
def test_any_query_arrives_as_it_was_sent(samples, query_id, epoch):
    query = Query(query_id, [QuerySample(*pair) for pair in samples], At(0))
    ((kind, body),) = wire.FrameReader().feed(wire.encode_query(epoch, query))
    got_epoch, got = wire.decode_query(body)
    assert (kind, got_epoch, got.id) == (wire.ISSUE, epoch, query_id)
    assert list(got.samples) == list(query.samples)
