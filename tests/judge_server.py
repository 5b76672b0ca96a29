"""A judge that answers by script: `script(prompt, number)` returns what it says, or (status, body
or headers) in its place. One thread per request.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

Script = Callable[[str, int], Any]


class Refusal(NamedTuple):
    """An answer that is none: its status, body and headers."""

    status: int
    body: str = '{"error": {"message": "busy"}}'
    headers: Mapping[str, str] = MappingProxyType({})


class JudgeServer:
    """`bodies` are the requests that came, `keys` what they held as Authorization, `most` how many
    were open at a time.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.bodies: list[dict[str, Any]] = []
        self.keys = set[str | None]()
        self.open = self.most = 0
        self.lock = threading.Lock()
        self.url = ""

    def answer(self, body: dict[str, Any]) -> Refusal | dict[str, Any]:
        with self.lock:
            number = len(self.bodies)
            self.bodies.append(body)
        prompt = body["messages"][0]["content"]
        said = self.script(prompt, number)
        if isinstance(said, Refusal):
            return said
        message = said if isinstance(said, dict) else {"content": said}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        choice |= message.pop("choice", {})
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": 10}
        return {"choices": [choice], "usage": usage}


@contextmanager
def judging(script: Script) -> Iterator[JudgeServer]:
    """Serve a judge on loopback as long as the block lasts."""
    judge = JudgeServer(script)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with judge.lock:
                judge.open += 1
                judge.most = max(judge.most, judge.open)
                judge.keys.add(self.headers["Authorization"])
            said = judge.answer(body)
            refusal = said if isinstance(said, Refusal) else Refusal(200, json.dumps(said))
            data = refusal.body.encode()
            with judge.lock:
                judge.open -= 1
            self.send_response(refusal.status)
            for name, value in refusal.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    judge.url = f"http://127.0.0.1:{server.server_port}/v1#fake"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield judge
    finally:
        server.shutdown()
        server.server_close()


def part(prompt: str, head: str) -> str:
    """Return what stands in a prompt between the marks below a head, such as "ANSWER A"."""
    found = re.search(rf"^{head}\n<<<\n(.*?)\n>>>$", prompt, re.MULTILINE | re.DOTALL)
    assert found, head
    return found[1]
