"""How is a model of this machine a judge? Served on loopback by `harness serve`, for as long as it
is asked.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness.judging.settings import Named
from harness.kernel import files
from harness.kernel.errors import SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process import children
from harness.kernel.protocols import Say
from sut.served.address import Address, address


@contextmanager
def served(judge: Named, log: Path, say: Say) -> Iterator[tuple[Address, str]]:
    """Yield the address and the name of the model. It is gone when the block ends. Raises
    SetupFailed.
    """
    say(f"loading the judge {judge.model} in {judge.variant}")
    flags = ["--model", judge.model, "--variant", judge.variant, "--port", "0", "--json"]
    with (
        files.opened_log(log) as words,
        children.Child(
            children.__name__,
            "harness",
            "serve",
            *flags,
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
        ) as process,
    ):
        try:
            line = next(waits.lines(process, waits.LOADING), "")
        except waits.Overdue as overdue:
            raise _failed(judge, str(overdue), log) from None
        if not line:
            raise _failed(judge, waits.ending(waits.leave(process)), log)
        facts = json.loads(line)
        say("")
        yield replace(address(facts["url"]), key=""), facts["models"][0]


def _failed(judge: Named, how: str, log: Path) -> SetupFailed:
    said = log.read_text(errors="replace").strip().splitlines()
    last = f", last words: {said[-1][:300]}" if said else ""
    return SetupFailed(f"--judge {judge.name}", f"its server {how}{last}", "", f"See {log}.")
