"""Which node makes which run?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.study.cluster.nodes import Needs, Seat, lacking, seats, smallest

GIB = 2**30


def node(name, cpus, gpus=0, gib=16, alive=True):
    have = {"CPU": cpus, "GPU": gpus, "memory": gib * GIB}
    return {"NodeID": name, "NodeManagerAddress": name, "Alive": alive, "Resources": have}


def test_a_seat_is_a_whole_node_by_default():
    there = [node("a", 8, 2), node("head", 0), node("gone", 8, alive=False)]
    assert seats(there, 0) == [Seat("a", "a", 0, 8, 2, 16 * GIB)]


def test_seats_that_share_a_node_share_all_of_it():
    shared = seats([node("a", 9, 4)], 4)
    assert [seat.name for seat in shared] == ["a", "a#1"]
    assert {(s.cpus, s.gpus, s.memory_bytes) for s in shared} == {(4, 2, 8 * GIB)}
    assert seats([node("small", 2)], 4) == []


def test_a_run_without_gpus_leaves_them_to_others():
    there = seats([node("gpu", 8, 1), node("cpu", 8)], 0)
    assert smallest(Needs(), there).node == "cpu"
    assert smallest(Needs(gpus=1), there).node == "gpu"
    assert smallest(Needs(gpus=2), there) is None


def test_what_is_lacking_is_told_in_numbers():
    (seat,) = seats([node("a", 8, 1)], 0)
    assert lacking(Needs(gpus=2), seat) == "2 GPUs (it has 1)"
    assert lacking(Needs(memory_bytes=20 * GIB), seat) == "20.0 GiB of memory (it has 16.0)"


@given(
    st.lists(st.tuples(st.integers(0, 64), st.integers(0, 8), st.integers(0, 512)), max_size=6),
    st.integers(0, 16),
)
def test_seats_never_promise_more_than_a_node_has(rows, cpus):
    there = [node(str(i), *row) for i, row in enumerate(rows)]
    for one in there:
        ours = [seat for seat in seats(there, cpus) if seat.node == one["NodeID"]]
        have = one["Resources"]
        assert sum(seat.cpus for seat in ours) <= have["CPU"]
        assert sum(seat.gpus for seat in ours) <= have["GPU"]
        assert sum(seat.memory_bytes for seat in ours) <= have["memory"]
