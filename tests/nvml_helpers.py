"""GPUs that this machine does not have: tests/nvml/pynvml.py in the place of nvidia-ml-py."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from typing import Any

from sut.simulated import Simulated
from tests import ROOT

FOLDER = ROOT / "tests/nvml"
SOURCES = [
    path for package in ("harness", "sut", "reports") for path in (ROOT / package).rglob("*.py")
]
QUERIES = sorted(
    {name for path in SOURCES for name in re.findall(r'"(nvml[A-Z]\w+)"', path.read_text())}
)  # every query of the product


def install(monkeypatch: Any, *gpus: dict[str, Any], **told: Any) -> None:
    """Give this process, and those that it starts, these GPUs and refusals."""
    monkeypatch.setenv("FAKE_NVML", json.dumps({"gpus": list(gpus), **told}))
    paths = [str(FOLDER), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    spec = importlib.util.spec_from_file_location("pynvml", FOLDER / "pynvml.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "pynvml", module)


class OnGpu(Simulated):
    """A simulated system that says that it runs on so many of CUDA's devices; with none, it does
    not say what it runs on.
    """

    def __init__(self, clock: Any, devices: int = 0) -> None:
        super().__init__(clock, ttft_ms=2.0, per_token_ms=0.2, tokens=4)
        self._devices = devices

    def facts(self) -> dict[str, Any]:
        devices = [f"cuda:{number}" for number in range(self._devices)]
        named = {"weights_on": dict.fromkeys(devices, 1), "device": devices[0]} if devices else {}
        return {"model": "simulated", "eos_ids": [2], **named}
