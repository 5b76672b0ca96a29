"""The parts of the GPU's benchmark: each measures by itself and tells its figures one by one, so
that what breaks in the middle takes nothing with it that was measured.

On a GPU each part has a process of its own (`python -m tests.bench.gpu.parts NAME SETUP` prints a
figure a line): memory is free again after it, and whatever happens to a GPU's context ends there.
A dry run calls them one after the other.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from tests.bench.gpu.shapes import Setup
from tests.bench.peers import ROOT, environment

VARIANTS = ("fp32", "bf16", "fp8", "int8", "nf4")
Figures = dict[str, Any]


class Part(NamedTuple):
    """`limit_s` is the most that it may take; its figures are called `prefix` and a dot."""

    prefix: str
    limit_s: float
    measure: Callable[[Setup], Iterator[tuple[str, Any]]]


def _engine(shape: str, setup: Setup) -> Iterator[tuple[str, Any]]:
    from tests.bench.gpu import engine, shapes

    rows = shapes.work_of(setup).rows
    yield from engine.engine(setup, shape, rows if shape == "8B" else rows[:2])


def _variant(name: str, setup: Setup) -> Iterator[tuple[str, Any]]:
    from tests.bench.gpu import engine

    yield from engine.variant(setup, name)


def _peer(name: str, setup: Setup) -> Iterator[tuple[str, Any]]:
    from tests.bench.gpu import peers

    yield from _PEERS[name](peers, setup)


_PEERS: Mapping[str, Callable[[Any, Setup], Iterator[tuple[str, Any]]]] = {
    "generate": lambda peers, setup: peers.generate(setup, "8B"),
    "harness": lambda peers, setup: peers.harness(setup),
    "same": lambda peers, setup: peers.same(setup),
}


PARTS: dict[str, Part] = {  # in this order: what matters most comes first, as time may run out
    "engine-8B": Part("8B", 120, partial(_engine, "8B")),
    "generate-8B": Part("8B", 75, partial(_peer, "generate")),
    "engine-1B": Part("1B", 60, partial(_engine, "1B")),
    "harness-1B": Part("1B", 90, partial(_peer, "harness")),
    "same-smollm2": Part("smollm2", 60, partial(_peer, "same")),
    **{f"variant-{name}": Part("8B", 75, partial(_variant, name)) for name in VARIANTS},
}


def here(name: str, setup: Setup, limit_s: float) -> tuple[Figures, str]:
    """Measure a part in this process; return its figures, and why some are missing."""
    found: Figures = {}
    try:
        for key, value in PARTS[name].measure(setup):
            found[f"{PARTS[name].prefix}.{key}"] = value
    except Exception as error:
        return found, f"{type(error).__name__}: {_line(str(error))}"
    return found, ""


def apart(name: str, setup: Setup, limit_s: float) -> tuple[Figures, str]:
    """Measure a part in a process of its own, which is killed when its time is over."""
    command = [sys.executable, "-m", "tests.bench.gpu.parts", name, json.dumps(setup)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            said, errors = process.communicate(timeout=limit_s)
            why = "" if process.returncode == 0 else _last_line(errors)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            why = f"it took more than {limit_s:g} s"
    return _figures(PARTS[name].prefix, said), why


def _figures(prefix: str, said: str) -> Figures:
    """Return what was told; a line of a library that prints is no figure."""
    found: Figures = {}
    for line in said.splitlines():
        if line.startswith('["'):
            key, value = json.loads(line)
            found[f"{prefix}.{key}"] = value
    return found


def _last_line(errors: str) -> str:
    lines = [line for line in errors.splitlines() if line.strip()]
    return _line(lines[-1]) if lines else "it ended without a word"


def _line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:300]


def main() -> None:
    name, setup = sys.argv[1], Setup(*json.loads(sys.argv[2]))
    for key, value in PARTS[name].measure(setup):
        print(json.dumps([key, value]), flush=True)


if __name__ == "__main__":
    main()
