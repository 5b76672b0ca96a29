"""The client's workers beside their peers, on the same two cores: how many answers they take, and
how true their stamps are.

    answers     closed loop of 64 connections, 16 tokens in one write, against the client's own echo
    chunks      5,000 requests a second whose 16 tokens come apart
    streams     2,000 streams of 20 tokens a second, judged by the golden server's own stamps

wrk and h2load, where they are installed, are the limit: they count bytes and read nothing. Python
peers run in the interpreter that SERVED_PEERS names (aiohttp; vllm for its own request function).
The machine must be quiet: a busy one shows in the scheduler's share, which is said below the table.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from harness.kernel.answers import Answer, Exchange, Window
from harness.kernel.clock import RealClock
from harness.kernel.types import At, Query, QuerySample
from sut.served.address import Address, address
from sut.served.client.calibration.capacity import Echoing
from sut.served.client.heads import request
from sut.served.client.pool import Limits, Pool
from tests.bench.peers import ROOT
from tests.bench.rows import Row

CONNECTIONS, ROUNDS = 64, 3
ANSWERS, PEER_ANSWERS, TOKENS = 120_000, 4_000, 16
RATE, SECONDS = 5_000, 8
STREAMS, STREAM_TOKENS, GAP_MS, STREAM_S = 2_000, 33, 50.0, 10
PEERS = ("aiohttp", "vllm")


def served() -> Iterable[Row | str]:
    with Echoing() as echo:
        yield from _answers(echo.address)
        yield from _chunks(echo.address)
    yield from _streams()


def _answers(where: Address) -> Iterable[Row | str]:
    runs = [_closed_loop(where) for _ in range(ROUNDS)]
    ours = statistics.median(rate for rate, _ in runs)
    yield Row("answers in one write, 1/s, with the echo", f"{ours:,.0f}", "", "", "", True)
    alone, target = statistics.median(_alone(facts) for _, facts in runs), 60_000
    what = "  a second of the worker's own processor"
    yield Row(what, f"{alone:,.0f}", "", "", f"{target:,}", alone >= target)
    for name, rate in _limits(where):
        yield Row(
            f"  beside {name}", f"{ours:,.0f}", f"{rate:,.0f}", f"{ours / rate:.2f}x", "", True
        )
    for name, rate in _peers(where):
        yield Row(
            f"  beside {name}", f"{ours:,.0f}", f"{rate:,.0f}", f"{ours / rate:.1f}x", "", True
        )
    yield _said("answers", runs[-1][1])


def _alone(facts: dict[str, Any]) -> float:
    """Return the answers per second of processor time: the echo, in Python too, is slower."""
    return float(facts["answers"] / facts["cpu_s"])


def _closed_loop(where: Address) -> tuple[float, dict[str, Any]]:
    query = Query(0, [QuerySample(i, 0) for i in range(ANSWERS)], At(0))
    heard, facts = _run(where, "/one", [query], Limits(in_flight=CONNECTIONS), CONNECTIONS)
    return len(heard.done_ns) / ((max(heard.done_ns) - heard.start_ns) / 1e9), facts


def _chunks(where: Address) -> Iterable[Row | str]:
    plan = _poisson(RATE, RATE * SECONDS)
    heard, facts = _run(where, "/apart", plan, Limits(), 256)
    rate = len(plan) / ((max(heard.done_ns) - heard.start_ns) / 1e9)
    what = f"{RATE:,} requests/s of {TOKENS} chunks"
    yield Row(f"{what}: reached", f"{rate:,.0f}", "", "", f"{RATE:,}", rate >= 0.98 * RATE)
    yield _at_most(f"{what}: stamps after the kernel's, p99, us", facts["stamp_delay_p99_us"], 100)
    yield _at_most(f"{what}: send lag p99, us", facts["lag_p99_us"], 50)
    yield _said("chunks", facts)


def _streams() -> Iterable[Row | str]:
    from tests.golden_server import GoldenServer

    rate = STREAMS / (STREAM_TOKENS * GAP_MS / 1e3)
    golden = GoldenServer()
    try:
        golden.set(ttft_ms=GAP_MS, per_token_ms=GAP_MS, tokens=STREAM_TOKENS)
        plan = _poisson(rate, int(rate * STREAM_S))
        heard, facts = _run(address(golden.url), "/completions", plan, Limits(), STREAMS + 200)
        sent = {int(row.id.removeprefix("touchstone-")): row.sent_ns for row in golden.stamps()}
    finally:
        golden.stop()
    bias_us = _biases_us(heard, sent)
    p50, p99 = np.percentile(bias_us, (50, 99))
    what = f"{STREAMS:,} streams of 20 tokens/s"
    yield _at_most(f"{what}: chunk stamps after the server's, p50, us", p50, 30)
    yield _at_most(f"{what}: chunk stamps after the server's, p99, us", p99, 100)
    yield _at_most(f"{what}: send lag p99, us", facts["lag_p99_us"], 50)
    yield _said("streams", facts)


def _biases_us(heard: Heard, sent: dict[int, list[int]]) -> Any:
    """Return how long after its sending each read was stamped: of the reads that are a write."""
    found = []
    for i, reads_ns in heard.reads_ns.items():
        if i in sent and len(sent[i]) == len(reads_ns):
            found.append(np.array(reads_ns) - np.array(sent[i]))
    return np.concatenate(found) / 1e3


# ---- ours


class Heard:
    """Keeps the moments, and reads nothing."""

    def __init__(self) -> None:
        self.done_ns: list[int] = []
        self.reads_ns: dict[int, list[int]] = {}
        self.is_over, self.start_ns, self.failed = False, 0, 0

    def sent(self, place: int, due_ns: int, issued_ns: int) -> None:
        """The pool's facts say it."""

    def answered(self, answer: Answer) -> None:
        self.failed += bool(answer.failure)
        self.done_ns.append(answer.done_ns)
        self.reads_ns[answer.sample_id] = list(answer.stamps_ns)

    def ended(self, reason: str = "") -> None:
        assert not reason, reason
        self.is_over = True


def _run(
    where: Address, path: str, plan: list[Query], limits: Limits, connections: int
) -> tuple[Heard, dict[str, Any]]:
    clock, heard = RealClock(), Heard()
    pool = Pool(clock, where, _unread, 1, limits)
    fields = {"prompt": "why is the sky blue?", "stream": True, "max_tokens": STREAM_TOKENS}
    body = json.dumps(fields).encode()
    try:
        pool.prepare({0: request(where, path, body)})
        pool.warm(connections)
        heard.start_ns = pool.dispatch(plan, Window(), heard)
        while not heard.is_over:
            clock.wait(clock.now_ns() + 1_000_000_000)
        return heard, pool.facts() | {"failed": heard.failed}
    finally:
        pool.close()
        clock.close()


def _unread(exchange: Exchange) -> Answer:
    stamps = [moment_ns for moment_ns, _ in exchange.pieces]
    made = Answer(exchange.sample_id, exchange.issued_ns, exchange.end_ns, stamps_ns=stamps)
    made.failure = "" if exchange.ending == "whole" else exchange.ending
    return made


def _poisson(rate: float, count: int) -> list[Query]:
    offsets = np.cumsum(np.random.default_rng(1).exponential(1e9 / rate, count)).astype(int)
    return [Query(i, (QuerySample(i, 0),), At(int(at))) for i, at in enumerate(offsets)]


def _at_most(what: str, found: float, most: float) -> Row:
    return Row(what, f"{found:.1f}", "", "", f"at most {most:g}", bool(found <= most))


def _said(what: str, facts: dict[str, Any]) -> str:
    share = 100 * facts["scheduler_wait_s"] / facts["wall_s"]
    each_us = 1e6 * facts["cpu_s"] / facts["answers"]
    return (
        f"{what}: the worker was at work {facts['busy_percent']:.0f} % of the time, waited for a "
        f"processor {share:.1f} % of it, and used {each_us:.1f} us an answer; "
        f"{facts['failed']} failed"
    )


# ---- the others


def _limits(where: Address) -> Iterable[tuple[str, float]]:
    """Yield what programs in C reach that only count."""
    url = f"{where.root}/one"
    if shutil.which("wrk"):
        said = _output("wrk", "-t1", f"-c{CONNECTIONS}", "-d4s", url)
        yield "wrk", float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])  # type: ignore[index]
    if shutil.which("h2load"):
        said = _output("h2load", "--h1", f"-c{CONNECTIONS}", f"-n{ANSWERS}", url)
        yield "h2load", float(re.search(r", ([\d.]+) req/s", said)[1])  # type: ignore[index]


def _peers(where: Address) -> Iterable[tuple[str, float]]:
    """Yield what Python's clients reach, those that are installed."""
    python = os.environ.get("SERVED_PEERS", sys.executable)
    for name in PEERS:
        words = (name, f"{where.root}/one/v1/completions", str(CONNECTIONS), str(PEER_ANSWERS))
        command = [python, "-m", "tests.bench.served_peer", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode == 0:
            yield name, float(json.loads(done.stdout.strip().splitlines()[-1])["per_s"])


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
