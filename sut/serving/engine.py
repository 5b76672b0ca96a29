"""How does a server reach the engine that answers its requests? Through one socket to a process
that holds the model (`sut.serving.child`).

    engine = Engine(Options(path="/models/smollm2", variant="int8"), log_file)   waits for the model
    engine.info                                                what is served: context, eos_ids, ...

    engine.attach(loop, hear, lost)      in an asyncio loop: hear(event) for each event, as it comes
    engine.submit(Request(id=7, prompt_ids=[1, 2, 3], max_tokens=64))
    engine.cancel(7)
    engine.close()

    for event in engine.read(): ...                    without a loop: whenever `fd` is readable

For a request come, in this order: `Prompt` where its log-probabilities were asked for, one `Tokens`
for each step, `Done`; or `Refused` and nothing else. Events of one step come in one read, so that a
loop hears them together. Nothing here blocks but the start and the end: what the socket does not
take at once is kept, and goes as soon as it can.

One thread: a loop's own, or the only one.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.kernel.errors import BY_NAME, HarnessError, RunBroke, SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process import children
from sut.border import channel
from sut.border.words import Words
from sut.serving import messages
from sut.serving.messages import (
    Cancel,
    Done,
    Event,
    Failed,
    Frames,
    Info,
    Message,
    Options,
    Refused,
    Request,
    State,
    TooLarge,
)

RECEIVE_BYTES = 1 << 16
_WHO = "the engine's process"

Hear = Callable[[Event], None]
Lost = Callable[[HarnessError], None]


class Engine:
    """A model in a process of its own that answers requests as they come.

    Its output goes to `log_file` in the end (`sut.border.words`); `env` is set for it alone, before
    anything is imported there (`sut.border.threads.environment()`: its threads). Raises what
    loading the model raises: BadInput, SetupFailed.
    """

    info: Info
    state: State  # how full it is, as the last read said
    fd: int  # readable: there is something to `read`

    def __init__(
        self, options: Options, log_file: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.state = State()
        self._words, self._frames = Words(log_file), Frames()
        self._unsent = bytearray()
        self._open: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writes = False
        self._lost: HarnessError | None = None
        offer = channel.offer()
        self._socket: socket.socket = offer.socket
        self._process = children.Child(
            "sut.serving.child",
            offer.argument,
            env={**(env or {}), **offer.environment},
            stdout=self._words.file,
            stderr=self._words.file,
            **offer.started,
        )
        try:
            self._socket = offer.accept(self._process)
            self.info = self._load(options)
        except waits.Overdue as overdue:
            self.close()
            raise SetupFailed(_WHO, str(overdue), "", self._see_log()) from None
        except ConnectionError:
            raise self._death(SetupFailed) from None
        except BaseException:
            self.close()
            raise
        self.fd = self._socket.fileno()

    @property
    def pid(self) -> int:
        """Of the process that holds the model: whose memory counts."""
        return self._process.pid

    @property
    def open_requests(self) -> int:
        """How many have been submitted and are not done."""
        return len(self._open)

    def submit(self, request: Request) -> None:
        """Ask for an answer. Never blocks, never raises: `Refused` tells what is wrong with it, and
        a process that has died says so to whoever reads.
        """
        self._open.add(request.id)
        try:
            self._send(request)
        except OverflowError:
            self._send(TooLarge(request.id))

    def cancel(self, request_id: int) -> None:
        """Give a request up. It is done (`cancelled`) at the next step; one that is over already is
        nobody's concern.
        """
        if request_id in self._open:
            self._send(Cancel(request_id))

    def read(self) -> list[Event]:
        """Return what came, which may be nothing; `State` is not among it (see `state`). Raises
        RunBroke once the process has died: no request that is open will be answered.
        """
        if self._lost is not None:
            raise self._lost
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._lost = self._death(RunBroke)
            raise self._lost
        heard: list[Event] = []
        for body in self._frames.feed(data):
            for message in messages.events(body):
                if isinstance(message, State):
                    self.state = message
                else:
                    heard.append(message)
        self._open -= {event.id for event in heard if isinstance(event, Done | Refused)}
        self.flush()
        return heard

    def flush(self) -> None:
        """Send what the socket did not take so far. `attach` and `read` see to it."""
        try:
            while self._unsent:
                with memoryview(self._unsent) as view:
                    sent = self._socket.send(view)
                del self._unsent[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()  # the next read says why
        self._watch_for_room()

    def attach(self, loop: asyncio.AbstractEventLoop, hear: Hear, lost: Lost) -> None:
        """Call `hear` on the loop for each event from now on, and `lost` once if the process
        dies.
        """

        def read() -> None:
            try:
                events = self.read()
            except RunBroke as error:
                lost(error)
                return
            for event in events:
                hear(event)

        self._loop = loop
        loop.add_reader(self.fd, read)
        self._watch_for_room()

    def detach(self) -> None:
        """Leave the loop: nobody hears of events until they are read."""
        loop, self._loop, self._writes = self._loop, None, False
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self.fd)
            loop.remove_writer(self.fd)

    def close(self) -> None:
        """End the process; what is open is not answered. May be called twice."""
        if self._socket.fileno() < 0:
            return
        self.detach()
        self._socket.close()  # the child sees the end of the stream and leaves
        waits.leave(self._process, waits.LEAVING_S if self._is_loaded else 0.0)
        self._words.close()

    # ---- the socket

    def _send(self, message: Message) -> None:
        self._unsent += messages.frame([message])
        self.flush()

    def _watch_for_room(self) -> None:
        """Have the loop say when the socket takes more, while there is more."""
        wanted = bool(self._unsent)
        if self._loop is None or wanted == self._writes or self._socket.fileno() < 0:
            return
        self._writes = wanted
        if wanted:
            self._loop.add_writer(self.fd, self.flush)
        else:
            self._loop.remove_writer(self.fd)

    # ---- start and end

    @property
    def _is_loaded(self) -> bool:
        return hasattr(self, "info")

    def _load(self, options: Options) -> Info:
        """Say what to load, and wait until that is done. Raises Overdue, ConnectionError."""
        self._socket.sendall(messages.frame([options]))
        self._socket.settimeout(waits.Wait.pause_s)
        wait = waits.Wait(self._process.pid, waits.LOADING)
        while True:
            try:
                data = self._socket.recv(RECEIVE_BYTES)
            except TimeoutError:
                wait.look()
                continue
            if not data:
                raise ConnectionError("the child is gone")
            for body in self._frames.feed(data):
                self._socket.setblocking(False)
                return self._loaded(messages.loaded(body))

    def _loaded(self, said: Info | Failed) -> Info:
        if isinstance(said, Failed):
            raise BY_NAME.get(said.error, SetupFailed)(*said.facts)
        return said

    def _death(self, kind: type[HarnessError]) -> HarnessError:
        """Return what to say of a process that is gone."""
        self.detach()
        how = waits.ending(waits.leave(self._process))
        last = self._words.last_line()
        self._socket.close()
        self._words.close()
        found = how + (f", last words: {last}" if last else "")
        return kind(_WHO, found, "", self._see_log())

    def _see_log(self) -> str:
        return f"See {self._words.target.name}."
