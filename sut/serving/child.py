"""The engine's side of the socket: `python -m sut.serving.child CHANNEL` loads one model and
answers requests until the server closes the socket, so no model outlives its server.

One thread: read what has come, take a step, send what it made as one frame.
"""

from __future__ import annotations

import gc
import socket
import sys
import traceback

from harness.kernel.clock import FAR_FUTURE_NS, SPIN_NS, RealClock
from harness.kernel.errors import HarnessError, first_line
from harness.kernel.process import children, streams
from sut.border import channel
from sut.model import faults
from sut.serving import checks, messages
from sut.serving.desk import Desk
from sut.serving.messages import Cancel, Failed, Frames, Options, Request, State, TooLarge

RECEIVE_BYTES = 1 << 16


class Child:
    def __init__(self, connection: socket.socket) -> None:
        self._socket, self._clock = connection, RealClock()
        self._frames = Frames()
        self._asked: list[messages.Asked] = []  # not looked at yet
        self._is_open = True
        self._desk: Desk | None = None
        self._told = State()
        self._clock.watch(connection.fileno(), self._read)

    def run(self) -> None:
        """Load what the first message says, then answer."""
        while self._is_open and not self._asked:
            self._clock.wait(FAR_FUTURE_NS)
        if not self._is_open:
            return
        options = self._asked.pop(0)
        assert isinstance(options, Options), "the server says first what to load"
        self._desk = self._load(options)
        if self._desk is not None:
            self._serve(self._desk)

    def _load(self, options: Options) -> Desk | None:
        from sut.serving.model import ServedModel

        try:
            with faults.loading(options.path):
                desk = Desk(ServedModel(self._clock, options), self._clock.now_ns)
        except HarnessError as error:
            if error.__cause__ is not None:
                traceback.print_exception(error.__cause__)
            self._socket.sendall(messages.frame(Failed(type(error).__name__, [*error.facts])))
            return None
        gc.collect()
        gc.freeze()  # what the libraries hold is looked at no more
        self._socket.sendall(messages.frame(desk.info))
        return desk

    def _serve(self, desk: Desk) -> None:
        while self._is_open:
            self._clock.wait(0 if desk.busy or self._asked else FAR_FUTURE_NS)
            self._take_in(desk)
            if desk.busy:
                with faults.running("a decode step"):
                    desk.step()
            if self._send(desk) and not desk.busy:
                self._linger()

    def _take_in(self, desk: Desk) -> None:
        for message in self._asked:
            if isinstance(message, Request):
                desk.ask(message)
            elif isinstance(message, Cancel):
                desk.cancel(message.id)
            elif isinstance(message, TooLarge):
                desk.refuse(message.id, checks.TOO_LARGE)
        self._asked.clear()

    def _send(self, desk: Desk) -> bool:
        """Send the step's events and how full the engine is, if there is anything new."""
        events, state = desk.take(), desk.state()
        if not events and state == self._told:
            return False
        self._told = state
        self._socket.sendall(messages.frame([*events, state]))
        return True

    def _linger(self) -> None:
        """Look out for the next request before falling asleep, for as long as waking up takes."""
        until_ns = self._clock.now_ns() + SPIN_NS
        while not self._asked and self._clock.wait(0) < until_ns:
            pass

    def _read(self) -> None:
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self._is_open = False
        for body in self._frames.feed(data):
            self._asked += messages.asked(body)


def main() -> None:
    children.bind()
    streams.protect()
    try:
        Child(channel.connect(sys.argv[1])).run()
    except BrokenPipeError:  # whoever listened is gone
        return
    except HarnessError as error:
        traceback.print_exc()
        streams.tell(str(error))  # the last words
        sys.exit(error.exit_code)
    except Exception as error:
        traceback.print_exc()
        streams.tell(f"{type(error).__name__}: {first_line(error)}")
        sys.exit(HarnessError.exit_code)


if __name__ == "__main__":
    main()
