"""Are requests that another machine sends as good as ours, whatever its clock shows?"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from threading import Thread

import numpy as np
import pytest

from harness.kernel.clock import RealClock
from harness.kernel.errors import BadInput, RunBroke, SetupFailed
from harness.kernel.machine import installed
from harness.kernel.process import children
from sut.served.address import address
from sut.served.client.pool import Pool
from sut.served.client.remote import greeting, listening
from sut.served.client.remote.address import Place, place
from tests.client_helpers import READ, asked, dispatched, timed

SECOND_NS = 1_000_000_000
HERE = Place("127.0.0.1", 0)


@contextmanager
def lent(start=listening.worker):
    """Let a machine lend its workers; yield where."""
    listener = listening.Listener(HERE, start)
    thread = Thread(target=listener.serve, daemon=True)
    thread.start()
    try:
        yield Place("127.0.0.1", listener.port)
    finally:
        listener.close()
        thread.join()


def off_by(offset_ns, ppm=0.0, made=None):
    """Start workers whose clock is off."""

    def start(connection):
        number = connection.fileno()
        words = (str(number), str(offset_ns), str(ppm))
        process = children.Child("tests.late_worker", *words, pass_fds=(number,))
        if made is not None:
            made.append(process)
        return process

    return start


@contextmanager
def pooled(golden, where, workers=1):
    clock, to = RealClock(), address(golden.url)
    pool = Pool(clock, to, READ, workers, clients=[where])
    pool.clock = clock
    try:
        pool.prepare(asked(to, number=8))
        pool.warm(4)
        yield pool
    finally:
        pool.close()
        clock.close()


@pytest.mark.parametrize("offset_ns", [0, 3_600 * SECOND_NS, -7 * SECOND_NS])
def test_stamps_are_those_of_our_clock(golden, offset_ns):
    golden.set(ttft_ms=3, per_token_ms=2)
    with lent(off_by(offset_ns)) as where, pooled(golden, where) as pool:
        heard = dispatched(pool, timed(20))
        (clock,) = pool.facts()["clocks"]
    error_ns = clock["error_us"] * 1e3
    assert not heard.failures
    for row, (_, due_ns, issued_ns) in zip(golden.stamps(), heard.rows, strict=True):
        answer = heard.answers[int(row.id.removeprefix("touchstone-"))]
        assert due_ns <= issued_ns <= answer.issued_ns <= row.received_ns + error_ns
        moments = np.repeat(row.sent_ns[: len(row.tokens)], row.tokens)[: len(answer.stamps_ns)]
        assert (np.array(answer.stamps_ns) >= moments - error_ns).all()
    dues = np.diff([row[1] for row in heard.rows])
    assert set(dues) == {2_000_000}  # the plan's
    assert abs(clock["offset_ms"] * 1e6 - offset_ns) <= error_ns
    assert clock["host"] == str(where)


def test_a_clock_that_runs_fast_is_part_of_the_error(golden):
    golden.set(ttft_ms=3, per_token_ms=0)
    with lent(off_by(SECOND_NS, ppm=20_000)) as where, pooled(golden, where) as pool:
        dispatched(pool, timed(50, gap_ms=4))
        (clock,) = pool.facts()["clocks"]
    assert clock["drift_us"] > 0.02 * 200_000 / 2  # 2 % of 200 ms, and of what else it took
    assert clock["error_us"] >= clock["drift_us"]


def test_several_workers_share_a_plan(golden):
    golden.set(ttft_ms=3, per_token_ms=0)
    with lent() as where, pooled(golden, where, workers=2) as pool:
        heard = dispatched(pool, timed(30))
        facts = pool.facts()
    assert (facts["workers"], len(facts["clocks"])) == (2, 2)
    assert sorted(row[0] for row in heard.rows) == list(range(30))
    assert not heard.failures


def test_a_worker_that_dies_there_ends_the_run(golden):
    golden.set(ttft_ms=500)
    made = []
    with lent(off_by(0, made=made)) as where, pooled(golden, where) as pool:
        Thread(target=lambda: made[0].kill()).start()
        with pytest.raises(RunBroke, match=f"worker on {where}: its connection is closed"):
            dispatched(pool, timed(4000))


def test_a_driver_without_the_key_is_refused(golden, monkeypatch):
    keys = iter(["of the driver", "of the listener"] * 4)
    monkeypatch.setattr(greeting, "key", lambda: next(keys))
    with lent() as where, pytest.raises(SetupFailed, match="keys differ"), pooled(golden, where):
        pass


def test_another_version_is_refused(golden, monkeypatch):
    versions = iter([{"touchstone": "1"}, {"touchstone": "2"}])
    monkeypatch.setattr(greeting.installed, "versions", lambda: next(versions, {"touchstone": "1"}))
    refused = pytest.raises(SetupFailed, match="it has touchstone 2")
    with lent() as where, refused, pooled(golden, where):
        pass


def test_where_nobody_listens_is_a_sentence(golden):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    refused = pytest.raises(SetupFailed, match=f"--client 127.0.0.1:{port}: connection refused")
    with refused, pooled(golden, Place("127.0.0.1", port)):
        pass


def test_what_is_no_client_is_a_sentence(golden, monkeypatch):
    monkeypatch.setattr("sut.served.client.remote.link.TIMEOUT_S", 0.3)
    with pytest.raises(SetupFailed, match="timed out"), pooled(golden, place_of(golden)):
        pass


def place_of(golden):
    return Place("127.0.0.1", golden.port)


def test_other_machines_need_a_key(monkeypatch):
    monkeypatch.setenv(greeting.KEY, "short")
    with pytest.raises(BadInput, match="16 characters or more"):
        listening.Listener(Place("0.0.0.0", 0))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.7:80", ("10.0.0.7", 80)),
        ("worker-3", ("worker-3", 7711)),
        ("[::1]:9", ("::1", 9)),
        ("[::1]", ("::1", 7711)),
    ],
)
def test_addresses(text, found):
    assert place(text, "--client") == found


@pytest.mark.parametrize("text", ["", ":80", "host:port", "host:99999", "http://host:80", "a b:1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(BadInput, match="no address of a client"):
        place(text, "--client")


def test_versions_tell_what_differs():
    assert installed.differing(installed.versions()) == ""
