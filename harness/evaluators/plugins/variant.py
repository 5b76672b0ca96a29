"""A variant that is served for the program that we are a plug-in of, for as long as it runs.

    found = served("smollm2-135m", "int8")
    found.url, found.model, found.context    # the model is called smollm2-135m@int8

It is `harness serve` in a process of its own, on the loopback address, which ends with this one. It
runs in this Python; in another one, where TOUCHSTONE_PYTHON names it or `python` is given: then
this one needs the package alone, and none of what it depends on but numpy and psutil.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from functools import cache
from typing import Any, NamedTuple

from harness.kernel.machine import waits
from harness.kernel.process.children import Child

PYTHON = "TOUCHSTONE_PYTHON"
NO_KEY = "none"


class Served(NamedTuple):
    """`context` is in tokens, `concurrency` in answers at a time."""

    url: str
    model: str
    context: int
    concurrency: int


@cache
def served(model: str, variant: str, python: str = "", **flags: Any) -> Served:
    """Serve a variant and return where, once it answers; `flags` are those of harness serve, such
    as max_len=4096. Raises RuntimeError in the server's own words.
    """
    words = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
    alias = f"{model}@{variant}"
    words += ["--model", model, "--variant", variant, "--alias", alias, "--port", "0", "--json"]
    child = Child(
        "harness.kernel.process.children", "harness", "serve", *words,
        python=python or os.environ.get(PYTHON) or sys.executable,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    atexit.register(child.kill)
    for line in waits.lines(child, waits.LOADING):
        found = json.loads(line)
        most = found.get("max_concurrency", 1)  # --sut simulated does not say
        name = alias if alias in found["models"] else found["models"][0]
        return Served(found["url"], name, found["context"], most)
    code = child.wait()
    raise RuntimeError(f"serving {model} in {variant}: it {waits.ending(code)}; see above")
