"""Referee and player do not share a process: any SUT, run in a child and reached through one
socket.

It keeps the driver's clock free of the model's interpreter lock, puts the stamps out of the SUT's
reach, makes memory per variant clean, and lets the run survive a SUT that crashes or is killed for
memory. The socket is read on the driver's own thread, inside `clock.wait`: a reader thread would
add a second wake-up to every event.
"""

from __future__ import annotations

import json
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.kernel import children
from harness.kernel.clock import FAR_FUTURE_NS
from harness.kernel.errors import BY_NAME, HarnessError, RunBroke, SetupFailed
from harness.kernel.protocols import Clock, Sink
from harness.kernel.types import MemoryUse, Query, Sample, SutFacts
from sut.border import channel, wire

_CLOSE_TIMEOUT_S = 5.0
_RETRY_NS = 1_000_000
_ANSWER_TIMEOUT_S = 120.0  # after a run; loading may take as long as it takes
_SCORING_TIMEOUT_S = 900.0  # a large model on a slow processor needs minutes for a few answers


class Isolated:
    """`factory` ("module:Class") is built in the child with `options`; its output goes to
    `log_file`.

    `env` is set for the child only, before anything is imported there (thread counts, OpenMP's wait
    policy). Raises SetupFailed if the child dies while starting or loading, RunBroke if it dies
    later.
    """

    def __init__(
        self,
        clock: Clock,
        factory: str,
        options: Mapping[str, Any],
        log_file: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = factory
        self._clock, self._log_file = clock, log_file
        self._reader = wire.FrameReader()
        self._replies: list[dict[str, Any]] = []
        self._sink: Sink | None = None
        self._hear: Callable[[bytes], None] | None = None
        self._epoch = 0
        self._running = False
        self._backlog = bytearray()
        offer = channel.offer()
        self._socket = offer.socket
        own = {**(env or {}), **offer.environment}
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                children.command("sut.border.child", offer.argument),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=children.variables(own),
                start_new_session=True,
                **offer.started,
            )
        try:
            self._socket = offer.accept(self._process)
        except ConnectionError:
            raise self._death() from None
        clock.watch(self._socket.fileno(), self._read)
        try:
            self._call("start", factory=factory, options=dict(options))
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def load(self, samples: Sequence[Sample], sink: Sink) -> None:
        self._running = False
        self._epoch += 1
        self._sink = sink
        self._call(
            "load",
            epoch=self._epoch,
            samples=[[s.index, s.prompt, s.max_new_tokens] for s in samples],
        )
        self._running = True

    def issue(self, query: Query) -> None:
        self._send(wire.encode_query(self._epoch, query))

    def flush(self) -> None:
        self._send(wire.frame(wire.FLUSH))

    def tap(self, hear: Callable[[bytes], None] | None) -> None:
        """Call `hear` with all bytes from the child, as they come, before they are read; None: no
        more.
        """
        self._hear = hear

    def memory(self) -> MemoryUse:
        return MemoryUse(**self._call("memory", timeout_s=_ANSWER_TIMEOUT_S))

    def facts(self) -> SutFacts:
        facts: SutFacts = self._call("facts", timeout_s=_ANSWER_TIMEOUT_S)
        return facts

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        ids = [list(map(int, output)) for output in outputs]
        texts: list[str] | None = self._call("decode", timeout_s=_ANSWER_TIMEOUT_S, outputs=ids)
        return texts

    def evaluate(self, answers: Sequence[tuple[int, str]]) -> dict[str, Any] | None:
        """Return None if the SUT in there has no such method."""
        sums: dict[str, Any] | None = self._call(
            "evaluate", timeout_s=_SCORING_TIMEOUT_S, answers=list(answers)
        )
        return sums

    def ping_us(self, count: int = 300) -> float:
        """Return the median round trip of an empty message, heard through the clock as the driver
        hears events.
        """
        trips_ns = []
        for _ in range(count):
            self._pong = False
            start_ns = self._clock.now_ns()
            self._send(wire.frame(wire.PING))
            while not self._pong:
                self._clock.wait(FAR_FUTURE_NS)
            trips_ns.append(self._clock.now_ns() - start_ns)
        return sorted(trips_ns)[count // 2] / 1e3

    def close(self) -> None:
        if self._socket.fileno() < 0:
            return
        self._clock.unwatch(self._socket.fileno())
        self._backlog.clear()
        self._socket.close()  # the child sees the end of the stream and leaves
        try:
            self._process.wait(_CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    # ---- the socket

    def _send(self, data: bytes) -> None:
        """Send without waiting: what the socket does not take now follows as soon as the child
        reads again.
        """
        self._backlog += data
        if len(self._backlog) == len(data):
            self._flush_backlog()

    def _flush_backlog(self) -> None:
        try:
            while self._backlog:
                with memoryview(self._backlog) as view:
                    sent = channel.send_now(self._socket, view)
                del self._backlog[:sent]
        except BlockingIOError:
            self._clock.call_at(self._clock.now_ns() + _RETRY_NS, self._flush_backlog)
        except OSError:
            while True:
                self._read()  # hear what it still said; at the end this raises

    def _read(self) -> None:
        try:
            data = self._socket.recv(wire.RECEIVE_BYTES)
        except OSError:
            data = b""
        if not data:
            raise self._death()
        if self._hear is not None:
            self._hear(data)
        for kind, body in self._reader.feed(data):
            if kind == wire.EVENTS:
                if self._sink is not None:
                    self._clock.arrived(wire.sent_ns(body))
                    wire.replay(body, self._epoch, self._sink)
            elif kind == wire.PING:
                self._pong = True
            else:
                self._replies.append(json.loads(body))

    def _call(self, method: str, timeout_s: float | None = None, **arguments: Any) -> Any:
        """Ask the child and wait for its answer, outside the timed window."""
        self._send(wire.json_frame(wire.CALL, {"method": method, **arguments}))
        while not self._replies:
            readable, writable, _ = select.select(
                [self._socket], [self._socket] * bool(self._backlog), [], timeout_s
            )
            if writable:
                self._flush_backlog()
            if readable:
                self._read()
            if not readable and not writable:
                raise RunBroke("the SUT process", f"no answer to {method!r} within {timeout_s:g} s")
        reply = self._replies.pop(0)
        if "error" in reply:
            kind = BY_NAME.get(reply["error"], SetupFailed)
            raise kind(*reply["facts"])
        return reply["ok"]

    def _death(self) -> HarnessError:
        """Return what to say of a child that is gone."""
        self._clock.unwatch(self._socket.fileno())
        try:
            code = self._process.wait(_CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        how = f"ended with exit code {code}"
        if code < 0:
            name = signal.Signals(-code).name
            how = f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        last = _last_line(self._log_file)
        kind = RunBroke if self._running else SetupFailed
        return kind(
            "the SUT process",
            how + (f", last words: {last}" if last else ""),
            "",
            f"See {self._log_file.name}.",
        )


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""
