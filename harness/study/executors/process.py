"""The process of one run or one scoring:
`python -m harness.study.executors.process SETTINGS ANSWER`.

SETTINGS is a JSON file to read. ANSWER is written at the end: the run, or the facts of why there is
none.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from threading import Event
from typing import Any

from harness.engine.pieces import reason
from harness.kernel.errors import HarnessError, RunBroke
from harness.kernel.process import children, stopping, streams
from harness.study.executors.work import done

_APART_S = 0.2  # two signals at once are one


def main() -> None:
    """Answer with the run, or with the facts of why there is none."""
    settings, answer = map(Path, sys.argv[1:])
    _unblock_stops()
    children.once_let_go(_stop_now)
    stopping.listen()
    streams.protect()
    found: dict[str, Any]
    try:
        made = done(settings.read_bytes(), lambda text: streams.tell(text) if text else None)
        found = {**made._asdict(), "folder": str(made.folder)}
    except KeyboardInterrupt:
        found = {}
    except HarnessError as error:
        found = {"error": type(error).__name__, "facts": error.facts}
    except Exception as fault:
        found = {"error": RunBroke.__name__, "facts": ("a run", reason(fault), "", "")}
    stopping.over()
    half = answer.with_suffix(".half")
    half.write_text(json.dumps(found), encoding="utf-8")
    half.rename(answer)  # whole or not at all: it is looked for while we write


def _unblock_stops() -> None:
    """Hear stops whoever has started us: Ray's workers block Ctrl-C, which children inherit."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping.SIGNALS)


def _stop_now() -> None:
    """Keep what is measured, and wait for nothing more: the parent has died."""
    os.kill(os.getpid(), signal.SIGTERM)
    Event().wait(_APART_S)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
