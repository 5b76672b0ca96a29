"""Whole programs that tests start are as patient with a busy machine as the tests themselves
(`busy_machine` in conftest.py): Python imports this file in each of them, and the limits of the
referee are lifted as soon as their modules are there.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder

LIMITS = {
    "scenarios.uncertainty": {"ERROR_SHARE": 1000.0, "is_doubtful": lambda verdict, twin: False},
    "harness.result.quiet": {"BUSY_SHARE": 1.0, "NOTED_SHARE": 1.0},
}


class _Finder(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name not in LIMITS:
            return None
        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module) -> None:
            load(module)
            vars(module).update(LIMITS[name])

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _Finder())
