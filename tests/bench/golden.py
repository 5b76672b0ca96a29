"""How much does the golden server send, and how punctually? `python -m tests.bench.golden`

A client of raw sockets keeps so many requests open that the server is never idle, or always has so
many streams under way. It does nothing else, so that the server is what is measured: its processor
time is told beside what it sent.
"""

from __future__ import annotations

import json
import select
import socket
from time import monotonic
from typing import NamedTuple

import numpy as np
import psutil

from tests.golden_server import GoldenServer

SECONDS = 4.0
TOKENS = 16
_END = b"0\r\n\r\n"


class Load(NamedTuple):
    name: str
    connections: int
    settings: dict


LOADS = (
    Load("one write an answer, stamps kept", 64, {"one_write": True}),
    Load("one write an answer, no stamps", 64, {"one_write": True, "stamps": False}),
    Load("a write a token, as fast as it goes", 64, {}),
    Load(
        "1,600 streams of 50 tokens/s: 80,000 writes/s", 1600, {"ttft_ms": 20, "per_token_ms": 20}
    ),
)


def request() -> bytes:
    body = json.dumps({"prompt": "x y", "stream": True, "return_token_ids": True}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    return head + body


def drive(port: int, connections: int) -> int:
    """Ask again on each connection as soon as its answer is whole; return how many were."""
    asked, answers = request(), 0
    socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    by_fd = {sock.fileno(): sock for sock in socks}
    with select.epoll() as epoll:
        for fd, sock in by_fd.items():
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            epoll.register(fd, select.EPOLLIN)
            sock.send(asked)
        until = monotonic() + SECONDS
        while monotonic() < until:
            for fd, _ in epoll.poll(0.1):
                if by_fd[fd].recv(1 << 16).endswith(_END):
                    answers += 1
                    by_fd[fd].send(asked)
    for sock in socks:
        sock.close()
    return answers


def measure(server: GoldenServer, load: Load) -> str:
    server.set(tokens=TOKENS, **load.settings)
    process = psutil.Process(server.pid)
    before = sum(process.cpu_times()[:2])
    answers = drive(server.port, load.connections)
    busy = (sum(process.cpu_times()[:2]) - before) / SECONDS
    writes = 1 if load.settings.get("one_write") else TOKENS
    rate = answers / SECONDS
    words = f"{rate:8,.0f} answers/s {rate * writes:9,.0f} writes/s  {100 * busy:4.0f} % of a core"
    return f"{load.name:48} {words}{late(server, load)}"


def late(server: GoldenServer, load: Load) -> str:
    """Say how much later than due it sent, by its own stamps."""
    if "per_token_ms" not in load.settings:
        return ""
    first_ns, next_ns = (load.settings[name] * 1e6 for name in ("ttft_ms", "per_token_ms"))
    rows = [row for row in server.stamps() if len(row.sent_ns) == TOKENS]
    sent_ns = np.array([row.sent_ns for row in rows]) - [[row.received_ns] for row in rows]
    late_us = (sent_ns - (first_ns + next_ns * np.arange(TOKENS))) / 1e3
    p50, p99 = np.percentile(late_us, (50, 99))
    return f", late by {p50:,.0f} us (p50), {p99:,.0f} us (p99)"


def main() -> None:
    server = GoldenServer()
    try:
        for load in LOADS:
            print(measure(server, load), flush=True)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
