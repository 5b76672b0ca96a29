"""Referee and player do not share a process: any SUT, run in a child and reached through one
socket.

It keeps the driver's clock free of the model's interpreter lock, puts the stamps out of the SUT's
reach, makes memory per variant clean, and lets the run survive a SUT that crashes or is killed for
memory. The socket is read on the driver's own thread, inside `clock.wait`: a reader thread would
add a second wake-up to every event.
"""

from __future__ import annotations

import json
import selectors
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness.kernel.errors import BY_NAME, HarnessError, RunBroke, SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process import children
from harness.kernel.protocols import Clock, Hear, Sink
from harness.kernel.types import MemoryUse, Query, Sample, SutFacts
from sut.border import channel, wire
from sut.border.words import Words

_RETRY_NS = 1_000_000
_DOING = {  # what it is asked for, in words
    "start": "starting",
    "load": "loading",
    "memory": "asked for its memory",
    "facts": "asked what it is",
    "decode": "decoding its answers",
    "self_check": "asked what its decode steps took",
    "evaluate": "scoring the reference answers",
    "choose": "comparing choices",
    "drawn": "asked how likely its answers were",
}


class Isolated:
    """`factory` ("module:Class") is built in the child with `options`; its output goes to
    `log_file` in the end (`Words`).

    `env` is set for the child only, before anything is imported there (thread counts, OpenMP's wait
    policy). Raises SetupFailed if the child dies, stops or falls silent while starting or loading,
    RunBroke later (`harness.kernel.machine.waits` says when).
    """

    def __init__(
        self,
        clock: Clock,
        factory: str,
        options: Mapping[str, Any],
        log_file: Path,
        env: Mapping[str, str] | None = None,
        *,
        who: str = "the SUT process",
        cores: Sequence[int] = (),
        waits_for_start: bool = True,
    ) -> None:
        """Start it on these cores (any if none are given). `who` is what errors call it. Where it
        is not waited for, `answer` has to be called before anything else.
        """
        self.name, self._who = factory, who
        self._clock, self._words = clock, Words(log_file)
        self._reader = wire.FrameReader()
        self._replies: list[dict[str, Any]] = []
        self._sink: Sink | None = None
        self._tapped: Hear | None = None
        self._epoch = 0
        self._running = False
        self._given_up: HarnessError | None = None  # it is not asked again
        self._heard = True
        self._asked: tuple[str, waits.Wait] | None = (
            None  # at work on it, it would not see us leave
        )
        self._late = 0  # answers still to come that nobody waits for any more
        self._backlog = bytearray()
        offer = channel.offer()
        self._socket = offer.socket
        own = {**(env or {}), **offer.environment}
        self._process = children.Child(
            "sut.border.child",
            offer.argument,
            env=own,
            stdout=self._words.file,
            stderr=self._words.file,
            **offer.started,
        )
        try:
            self._socket = offer.accept(self._process)
        except ConnectionError:
            death = self._death()
            self._words.close()
            raise death from None
        except waits.Overdue as overdue:
            waits.leave(self._process, 0.0)
            self._words.close()
            raise self._gave_up(str(overdue), _DOING["start"]) from None
        clock.watch(self._socket.fileno(), self._read)
        try:
            made = {"factory": factory, "options": dict(options), "cores": list(cores)}
            self.ask("start", waits.STARTING, **made)
            if waits_for_start:
                self._awaited()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_there(self) -> bool:
        """Does it run, and was it never waited for in vain?"""
        return self._given_up is None and self._process.poll() is None

    def load(self, samples: Sequence[Sample], sink: Sink) -> None:
        self.ask_to_load(samples, sink)
        self._awaited()
        self.go()

    def ask_to_load(self, samples: Sequence[Sample], sink: Sink) -> None:
        """Begin a load; `go` is to be called once it has answered."""
        self._running = False
        self._epoch += 1
        self._sink = sink
        told = [wire.told(sample) for sample in samples]
        self.ask("load", waits.LOADING, epoch=self._epoch, samples=told)

    def go(self) -> None:
        """Look from now on whether it is stopped; what breaks now breaks the run."""
        self._running = True
        self._look_again(self._epoch, waits.Stops(self.pid, self._clock.now_ns()))

    def issue(self, query: Query) -> None:
        self._send(wire.encode_query(self._epoch, query))

    def flush(self) -> None:
        self._send(wire.frame(wire.FLUSH))

    def tap(self, hear: Hear | None) -> None:
        """Call `hear` with all bytes from the child, as they come, before they are read; None: no
        more.
        """
        self._tapped = hear

    def memory(self) -> MemoryUse:
        return MemoryUse(**self._call("memory", waits.ANSWERING))

    def facts(self) -> SutFacts:
        facts: SutFacts = self._call("facts", waits.ANSWERING)
        return facts

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        ids = [list(map(int, output)) for output in outputs]
        texts: list[str] | None = self._call("decode", waits.ANSWERING, outputs=ids)
        return texts

    def evaluate(self, answers: Sequence[tuple[int, str]]) -> dict[str, Any] | None:
        """Return None if the SUT in there has no such method."""
        sums: dict[str, Any] | None = self._call(
            "evaluate", waits.EVALUATING, answers=list(answers)
        )
        return sums

    def choose(
        self, asked: Sequence[tuple[int, Sequence[str]]]
    ) -> list[tuple[int, list[float], list[int]]] | None:
        """Return None if the SUT in there has no such method."""
        self.ask_to_choose(asked)
        return rows_of_choices(self._awaited())

    def ask_to_choose(self, asked: Sequence[tuple[int, Sequence[str]]]) -> None:
        """Ask how likely choices are; `answers` waits for what it says."""
        self.ask("choose", waits.EVALUATING, asked=[[index, list(own)] for index, own in asked])

    def drawn(self) -> list[tuple[int, float, int]] | None:
        """Return None if the SUT in there has no such method."""
        rows: list[tuple[int, float, int]] | None = self._call("drawn", waits.ANSWERING)
        return rows

    def self_check(self) -> dict[str, Any] | None:
        """Return None if the SUT in there has no such method."""
        found: dict[str, Any] | None = self._call("self_check", waits.ANSWERING)
        return found

    def ping_us(self, count: int = 300) -> float:
        """Return the median round trip of an empty message, heard through the clock as the driver
        hears events.
        """
        trips_ns, wait = [], waits.Wait(self.pid, waits.ANSWERING)
        for _ in range(count):
            self._pong = False
            start_ns = self._clock.now_ns()
            self._send(wire.frame(wire.PING))
            while not self._pong:
                self._await_pong(wait)
            trips_ns.append(self._clock.now_ns() - start_ns)
        return sorted(trips_ns)[count // 2] / 1e3

    def keep_log(self) -> None:
        """Copy what it has written so far into its log."""
        self._words.keep()

    def hang_up(self) -> None:
        """Close the socket: the process sees the end of the stream and leaves."""
        if self._socket.fileno() < 0:
            return
        self._clock.unwatch(self._socket.fileno())
        self._backlog.clear()
        self._socket.close()

    def close(self) -> None:
        """Hang up, and wait for the end of the process."""
        if self._words.file.closed:
            return
        self.hang_up()
        at_once = self._given_up is not None or self._asked is not None
        waits.leave(self._process, 0.0 if at_once else waits.LEAVING_S)
        self._words.close()

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
            channel.send_backlog(self._socket, self._backlog)
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
        if self._tapped is not None:
            self._tapped(data)
        self._heard = True
        for kind, body in self._reader.feed(data):
            if kind == wire.EVENTS:
                if self._sink is not None:
                    self._clock.arrived(wire.sent_ns(body))
                    wire.replay(body, self._epoch, self._sink)
            elif kind == wire.PING:
                self._pong = True
            elif self._late:
                self._late -= 1
            else:
                self._replies.append(json.loads(body))

    def ask(self, method: str, limit: waits.Limit, **arguments: Any) -> None:
        """Ask the child, outside the timed window. One that was waited for in vain is not asked
        again. An answer to an earlier question that nobody took is dropped.
        """
        if self._given_up is not None:
            raise self._given_up
        if self._asked is not None and not self._replies:
            self._late += 1
        self._replies.clear()
        self._asked = method, waits.Wait(self.pid, limit)
        self._send(wire.json_frame(wire.CALL, {"method": method, **arguments}))

    @property
    def has_answered(self) -> bool:
        return bool(self._replies)

    @property
    def wanted(self) -> channel.Wanted:
        """What is waited for while it is asked."""
        return channel.Wanted(self._socket, bool(self._backlog))

    def hear(self, ready: int) -> None:
        """Send what is left and read what has come (`ready`, events of `selectors`); look at the
        child where there is neither.
        """
        if ready & selectors.EVENT_WRITE:
            self._flush_backlog()
        if ready & selectors.EVENT_READ:
            self._read()
        if not ready and self._asked is not None:
            method, wait = self._asked
            self._look(_DOING[method], wait)

    def answer(self) -> Any:
        """Return what it has answered. Raises what it raised."""
        reply = self._replies.pop(0)
        self._asked = None
        if "error" in reply:
            self._words.keep()
            kind = BY_NAME.get(reply["error"], SetupFailed)
            raise kind(*reply["facts"])
        return reply["ok"]

    def _awaited(self) -> Any:
        (reply,) = answers([self])
        return reply

    def _call(self, method: str, limit: waits.Limit, **arguments: Any) -> Any:
        self.ask(method, limit, **arguments)
        return self._awaited()

    def _await_pong(self, wait: waits.Wait) -> None:
        until_ns = self._clock.now_ns() + int(wait.pause_s * 1e9)
        if self._clock.wait(until_ns) >= until_ns and not self._pong:
            self._look("answering an empty message", wait)

    def _look(self, doing: str, wait: waits.Wait) -> None:
        try:
            wait.look()
        except waits.Overdue as overdue:
            raise self._gave_up(str(overdue), doing) from None

    def _look_again(self, epoch: int, stops: waits.Stops) -> None:
        """Look every few seconds, on the driver's thread, whether a SUT of which nothing is heard
        is stopped: that it is slow, `harness.engine.timeouts` finds out. Raises RunBroke.
        """
        if epoch != self._epoch or self._socket.fileno() < 0:
            return
        now_ns = self._clock.now_ns()
        is_heard, self._heard = self._heard, False
        try:
            stops.look(now_ns, is_heard)
        except waits.Overdue as overdue:
            raise self._gave_up(str(overdue)) from None
        self._clock.call_at(now_ns + stops.LOOK_NS, partial(self._look_again, epoch, stops))

    def _gave_up(self, found: str, doing: str = "") -> HarnessError:
        kind = RunBroke if self._running else SetupFailed
        where = f"{self._who}, {doing}" if doing else self._who
        todo = f"Find out why ({self._words.target.name} may say); then run again."
        self._given_up = kind(where, found, "", todo)
        return self._given_up

    def _death(self) -> HarnessError:
        """Return what to say of a child that is gone."""
        self._clock.unwatch(self._socket.fileno())
        how = waits.ending(waits.leave(self._process))
        self._words.keep()
        last = self._words.last_line()
        kind = RunBroke if self._running else SetupFailed
        return kind(
            self._who,
            how + (f", last words: {last}" if last else ""),
            "",
            f"See {self._words.target.name}.",
        )


def rows_of_choices(told: Any) -> list[tuple[int, list[float], list[int]]] | None:
    """Return rows as `Chooser.choose` returns them, from what came over the channel."""
    return None if told is None else [(index, nll, tokens) for index, nll, tokens in told]


def answers(asked: Sequence[Isolated]) -> list[Any]:
    """Wait until all of them have answered what they were asked, side by side; the first that
    cannot ends the wait by its error.
    """
    found: dict[int, Any] = {}
    while True:
        for number, one in enumerate(asked):
            if number not in found and one.has_answered:
                found[number] = one.answer()
        waiting = [one for number, one in enumerate(asked) if number not in found]
        if not waiting:
            return [found[number] for number in range(len(asked))]
        ready = channel.wait_any([one.wanted for one in waiting], waits.Wait.pause_s)
        for one, events in zip(waiting, ready, strict=True):
            one.hear(events)
