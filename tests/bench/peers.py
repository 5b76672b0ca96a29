"""A peer is an engine in a process of its own: it loads once and answers work; the others sleep
meanwhile.

`Peer("ours_peer", path, "bf16", 8)(work)` gives Answers. All peers get the same thread settings
(`sut.border.threads`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sut.border import threads
from tests.bench.answering import Answers, Work

ROOT = Path(__file__).resolve().parent.parent.parent


def thread_settings() -> str:
    return " ".join(
        f"{name}={value}"
        for name, value in threads.environment().items()
        if name.startswith(("OMP", "GOMP"))
    )


def figures(module: str, *arguments: object) -> dict[str, Any]:
    """A peer that measures by itself: the JSON in its last line."""
    command = [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment())
    if done.returncode:
        raise RuntimeError(f"{module} failed; the last it said:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


class Peer:
    """`python` and `env` are for a peer that lives in another virtual environment."""

    def __init__(
        self,
        module: str,
        *arguments: object,
        python: str = sys.executable,
        env: dict[str, str] | None = None,
    ) -> None:
        self._module, self._log = module, tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in __exit__)
        self._process = subprocess.Popen(
            [python, "-m", f"tests.bench.{module}", *map(str, arguments)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            env=environment() | (env or {}),
        )  # fmt: skip
        self.facts: dict[str, Any] = self._line()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()

    def __call__(self, work: Work) -> Answers:
        assert self._process.stdin
        print(json.dumps(work), file=self._process.stdin, flush=True)
        return Answers(*self._line())

    def _line(self) -> Any:
        assert self._process.stdout
        if line := self._process.stdout.readline():
            return json.loads(line)
        self._log.seek(0)
        raise RuntimeError(
            f"{self._module} ended early; the last it said:\n{self._log.read()[-2000:]}"
        )


def environment() -> dict[str, str]:
    return {**os.environ, **threads.environment(), "PYTHONPATH": str(ROOT)}
