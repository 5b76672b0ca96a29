"""Which limits of the referee are lifted where other programs keep the machine busy, what does
`--device auto` stand for, and how is anything done to a module as soon as it is there? For whole
programs that tests start: their PYTHONPATH has this folder, and Python imports its `sitecustomize`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from types import ModuleType

LIMITS = {
    "scenarios.uncertainty": {"ERROR_SHARE": 1000.0, "is_doubtful": lambda verdict, twin: False},
    "harness.result.quiet": {"BUSY_SHARE": 1.0, "NOTED_SHARE": 1.0},
    # other workers of the tests are on the same GPU
    "harness.result.gpus.conditions": {
        "MOST_THROTTLED": 1.0,
        "MOST_PROCESSES": 1000,
        "MOST_FOREIGN_BYTES": 2**60,
    },
    "harness.engine.metering.before": {"SECONDS": 0.0},
}

DEVICE = "TOUCHSTONE_TESTS_DEVICE"  # what `auto` stands for; "auto": what it stands for elsewhere


class _Finder(MetaPathFinder):
    def __init__(self, name: str, act: Callable[[ModuleType], None]) -> None:
        self._name, self._act = name, act

    def find_spec(self, name, path=None, target=None):
        if name != self._name:
            return None
        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module) -> None:
            load(module)
            self._act(module)

        spec.loader.exec_module = exec_module
        return spec


def once_loaded(name: str, act: Callable[[ModuleType], None]) -> None:
    """Call `act` with the module of that name before anybody can import a name from it."""
    sys.meta_path.insert(0, _Finder(name, act))


def lift_limits() -> None:
    for name, limits in LIMITS.items():
        once_loaded(name, lambda module, limits=limits: vars(module).update(limits))


def pin_device() -> None:
    """Let `auto` be the CPU where a GPU is there too: most tests know a CPU's figures."""
    once_loaded("sut.local_model", _pin)


def _pin(module: ModuleType) -> None:
    really = module.automatic_device

    def pinned() -> str:
        device = os.environ.get(DEVICE, "cpu")
        return really() if device == "auto" else device

    module.automatic_device = pinned
