"""The speed of a copy and the limit on a real GPU."""

from __future__ import annotations

import pytest
import torch

from harness.kernel.clock import RealClock
from sut.limit.bandwidth import copy_bytes_per_s
from tests.bench.gpu import parts
from tests.bench.gpu.shapes import Setup

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_a_gpu_copies_faster_than_a_disk_and_keeps_no_memory():
    torch.zeros(1, device="cuda")
    before = torch.cuda.memory_reserved()
    found = copy_bytes_per_s(RealClock(), torch.device("cuda"))
    assert found is not None
    assert 2e10 < found < 2e13
    assert torch.cuda.memory_reserved() == before


@pytest.mark.parametrize("name", ["engine-8B", "generate-8B", "same-smollm2", "engine-1B"])
def test_parts_of_the_benchmark_work_on_a_gpu_over_tiny_shapes(name, tmp_path):
    found, why = parts.here(name, Setup("cuda:0", True, str(tmp_path)), 60.0)
    assert why == ""
    assert found
