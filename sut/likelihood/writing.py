"""How are files written while a GPU goes on with its work? By threads, a few at a time; without any
at once, as suits a CPU, which has no time to give away.

What has been written is told in the order in which it was asked for, so whoever hears of a text
knows that all that came before it is on the disk as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

Event = dict[str, Any]
_WAITING = 4  # files for each thread: a text's distributions take some megabytes


class Writer:
    """Writes with so many threads; as a context it ends when all that was asked for is written,
    whatever else goes wrong.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads) if threads else None
        self._most = _WAITING * threads
        self._asked: deque[tuple[Future[None], Event | None]] = deque()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def soon(self, write: Callable[..., None], *given: Any, event: Event | None = None) -> None:
        """Write a file; `event` says that it and all before it are there."""
        if self._pool is not None:
            self._asked.append((self._pool.submit(write, *given), event))
            return
        write(*given)
        written: Future[None] = Future()
        written.set_result(None)
        self._asked.append((written, event))

    def told(self, rest: bool = False) -> Iterator[Event]:
        """Yield the events of what is there; wait where too much is asked for, or for the `rest`.
        Raises what a write raised.
        """
        most = 0 if rest else self._most
        while self._asked and (self._asked[0][0].done() or len(self._asked) > most):
            written, event = self._asked.popleft()
            written.result()
            if event is not None:
                yield event
