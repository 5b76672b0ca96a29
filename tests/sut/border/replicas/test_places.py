"""Each replica has its own part of the machine, and none is given twice."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.kernel.errors import SetupFailed
from harness.kernel.machine.memory import shares
from sut.border.replicas import cores
from sut.border.replicas.cores import Cpu, Share, divide
from sut.border.replicas.places import places
from tests import nvml_helpers

TWO_SOCKETS = [Cpu(s, c, s * 4 + c + 8 * h) for h in (0, 1) for s in (0, 1) for c in range(4)]


def gpus(monkeypatch, *uuids):
    nvml_helpers.install(monkeypatch, *({"uuid": uuid} for uuid in uuids))


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 2), st.integers(1, 12))
def test_shares_are_equal_and_apart(num_cores, sockets, threads, count):
    numbers = itertools.count()
    cpus = [
        Cpu(socket, core, next(numbers))
        for socket, core, _ in itertools.product(range(sockets), range(num_cores), range(threads))
    ]
    if len(cpus) < count:
        with pytest.raises(ValueError, match=f"{len(cpus)} processors"):
            divide(cpus, count)
        return
    found = divide(cpus, count)
    taken = [number for share in found for number in share.numbers]
    assert len(found) == count
    assert len(taken) == len(set(taken))
    assert len({(len(share.numbers), share.threads) for share in found}) == 1


def test_hyper_threads_of_a_core_and_cores_of_a_socket_stay_together():
    first, second = divide(TWO_SOCKETS, 2)
    assert first == Share((0, 8, 1, 9, 2, 10, 3, 11), 4)
    assert second == Share((4, 12, 5, 13, 6, 14, 7, 15), 4)


def test_more_replicas_than_cores_share_them_by_hyper_threads():
    assert divide([Cpu(0, 0, 0), Cpu(0, 0, 1)], 2) == [Share((0,), 1), Share((1,), 1)]


def test_replicas_on_a_cpu_have_their_own_cores(monkeypatch):
    monkeypatch.setattr(cores, "allowed", lambda: TWO_SOCKETS)
    found = places(2, "cpu", variables={})
    assert [place.environment["OMP_NUM_THREADS"] for place in found] == ["4", "4"]
    assert [shares(place.environment) for place in found] == [2, 2]
    assert [place.words for place in found] == ["processors 0-3, 8-11", "processors 4-7, 12-15"]


def test_a_number_of_threads_that_the_user_has_set_stays(monkeypatch):
    monkeypatch.setattr(cores, "allowed", lambda: TWO_SOCKETS)
    found = places(2, "cpu", variables={"OMP_NUM_THREADS": "3"})
    assert not any("OMP_NUM_THREADS" in place.environment for place in found)


def test_more_replicas_than_processors_are_refused(monkeypatch):
    monkeypatch.setattr(cores, "allowed", lambda: TWO_SOCKETS)
    with pytest.raises(SetupFailed, match=r"--replicas 17: this process may use 16 processors"):
        places(17, "cpu")


@pytest.mark.parametrize(
    ("listed", "each"),
    [
        (None, ["0", "1"]),
        ("2,0", ["2", "0"]),
        ("GPU-c,GPU-a", ["GPU-c", "GPU-a"]),
        ("1,0,7", ["1", "0"]),
    ],
)
def test_each_replica_sees_its_own_gpu_alone(monkeypatch, listed, each):
    gpus(monkeypatch, "GPU-a", "GPU-b", "GPU-c")
    variables = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    found = places(2, "auto", variables=variables)
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in found] == each
    assert [place.cores for place in found] == [(), ()]
    assert [place.first_gpu for place in found] == [0, 1]


def test_slices_of_a_gpu_are_handed_on_as_they_are_named(monkeypatch):
    gpus(monkeypatch, "GPU-a")
    found = places(2, "cuda", variables={"CUDA_VISIBLE_DEVICES": "MIG-x,MIG-y"})
    assert [place.words for place in found] == ["GPU MIG-x", "GPU MIG-y"]


def test_with_a_device_map_the_gpus_are_divided(monkeypatch):
    gpus(monkeypatch, *"abcde")
    found = places(2, "auto", takes_all_gpus=True, variables={})
    assert [place.gpus for place in found] == [("0", "1"), ("2", "3")]
    assert [place.words for place in found] == ["GPUs 0, 1", "GPUs 2, 3"]


def test_more_replicas_than_gpus_are_refused(monkeypatch):
    gpus(monkeypatch, "GPU-a")
    with pytest.raises(SetupFailed, match="--replicas 2: CUDA sees 1 GPU on this machine"):
        places(2, "auto", variables={})
    with pytest.raises(SetupFailed, match="CUDA sees 0 GPUs"):
        places(2, "cuda", variables={"CUDA_VISIBLE_DEVICES": ""})


def test_on_a_machine_with_gpus_replicas_may_still_run_on_the_cpu(monkeypatch):
    gpus(monkeypatch, "GPU-a")
    monkeypatch.setattr(cores, "allowed", lambda: TWO_SOCKETS)
    assert [place.gpus for place in places(2, "cpu", variables={})] == [(), ()]
