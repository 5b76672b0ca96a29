"""On a machine with a GPU `auto` picks it; the tests know a CPU's figures and stay on the CPU, but
for those that are marked `gpu`.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from harness.kernel.clock import RealClock
from sut.local_model import LocalModel
from tests import ROOT
from tests.busy.patience import DEVICE

CHILD = """
import torch
torch.cuda.is_available = lambda: True
import sut.local_model
print(sut.local_model.automatic_device())
"""


@pytest.mark.parametrize(("pinned", "device"), [("cpu", "cpu"), ("auto", "cuda")])
def test_auto_is_what_the_test_says(pinned, device, monkeypatch, tiny_llama):
    import torch

    from sut.local_model import PRECISIONS

    assert os.environ[DEVICE] == "cpu"
    monkeypatch.setenv(DEVICE, pinned)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    plain = PRECISIONS["fp32"]._replace(check=lambda *_: None)
    monkeypatch.setitem(PRECISIONS, "fp32", plain)
    sut = LocalModel(RealClock(), path=str(tiny_llama))
    sut._check_variant()
    assert sut._device == device


def test_programs_that_a_test_starts_stay_on_the_cpu_too():
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "cpu"
