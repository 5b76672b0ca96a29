"""The speed of a copy: what is counted, and when nothing is known."""

from __future__ import annotations

import torch

from harness.kernel.clock import RealClock, VirtualClock
from sut.limit import bandwidth
from sut.model import peak

CPU = torch.device("cpu")
MS = 1_000_000


def test_a_copy_counts_what_is_read_and_what_is_written(monkeypatch):
    """A clock that moves by 10 ms with every reading times each copy at 10 ms."""

    class Steady:
        now = 0

        def now_ns(self):
            self.now += 10 * MS
            return self.now

    monkeypatch.setitem(bandwidth._BUFFER_BYTES, "cpu", 40 * 2**20)
    assert bandwidth.copy_bytes_per_s(Steady(), CPU) == 2 * 40 * 2**20 / 0.01


def test_this_machine_copies_no_slower_than_a_disk_and_no_faster_than_any_memory(monkeypatch):
    monkeypatch.setitem(bandwidth._BUFFER_BYTES, "cpu", 32 * 2**20)
    found = bandwidth.copy_bytes_per_s(RealClock(), CPU, budget_ns=20 * MS)
    assert 1e8 < found < 1e13


def test_nothing_is_known_without_room(monkeypatch):
    monkeypatch.setattr(peak, "free_bytes", lambda device: 100 * 2**20)
    assert bandwidth.copy_bytes_per_s(RealClock(), CPU) is None


def test_nothing_is_known_where_memory_runs_out(monkeypatch):
    def refuse(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "zeros", refuse)
    assert bandwidth.copy_bytes_per_s(RealClock(), CPU) is None


def test_nothing_is_known_of_a_device_without_a_row_or_on_a_clock_that_stands(monkeypatch):
    monkeypatch.setitem(bandwidth._BUFFER_BYTES, "cpu", 32 * 2**20)
    assert bandwidth.copy_bytes_per_s(RealClock(), torch.device("meta")) is None
    assert bandwidth.copy_bytes_per_s(VirtualClock(), CPU) is None
