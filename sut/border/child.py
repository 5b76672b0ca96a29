"""The player's side of the border: `python -m sut.border.child CHANNEL` runs one SUT and answers
the driver over a socket.

One thread: it waits for queries, lets the SUT work (as timers on its clock), sends the events of a
step as one message. It ends when the driver closes the socket, so no model outlives its run.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import traceback
from dataclasses import asdict
from typing import Any

from harness.kernel.clock import FAR_FUTURE_NS, SPIN_NS, RealClock
from harness.kernel.errors import HarnessError
from harness.kernel.plugins import make_sut
from harness.kernel.process import children, streams
from harness.kernel.protocols import SUT, Chooser, Drawer, Evaluator, SelfChecked
from sut.border import channel, wire


class Child:
    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._clock = RealClock()
        self._reader = wire.FrameReader()
        self._events = wire.EventBuffer(0, self._clock.now_ns)
        self._epoch = 0
        self._sut: SUT | None = None
        self._open = True
        self._clock.watch(connection.fileno(), self._read)

    def run(self) -> None:
        while self._open:
            self._clock.wait(FAR_FUTURE_NS)
            while data := self._events.take():
                self._socket.sendall(data)
                self._linger()
        if self._sut is not None:
            self._sut.close()

    def _linger(self) -> None:
        """Look out for the next query before falling asleep, for as long as waking up takes: it
        often follows at once.
        """
        until_ns = self._clock.now_ns() + SPIN_NS
        while self._clock.wait(0) < until_ns and not self._events.pending:
            pass

    def _read(self) -> None:
        data = self._socket.recv(wire.RECEIVE_BYTES)
        if not data:
            self._open = False
        for kind, body in self._reader.feed(data):
            if kind == wire.ISSUE:
                epoch, query = wire.decode_query(body)
                if epoch == self._epoch and self._sut is not None:
                    self._sut.issue(query)
            elif kind == wire.FLUSH and self._sut is not None:
                self._sut.flush()
            elif kind == wire.PING:
                self._socket.sendall(wire.frame(wire.PING))
            elif kind == wire.CALL:
                self._socket.sendall(wire.json_frame(wire.REPLY, self._answer(json.loads(body))))

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": getattr(self, "_call_" + call.pop("method"))(**call)}
        except HarnessError as error:
            if error.__cause__ is not None:
                traceback.print_exception(error.__cause__)
            return {"error": type(error).__name__, "facts": error.facts}
        # anything a library raises while loading: the driver reports it, the log has it all
        except Exception as error:
            traceback.print_exc()
            return {
                "error": "SetupFailed",
                "facts": ("the SUT process", f"{type(error).__name__}: {error}", "", ""),
            }

    def _call_start(self, factory: str, options: dict[str, Any], cores: list[int]) -> None:
        if cores:  # before a library starts threads, which inherit it
            os.sched_setaffinity(0, cores)
        self._sut = make_sut(factory, self._clock, options)

    def _call_load(self, epoch: int, samples: list[list[Any]]) -> None:
        self._epoch, self._events = epoch, wire.EventBuffer(epoch, self._clock.now_ns)
        loaded = [wire.sample(told) for told in samples]
        self._loaded().load(loaded, self._events)

    def _call_memory(self) -> dict[str, Any]:
        return asdict(self._loaded().memory())

    def _call_facts(self) -> dict[str, Any]:
        return self._loaded().facts()

    def _call_decode(self, outputs: list[list[int]]) -> list[str] | None:
        return self._loaded().decode(outputs)

    def _call_evaluate(self, answers: list[tuple[int, str]]) -> dict[str, Any] | None:
        sut = self._loaded()
        return sut.evaluate(answers) if isinstance(sut, Evaluator) else None

    def _call_choose(self, asked: list[tuple[int, list[str]]]) -> list[Any] | None:
        sut = self._loaded()
        return sut.choose(asked) if isinstance(sut, Chooser) else None

    def _call_drawn(self) -> list[tuple[int, float, int]] | None:
        sut = self._loaded()
        return sut.drawn() if isinstance(sut, Drawer) else None

    def _call_self_check(self) -> dict[str, Any] | None:
        sut = self._loaded()
        return sut.self_check() if isinstance(sut, SelfChecked) else None

    def _loaded(self) -> SUT:
        assert self._sut is not None, "the driver calls start first"
        return self._sut


def main() -> None:
    children.bind()
    streams.protect()  # a full disk must not break a library that prints
    Child(channel.connect(sys.argv[1])).run()


if __name__ == "__main__":
    main()
