"""How does a server reach the engine that answers its requests? Through one socket to a process
that holds the model (`sut.serving.child`).

    engine = Engine(Options(path="/models/smollm2", variant="int8"), log_file)   waits for the model
    engine.info                                                what is served: context, eos_ids, ...

    engine.attach(loop, hear, lost)      in an asyncio loop: hear(event) for each event, as it comes
    engine.submit(Request(id=7, prompt_ids=[1, 2, 3], max_tokens=64))
    engine.cancel(7)
    engine.close()

    while ...: for event in engine.read(): ...         without a loop: whenever `fd` is readable

For a request come, in this order: `Prompt` where its log-probabilities were asked for, one `Tokens`
for each step, `Done`; or `Refused` and nothing else. Events of one step come in one read, so that a
loop hears them together. Nothing here blocks but the start and the end: what the socket does not
take at once is kept, and goes as soon as it can.

One thread: a loop's own, or the only one.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.kernel.errors import BY_NAME, HarnessError, RunBroke, SetupFailed
from harness.kernel import children
from harness.kernel.machine import waits
from sut.border import channel
from sut.border.words import Words
from sut.serving import messages
from sut.serving.messages import Cancel, Event, Failed, Frames, Info, Message, Options, Request
from sut.serving.messages import State

RECEIVE_BYTES = 1 << 16
_SEE = "Find out why"

Hear = Callable[[Event], None]
Lost = Callable[[HarnessError], None]


class Engine:
    """A model in a process of its own, that answers requests as they come.

    Its output goes to `log_file` in the end (`sut.border.words`); `env` is set for it alone, before
    anything is imported there (thread counts: `sut.border.threads.environment()`). Raises what
    loading the model raises: BadInput, SetupFailed.
    """

    info: Info
    state: State  # how full it is, as the last read said
    fd: int  # readable: there is something to `read`

    def __init__(
        self, options: Options, log_file: Path, env: Mapping[str, str] | None = None
    ) -> None: ...

    @property
    def pid(self) -> int:
        """Of the process that holds the model: whose memory counts."""
        ...

    def submit(self, request: Request) -> None:
        """Ask for an answer. Never blocks, never raises: `Refused` tells what is wrong with it."""

    def cancel(self, request_id: int) -> None:
        """Give a request up. It is done (`cancelled`) at the next step; one that is over already is
        nobody's concern.
        """

    def read(self) -> list[Event]:
        """Return what came, which may be nothing; `State` is not among it (see `state`). Raises
        RunBroke once the process has died: no request that is open will be answered.
        """
        ...

    @property
    def open_requests(self) -> int:
        """How many have been submitted and are not done."""
        ...

    def attach(self, loop: asyncio.AbstractEventLoop, hear: Hear, lost: Lost) -> None:
        """Call `hear` on the loop for each event from now on, and `lost` once if the process dies."""

    def close(self) -> None:
        """End the process; what is open is not answered. May be called twice."""
