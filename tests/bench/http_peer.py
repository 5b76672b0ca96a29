"""`harness serve` over HTTP, and the same engine called bare: `python -m tests.bench.http_peer
MODEL VARIANT ROUNDS` prints tokens per second and the time to a first token, in turn.

The client is no more than sockets: it sends all requests at once, a connection each, and counts the
bytes that come until every stream has ended. It shares the machine with the server.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from sut.border.threads import environment
from tests.bench.serving_peer import (
    MAX_LEN,
    NEW_TOKENS,
    REQUESTS,
    Bare,
    first_token_ms,
    shared,
)

_END = b"data: [DONE]\n\n"


class Server:
    """`harness serve` as a process of its own, and connections to it."""

    def __init__(self, model: str, variant: str) -> None:
        from harness.kernel.clock import RealClock

        self.now_ns = RealClock.now_ns
        words = ["-m", "harness", "serve", "--model", model, "--variant", variant, "--port", "0"]
        words += ["--max-len", str(MAX_LEN), "--json"]
        self._process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        self._place = urlsplit(told["url"])
        self._open = [self._connect() for _ in range(REQUESTS)]

    def _connect(self) -> socket.socket:
        made = socket.create_connection((self._place.hostname, self._place.port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def close(self) -> None:
        for one in self._open:
            one.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def answers(self, prompts: Sequence[Sequence[int]]) -> tuple[float, dict[int, list[int]]]:
        """Return tokens per second, and the answers."""
        start_ns, heard = self.now_ns(), {i: bytearray() for i in range(len(prompts))}
        with selectors.DefaultSelector() as selector:
            for i, prompt in enumerate(prompts):
                self._open[i].sendall(self._request(prompt, stream=True, return_token_ids=True))
                selector.register(self._open[i], selectors.EVENT_READ, i)
            while selector.get_map():
                for key, _ in selector.select():
                    heard[key.data] += key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    if heard[key.data].endswith(b"\r\n0\r\n\r\n"):
                        selector.unregister(key.fileobj)
        seconds = (self.now_ns() - start_ns) / 1e9
        ids = {i: _ids(bytes(data)) for i, data in heard.items()}
        return sum(map(len, ids.values())) / seconds, ids

    def first_token_ms(self, prompt: Sequence[int]) -> float:
        one = self._connect()
        request = self._request(prompt, stream=True)
        start_ns, heard = self.now_ns(), b""
        one.sendall(request)
        while b"data: " not in heard:
            heard += one.recv(1 << 16)
        spent_ns = self.now_ns() - start_ns
        while _END not in heard:
            heard += one.recv(1 << 16)
        one.close()
        return spent_ns / 1e6

    def _request(self, prompt: Sequence[int], **fields: Any) -> bytes:
        asked = {"prompt": list(prompt), "max_tokens": NEW_TOKENS, "ignore_eos": True}
        body = json.dumps({**asked, "temperature": 0, **fields}).encode()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: {self._place.netloc}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _ids(data: bytes) -> list[int]:
    """Return the ids of a stream, whose chunks each stand in a line."""
    lines = (line for line in data.split(b"\n") if line.startswith(b"data: {"))
    return [one for line in lines for one in json.loads(line[6:])["choices"][0]["token_ids"]]


def measured(model: str, variant: str, rounds: int) -> dict[str, Any]:
    from pathlib import Path

    from sut.model.find import resolve
    from sut.serving.messages import Options
    from tests.bench.questions import Questions

    path = resolve(model, lambda text: None).path
    prompts = Questions(Path(path)).equal(REQUESTS, NEW_TOKENS).prompts
    bare = Bare(Options(path=path, variant=variant, max_len=MAX_LEN))
    server = Server(path, variant)
    try:
        bare.answers(prompts[:8]), server.answers(prompts[:8])
        return _in_turn(bare, server, prompts, rounds)
    finally:
        server.close()


def _in_turn(
    bare: Bare, server: Server, prompts: Sequence[Sequence[int]], rounds: int
) -> dict[str, Any]:
    pairs = []
    for _ in range(rounds):
        rate, expected = bare.answers(prompts)
        through, found = server.answers(prompts)
        same = shared(found, expected)
        pairs.append((rate, through))
    return {
        "bare": statistics.median(b for b, _ in pairs),
        "http": statistics.median(h for _, h in pairs),
        "ratio": statistics.median(h / b for b, h in pairs),
        "same": same,
        "ttft_ms": first_token_ms(bare, server, prompts),
    }


if __name__ == "__main__":
    os.environ.update(environment())
    print(json.dumps(measured(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
