"""Folders of runs that nobody measured, and an application asked without a socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from harness.view.app import application
from harness.view.index import Index


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


def result(**changes: Any) -> dict[str, Any]:
    """What the list reads of a result.json."""
    known = {
        "status": "VALID", "status_reason": "every condition holds", "scenario": "server",
        "mode": "performance", "model": "m", "variant": "fp32", "sut": "local",
        "throughput": {"tokens_per_s": 100.0, "samples_per_s": 1.0},
        "latency": {"ttft_ms": {"p50": 10.0}, "tpot_ms": {"p50": 5.0}},
        "memory": {"gpu_peak_bytes": None, "rss_peak_bytes": 2**30},
        "verdicts": [{"rule": "eos", "status": "PASS", "detail": "", "remedy": ""}],
    }  # fmt: skip
    return known | changes


def make_run(root: Path, name: str, **changes: Any) -> Path:
    """Make a folder that looks like a run."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text('{"effective": []}')
    (folder / "result.json").write_text(json.dumps(result(**changes)))
    return folder


def indexed(root: Path) -> Index:
    """An index that has looked once, without its thread."""
    index = Index(root.resolve())
    index.look()
    return index


def ask(root: Path | Index, path: str, method: str = "GET", **headers: str) -> Answer:
    """Ask the application for a path as it stands there, as a server hands it over."""
    index = root if isinstance(root, Index) else indexed(root)
    plain, _, query = path.partition("?")
    given = {"host": "127.0.0.1:8321"} | {k.replace("_", "-"): v for k, v in headers.items()}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": plain, "raw_path": plain.encode(), "root_path": "",
        "query_string": query.encode(), "server": ("127.0.0.1", 8321), "client": ("127.0.0.1", 1),
        "headers": [(k.encode(), v.encode()) for k, v in given.items() if v],
    }  # fmt: skip
    sent: list[Any] = []

    asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        if (message := next(asked, None)) is None:
            await asyncio.Event().wait()  # the client stays
        return message or {}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(application(index)(scope, receive, send))
    head = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], head, body.decode(errors="replace"))


def fingerprint(root: Path) -> dict[str, Any]:
    """Every file and folder below, with its times and content."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (status.st_mtime_ns, status.st_mode, content)
    return found
