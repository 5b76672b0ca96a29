"""What a journal holds is the run that was recorded, up to the moment where it was cut."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from harness.cli import app
from harness.engine import journal, runlog
from harness.engine.journal import Journal, JournalRecorder
from harness.kernel.clock import VirtualClock
from harness.kernel.types import AfterInFlight, Output, Query, QuerySample
from harness.running.recover import recover, replayed, this_process
from sut.border import wire
from tests.faults.attempt import attempt
from tests.faults.matrix import cells

GATE = AfterInFlight(1)
# what happens next: a query of so many samples, a step of all that are open, an answer that ends
HAPPENS = st.one_of(
    st.tuples(st.just("issue"), st.integers(1, 3)),
    st.tuples(st.just("step"), st.integers(0, 3)),
    st.tuples(st.just("end"), st.integers(0, 5)),
    st.tuples(st.just("fail"), st.integers(0, 5)),
)


class Recorded:
    """A run, recorded with a journal as the driver does; the SUT's bytes come in pieces. Of several
    replicas, each has its own stream, and a piece of one may come between two of another.
    """

    def __init__(self, folder: Path, room: int = 1 << 20, streams: int = 1) -> None:
        self.clock = VirtualClock()
        self.clock.advance(1_000_000)
        self.journal = Journal(folder, room)
        self.journal.put_facts({"facts": {"run_id": "r", "started_at": "s"}, "process": {}})
        self.recorder = JournalRecorder(self.clock, self.journal)
        self.recorder.gate_ns = self.start_ns = self.clock.now_ns()
        self._readers = [wire.FrameReader() for _ in range(streams)]
        self._ends = [b""] * streams  # what each has still to say
        self._open, self._begun = list[int](), set[int]()

    def happen(self, what: str, number: int) -> None:
        self.clock.advance(1000 + number)
        events = wire.EventBuffer(4, self.clock.now_ns)
        if what == "issue":
            self._issue(number)
        elif what == "step":
            for i in self._open:
                self._step(events, i, number)
        elif self._open:
            i = self._open.pop(number % len(self._open))
            events.complete(Output(i, "stop", [7, 8], f"text {i}", 2))
            if what == "fail":
                events.fail(i, "lost")
        self._hear(events.take(), number % len(self._readers))

    def log(self):
        for stream, end in enumerate(self._ends):
            self._hear_piece(end, stream)
        self.recorder.give_up("lost: the driver was killed")
        return self.recorder.log(self.start_ns, "interrupted")

    def _issue(self, count: int) -> None:
        first = self.recorder.num_issued
        samples = [QuerySample(first + k, 10 * k) for k in range(count)]
        now_ns = self.clock.now_ns()
        self.recorder.issue(Query(first + 5, samples, GATE), now_ns - 100, now_ns)
        self._open += range(first, first + count)

    def _step(self, events: wire.EventBuffer, i: int, number: int) -> None:
        if i in self._begun:
            events.tokens(i, [number] * number)
            return
        self._begun.add(i)
        events.first_token(i, 40 + number)

    def _hear(self, data: bytes, stream: int) -> None:
        data = self._ends[stream] + data
        self._hear_piece(data[: len(data) // 2], stream)
        self._ends[stream] = data[len(data) // 2 :]
        if len(self._readers) == 1:
            self._hear_piece(self._ends[stream], stream)
            self._ends[stream] = b""

    def _hear_piece(self, piece: bytes, stream: int) -> None:
        self.recorder.hear(piece, stream)
        for _, body in self._readers[stream].feed(piece):
            wire.replay(body, 4, self.recorder)


def read(folder: Path):
    return [r for r in journal.records(folder / journal.FILE) if r.kind != journal.FACTS]


def assert_same(found, expected) -> None:
    for name in (*runlog._COLUMNS, "token_start", "token_ids", "stamp_ns", "completion_order"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    assert (found.texts, found.errors) == (expected.texts, expected.errors)
    assert found.anomalies == expected.anomalies


@given(st.lists(HAPPENS, max_size=40))
def test_a_journal_played_back_is_the_run_that_was_recorded(happenings):
    with tempfile.TemporaryDirectory() as folder:
        run = Recorded(Path(folder))
        run.happen("issue", 2)
        for what, number in happenings:
            run.happen(what, number)
        assert_same(replayed(read(Path(folder))), run.log())


@given(st.lists(HAPPENS, max_size=40))
def test_the_bytes_of_several_replicas_are_told_apart(happenings):
    with tempfile.TemporaryDirectory() as folder:
        run = Recorded(Path(folder), streams=3)
        run.happen("issue", 2)
        for what, number in happenings:
            run.happen(what, number)
        expected = run.log()
        assert_same(replayed(read(Path(folder))), expected)


@given(st.data())
def test_a_journal_that_was_cut_anywhere_holds_what_came_before(data):
    with tempfile.TemporaryDirectory() as folder:
        run = Recorded(Path(folder))
        for what, number in (("issue", 3), ("step", 1), ("step", 2), ("end", 0), ("end", 0)):
            run.happen(what, number)
        path = Path(folder) / journal.FILE
        whole = path.read_bytes().rstrip(b"\0")
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
        assert int(replayed(read(Path(folder))).completed.sum()) <= 2


def test_a_full_journal_holds_what_fitted_and_disturbs_nobody(tmp_path):
    run = Recorded(tmp_path, room=4096)
    run.happen("issue", 3)
    for _ in range(200):
        run.happen("step", 1)
    assert len(run.log().token_ids) == 600
    assert 30 < len(replayed(read(tmp_path)).token_ids) < 600


def test_a_journal_is_removed_once_the_run_is_on_the_disk_and_stays_if_it_is_not(tmp_path):
    run = Recorded(tmp_path)
    run.happen("issue", 1)
    run.journal.leave()
    assert (tmp_path / journal.FILE).is_file()
    run.journal.remove()
    assert not (tmp_path / journal.FILE).exists()
    never_begun = Recorded(tmp_path)
    never_begun.journal.leave()
    assert not (tmp_path / journal.FILE).exists()


def test_a_journal_of_a_living_process_is_left_alone(tmp_path):
    run = Recorded(tmp_path)
    run.happen("issue", 1)
    file = tmp_path / journal.FILE
    file.unlink()
    again = Journal(tmp_path, 1 << 16)
    again.put_facts({"facts": {"run_id": "r", "started_at": "s"}, "process": this_process()})
    again.put(journal.START, 1, b"")
    said = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert said.exit_code == 2
    assert "is still making it" in said.output
    assert file.is_file()


@pytest.mark.slow
def test_a_driver_killed_in_the_timed_part_loses_no_sample_that_was_measured(tmp_path):
    (cell,) = [cell for cell in cells() if cell.name == "run / timed / SIGKILL"]
    outcome = attempt(cell, tmp_path / "cell", {})
    assert not outcome.wrong
    folder = next((tmp_path / "cell" / "out").iterdir())
    assert recover(folder) is False  # attempt has done so
    log, facts = runlog.read_log(folder)
    assert log.end == "interrupted"
    assert int(log.completed.sum()) == outcome.kept > 10
    said = CliRunner().invoke(app, ["report", "--json", str(folder)])
    assert said.exit_code == 130
    assert json.loads(said.stdout.splitlines()[-1])["counts"]["completed"] == outcome.kept
    assert {row["name"] for row in facts.missing} >= {"texts", "memory"}
