"""How many rows, by memory and device. A CUDA device is one by its name alone here."""

from __future__ import annotations

import pytest
import torch

from sut.engine.prefill import rows
from sut.engine.serving import Way

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
MIB = 2**20


class Cache:
    def __init__(self, max_rows, room):
        self.max_rows, self.room = max_rows, room

    def prefill(self, first_row, pieces, start):
        if self.max_rows > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8.00 GiB")
        return [0]


def made(asked, device, monkeypatch, free=10**15, room=10**9, token_bytes=1024, **options):
    monkeypatch.setattr(rows.peak, "free_bytes", lambda device: free)
    way = Way("in flight", None, lambda n, length: Cache(n, room), token_bytes=token_bytes)
    return rows.made(way, asked, 1024, device, **options)


def test_what_is_asked_for_holds_on_any_device(monkeypatch):
    assert made(7, CPU, monkeypatch).runner.max_rows == 7
    assert made(700, GPU, monkeypatch).runner.max_rows == 700


def test_where_nobody_said_the_device_decides(monkeypatch):
    assert made(None, CPU, monkeypatch).runner.max_rows == 32
    assert made(None, GPU, monkeypatch).runner.max_rows == 256
    assert made(None, GPU, monkeypatch, token_bytes=None).runner.max_rows == 32  # its own state


@pytest.mark.parametrize(("device", "held"), [(CPU, 20), (GPU, 30)])
def test_the_cache_keeps_to_its_share_of_what_is_free(device, held, monkeypatch):
    found = made(None, device, monkeypatch, free=40 * MIB)
    assert found.runner.max_rows == held
    assert f"{held} requests in a batch instead of" in found.note


def test_the_cache_keeps_to_what_it_was_given(monkeypatch):
    found = made(None, GPU, monkeypatch, cache_bytes=3 * MIB + 1)
    assert found.runner.max_rows == 3
    assert "--kv-cache-gib" in found.note


def test_rows_that_do_not_fit_after_all_are_halved_and_the_note_says_so(monkeypatch):
    found = made(None, GPU, monkeypatch, room=100)
    assert found.runner.max_rows == 64
    assert "did not fit into memory" in found.note
    assert "64" in found.note


def test_a_single_row_that_does_not_fit_is_out_of_memory(monkeypatch):
    with pytest.raises(torch.OutOfMemoryError):
        made(None, GPU, monkeypatch, room=0)
