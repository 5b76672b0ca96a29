"""`python -m tests.bench gpu`, or `make bench-gpu`: every engine on one GPU in at most eight
minutes, without a network.

    --device cuda:1     another device than the first GPU
    --tiny              a dry run over tiny shapes, in this process (with --device cpu: anywhere)
    --only PART         one part, or several: --only engine-8B --only variant-fp8
    --budget 480        seconds; parts that do not fit are left out and named
    --output FILE.md    writes the table there as well, and the figures beside it as FILE.json

Needs no file and no model. The checkpoints of other variants than fp32 and bf16 are written to
memory (/dev/shm) where 40 GB are free there, else to the folder for temporary files: 16 GB.
Exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.kernel.clock import RealClock
from tests.bench.gpu import parts, table, wanted
from tests.bench.gpu.shapes import Setup

_ROOM_BYTES = 40 * 10**9
_SHARED_MEMORY = Path("/dev/shm")
_LEAST_S = 10.0  # a part is not begun with less


def main(words: Sequence[str]) -> int:
    asked = _arguments(words)
    clock = RealClock()
    start_ns = clock.now_ns()
    figures: parts.Figures = {}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=_place(), prefix="touchstone-bench-") as scratch:
        setup = Setup(asked.device, asked.tiny, scratch)
        for name in asked.only or parts.PARTS:
            left_s = asked.budget - (clock.now_ns() - start_ns) / 1e9
            if left_s < _LEAST_S:
                missing[name] = "the time was over"
                continue
            print(f"measuring: {name}", file=sys.stderr, flush=True)
            measure = parts.here if asked.tiny else parts.apart
            found, why = measure(name, setup, min(left_s, parts.PARTS[name].limit_s))
            figures |= found
            missing |= {name: why} if why else {}
            _tell(found, why)
    seconds = (clock.now_ns() - start_ns) / 1e9
    facts, rows = table.facts_of(asked.device, asked.tiny), wanted.rows(figures, asked.tiny)
    outcome = table.Outcome(facts, figures, missing, rows, seconds)
    print(table.markdown(outcome))
    if asked.output:
        asked.output.write_text(table.markdown(outcome), encoding="utf-8")
        found = json.dumps(table.as_json(outcome), indent=1)
        asked.output.with_suffix(".json").write_text(found, encoding="utf-8")
    return 1 if outcome.missed else 0


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench gpu")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--only", action="append", choices=list(parts.PARTS))
    parser.add_argument("--budget", type=float, default=480.0)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args(words)
    if asked.device.startswith("cuda") and not _has_gpu():
        parser.error("torch sees no GPU here; a dry run: --device cpu --tiny")
    return asked


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _place() -> str | None:
    """Return where checkpoints go: memory where there is room, else the usual folder."""
    has_room = _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free > _ROOM_BYTES
    return str(_SHARED_MEMORY) if has_room else None


def _tell(found: parts.Figures, why: str) -> None:
    """Say what is known at once: should the process be killed, it is not lost."""
    for name, value in found.items():
        print(f"  {name} {value}", file=sys.stderr, flush=True)
    if why:
        print(f"  {why}", file=sys.stderr, flush=True)
