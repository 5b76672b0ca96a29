"""Is what a worker can take measured, kept, and used to say how many it takes?"""

from __future__ import annotations

import json
from functools import partial

import pytest

from harness.kernel.clock import RealClock
from harness.kernel.errors import SetupFailed
from sut.served.client.calibration import capacity, kept
from sut.served.client.calibration.kept import LOAD, Capacity


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setenv("TOUCHSTONE_STATE", str(tmp_path / "state"))


def test_it_is_measured_once_and_then_known(monkeypatch):
    monkeypatch.setattr(capacity, "_ANSWERS", (400, 100))
    clock = RealClock()
    found = capacity.capacity(clock)
    assert found.answers_per_s > 1_000
    assert found.chunks_per_s > found.answers_per_s
    monkeypatch.setattr(capacity, "measured", lambda clock: pytest.fail("measured again"))
    assert capacity.capacity(clock) == found
    clock.close()


@pytest.mark.parametrize(
    "damaged", ["", "{", "[]", "{}", '{"machine": 3}', '{"machine": null, "answers_per_s": "x"}']
)
def test_a_file_that_is_damaged_or_of_another_machine_says_nothing(damaged):
    kept.keep(Capacity(5.0, 6.0))
    assert kept.known() == Capacity(5.0, 6.0)
    kept._path().write_text(damaged)
    assert kept.known() is None


def test_an_echo_that_does_not_come_up_is_said_to_be_none(monkeypatch):
    monkeypatch.setattr(capacity.children, "Child", partial(gone, capacity.children.Child))
    with pytest.raises(SetupFailed, match="ended before it had begun"), capacity.Echoing():
        pass


def gone(start, _module, *words, **how):
    """Start something that ends at once in the echo's place."""
    return start("compileall", "-qq", *words, **how)


def test_a_capacity_of_nothing_is_not_believed():
    kept.keep(Capacity(0.0, 6.0))
    assert kept.known() is None
    assert json.loads(kept._path().read_text())["answers_per_s"] == 0


def test_as_many_workers_as_the_load_takes_and_the_machine_has(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    one = Capacity(10_000, 100_000)
    assert one.workers(100, 1_000) == 1
    assert one.workers(10_000 * LOAD, 0) == 1
    assert one.workers(10_000 * LOAD, 100_000 * LOAD) == 2
    assert one.workers(1e6, 1e7) == 8


def test_a_load_that_any_worker_can_take_costs_no_measurement(monkeypatch):
    monkeypatch.setattr(capacity, "measured", lambda clock: pytest.fail("measured"))
    assert capacity.workers_for(None, 100.0, 5_000.0) == 1
