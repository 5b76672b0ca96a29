"""How is a page made that takes long, beside the server and without holding up its end?

On a daemon thread: a comparison of millions of samples takes seconds, and Ctrl-C does not wait for
it. Nothing is lost with it, since nothing is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


async def apart(work: Callable[[], T]) -> T:
    """Return what `work` returns, on a thread of its own. Raises what it raises."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def deliver(give: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the server has ended meanwhile
            loop.call_soon_threadsafe(lambda: None if outcome.done() else give())

    def run() -> None:
        try:
            made = work()
        except Exception as fault:
            error = fault  # the name of an except clause is gone after it
            deliver(lambda: outcome.set_exception(error))
        else:
            deliver(lambda: outcome.set_result(made))

    Thread(target=run, daemon=True, name="page").start()
    return await outcome
