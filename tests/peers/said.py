"""What the scripts of the clients have in common: they run in environments of their own, so this
imports the standard library alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

MOST = 40  # characters of an error


def every(ask: Callable[[str, str], Awaitable[str]]) -> None:
    """Ask for each failure that the command line names, and print what was made of it."""
    asyncio.run(_every(ask))


async def _every(ask: Callable[[str, str], Awaitable[str]]) -> None:
    url, patience_s, faults = sys.argv[1], float(sys.argv[2]), json.loads(sys.argv[3])
    for fault in faults:
        try:
            says = await asyncio.wait_for(ask(url, f"[fault={fault}]"), patience_s)
        except asyncio.TimeoutError:  # noqa: UP041  (another class before Python 3.11)
            says = f"still waits after {patience_s:.0f} s"
        except Exception as error:
            says = failed(f"{type(error).__name__}: {error}")
        print(json.dumps({"fault": fault, "says": says}), flush=True)


def good(tokens: int | None, ttft_s: float | None, more: str = "") -> str:
    """Return the words for an answer that the client counts."""
    ttft = "no TTFT" if not ttft_s else f"TTFT {ttft_s * 1000:.0f} ms"
    count = "tokens not told" if tokens is None else f"{tokens} tokens"
    return f"good: {count}, {ttft}" + (f", {more}" if more else "")


def failed(words: str) -> str:
    """Return the words for an answer that the client counts as failed: the first line, of a
    traceback the last.
    """
    lines = [line.strip() for line in words.splitlines() if line.strip()] or ["no reason"]
    said = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return f"failed: {said[:MOST]}"
