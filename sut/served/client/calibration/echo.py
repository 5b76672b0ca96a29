"""How many answers can a worker take? Those of a server that does next to nothing: it says the same
16 tokens to every request, in one write or one by one.

`python -m sut.served.client.calibration.echo CHANNEL` tells its port through the channel and ends
with whoever holds the other end.
"""

from __future__ import annotations

import select
import socket
import sys

from harness.kernel.clock import shorten_timer_slack
from harness.kernel.process import children
from sut.border import channel
from sut.served.client import frames

TOKENS = 16
_PAUSE_S = 2e-4  # between two turns: what is read together costs a worker less
IN_ONE, APART = b"/one", b"/apart"
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"date: Fri, 01 Jan 2027 00:00:00 GMT\r\ntransfer-encoding: chunked\r\n\r\n"
)
_EVENT = (
    b'data: {"id":"cmpl-0123456789abcdef0123456789abcdef","object":"text_completion",'
    b'"created":1790000000,"model":"echo","choices":[{"index":0,"text":" word",'
    b'"logprobs":null,"finish_reason":%b,"stop_reason":null,"token_ids":[%d]}],"usage":null}\n\n'
)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


EVENTS = [
    _chunk(_EVENT % (b'"length"' if i == TOKENS - 1 else b"null", 100 + i)) for i in range(TOKENS)
]
LAST = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
WHOLE = _HEAD + b"".join(EVENTS) + LAST
PARTS = [_HEAD + EVENTS[0], *EVENTS[1:-1], EVENTS[-1] + LAST]


class Echo:
    """One thread and one epoll, as the worker itself. What comes apart goes out in turns, a part to
    each connection, so that a worker finds them one by one.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._door = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._door.setblocking(False)
        self._epoll.register(self._door.fileno(), select.EPOLLIN)
        self._open: dict[int, socket.socket] = {}
        self._under_way: dict[int, int] = {}  # how many parts went out
        self.port: int = self._door.getsockname()[1]

    def serve(self, until_readable: int) -> None:
        """Answer until that descriptor can be read."""
        door = self._door.fileno()
        self._epoll.register(until_readable, select.EPOLLIN)
        while True:
            for fd, _ in self._epoll.poll(0 if self._under_way else None):
                if fd == until_readable:
                    return
                if fd == door:
                    self._take()
                elif fd in self._open:
                    self._answer(fd)
            for fd in list(self._under_way):
                self._go_on(fd)
            if self._under_way:
                select.select((), (), (), _PAUSE_S)

    def _take(self) -> None:
        connection, _ = self._door.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        self._open[connection.fileno()] = connection
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _answer(self, fd: int) -> None:
        connection = self._open[fd]
        try:
            asked = connection.recv(1 << 16)
            if not asked:
                self._leave(fd)
            elif APART in asked[:64]:
                self._under_way[fd] = 0
            else:
                connection.send(WHOLE)
        except OSError:
            self._leave(fd)

    def _go_on(self, fd: int) -> None:
        sent = self._under_way.pop(fd)
        try:
            self._open[fd].send(PARTS[sent])
        except OSError:
            self._leave(fd)
            return
        if sent + 1 < len(PARTS):
            self._under_way[fd] = sent + 1

    def _leave(self, fd: int) -> None:
        self._epoll.unregister(fd)
        self._open.pop(fd).close()
        self._under_way.pop(fd, None)


def main() -> None:
    children.bind()
    held = channel.connect(sys.argv[1])
    shorten_timer_slack()
    echo = Echo()
    held.sendall(frames.frame(frames.READY, echo.port))
    echo.serve(held.fileno())


if __name__ == "__main__":
    main()
