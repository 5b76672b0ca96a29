"""What the processes of a run use: sums of what has parts, and the parts by themselves."""

from __future__ import annotations

import os

from harness.engine.referee.processes import Used, reader, row


def test_a_role_of_one_process_has_its_own_columns():
    assert row({"sut": Used(7, 50.0)}) == {"sut_rss_bytes": 7, "sut_cpu_percent": 50.0}


def test_parts_are_summed_and_stand_one_by_one():
    assert row({"driver": Used(1, 2.0), "sut.1": Used(3, 4.0), "sut.2": Used(5, 6.0)}) == {
        "driver_rss_bytes": 1,
        "driver_cpu_percent": 2.0,
        "sut_rss_bytes": 8,
        "sut_cpu_percent": 10.0,
        "replica_rss_bytes": [3, 5],
        "replica_cpu_percent": [4.0, 6.0],
    }


def test_a_part_that_is_gone_is_left_out_of_the_sum():
    found = row({"sut.1": Used(None, None), "sut.2": Used(5, 6.0)})
    assert (found["sut_rss_bytes"], found["replica_rss_bytes"]) == (5, [None, 5])
    assert row({"sut": Used(None, None)}) == {"sut_rss_bytes": None, "sut_cpu_percent": None}


def test_a_process_is_read_and_one_that_never_was_is_left_out():
    found = reader({"driver": os.getpid(), "sut": 2**22 + 1})()
    assert found["driver_rss_bytes"] > 0
    assert "sut_rss_bytes" not in found
