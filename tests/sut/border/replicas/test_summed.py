"""What several replicas say as one: sums, the facts that all share, and where they differ."""

from __future__ import annotations

import pytest

from harness.kernel.errors import SetupFailed
from harness.kernel.types import MemoryUse
from sut.border.replicas import summed
from sut.border.replicas.places import Place

ON_CORES = [Place("processor 0", {}), Place("processor 1", {})]
ON_GPUS = [Place("GPUs 4, 5", {}, (), ("4", "5"), 0), Place("GPUs 6, 7", {}, (), ("6", "7"), 2)]


def test_memory_is_summed_and_what_one_does_not_tell_is_not_known():
    uses = [MemoryUse(100, None, 1, source="counted"), MemoryUse(100, 7, 2, source="counted")]
    found = summed.memory(uses)
    assert (found.weights_bytes, found.kv_cache_bytes, found.peak_bytes) == (200, None, 3)
    assert found.source == "sums over 2 replicas, peaks included; the first: counted"


def test_the_peak_of_the_one_that_evaluates_is_told():
    uses = [MemoryUse(weights_bytes=1, evaluation_peak_bytes=9), MemoryUse(weights_bytes=1)]
    assert summed.memory(uses).evaluation_peak_bytes == 9


def test_facts_are_those_of_the_first_and_a_note_says_where_they_differ():
    each = [
        {"model": "m", "threads": 1, "notes": ["heavy"], "weights_on": {"cpu": 1}, "load_s": 2.0},
        {"model": "m", "threads": 2, "notes": ["heavy"], "weights_on": {"cpu": 2}, "load_s": 3.0},
    ]
    assert summed.facts(each, ON_CORES) == {
        "model": "m",
        "threads": 1,
        "notes": ["heavy", "the replicas are not alike: threads is 1, 2"],
        "weights_on": {"cpu": 3},
        "load_s": 3.0,
        "replicas": {"count": 2, "places": ["processor 0", "processor 1"]},
    }


def test_gpus_are_numbered_as_a_process_does_that_sees_them_all():
    each = [
        {"weights_on": {"cuda:0": 1, "cuda:1": 2, "cpu": 5}, "gpus": [4, 5]},
        {"weights_on": {"cuda:0": 3, "cuda:1": 4, "cpu": 5}, "gpus": [6, 7]},
    ]
    found = summed.facts(each, ON_GPUS)
    assert found["weights_on"] == {"cuda:0": 1, "cuda:1": 2, "cpu": 10, "cuda:2": 3, "cuda:3": 4}
    assert found["gpus"] == [4, 5, 6, 7]


def test_two_replicas_on_one_gpu_are_refused():
    with pytest.raises(SetupFailed, match="replicas 1 and 2 have loaded on GPU 5"):
        summed.refuse_shared([{"gpus": [4, 5]}, {"gpus": [5]}], ON_GPUS)
    summed.refuse_shared([{"gpus": [4]}, {"gpus": [5]}], ON_GPUS)
    summed.refuse_shared([{"gpus": [None]}, {"gpus": [None]}], ON_GPUS)
    summed.refuse_shared([{}, {}], ON_CORES)
