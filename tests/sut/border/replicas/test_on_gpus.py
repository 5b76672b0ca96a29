"""Replicas on real GPUs: each has its own."""

from __future__ import annotations

import os

import pytest

from harness.engine.driver import drive
from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.errors import SetupFailed
from harness.kernel.types import At, Query, QuerySample, Sample
from sut.border.replicas.places import gpus_seen, places
from sut.border.replicas.replicas import Plan, Replicas
from tests.helpers import settings

pytestmark = pytest.mark.gpu


def count() -> int:
    import torch

    return torch.cuda.device_count()


@pytest.fixture
def seen():
    if not (found := count()):
        pytest.skip("no CUDA device")
    return found


def test_the_driver_and_torch_count_the_same_gpus(seen):
    assert len(gpus_seen(os.environ)) == seen
    with pytest.raises(SetupFailed, match=f"CUDA sees {seen} GPU"):
        places(seen + 1, "cuda")


def test_two_replicas_use_two_gpus(seen, tiny_llama, tmp_path):
    if seen < 2:
        pytest.skip("one GPU: two are needed")
    clock = RealClock()
    options = {"path": str(tiny_llama), "device": "cuda", "variant": "bf16"}
    own = places(2, "cuda")
    plan = Plan("sut.local_model:LocalModel", options, own, tmp_path / "sut.log", {}, 4, 60.0)
    sut, recorder = Replicas(clock, plan), Recorder(clock)
    try:
        sut.load([Sample(i, f"a b {i}", max_new_tokens=8) for i in range(8)], recorder)
        query = Query(0, [QuerySample(i, i % 8) for i in range(40)], At(0))
        log = drive([query], sut, clock, recorder, settings())
        facts, told = sut.facts(), sut.after()["replicas"]
    finally:
        sut.close()
        clock.close()
    assert log.completed.all()
    assert len(set(facts["gpus"])) == 2
    assert sorted(facts["weights_on"]) == ["cuda:0", "cuda:1"]
    assert min(told["samples"]) > 5
