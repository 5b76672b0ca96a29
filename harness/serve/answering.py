"""How does an answer travel? Whole, or as server-sent events: a chunk for every step of the engine,
sent as it comes.

The head of a stream goes out with the first tokens, so that what the engine refuses still has a
status of its own. A client that leaves is noticed at once, and its rows are free at the next step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from harness.kernel.errors import first_line
from harness.kernel.process.streams import tell
from harness.serve.desk import Gone, Job
from harness.serve.refusals import Refusal
from harness.serve.telling.choice import Choice, Piece
from harness.serve.telling.shapes import Json, Shape

_DONE = b"data: [DONE]\n\n"
_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
_encode = msgspec.json.Encoder().encode
Steps = list[tuple[Choice, Piece]]


class JsonAnswer:
    """A JSON object as a response."""

    def __init__(self, value: Any, status: int = 200, headers: dict[str, str] | None = None):
        self._body, self._status = _encode(value), status
        self._headers = {"content-type": "application/json", **(headers or {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = {"content-length": str(len(self._body))}
        await send(_start(self._status, self._headers | length))
        await send({"type": "http.response.body", "body": self._body})


class Answer:
    """The answers of a job as a response; its metrics are in the last object."""

    def __init__(
        self, job: Job, shape: Shape, headers: dict[str, str], count: Callable[[int], None]
    ) -> None:
        self._job, self._shape, self._headers, self._count = job, shape, headers, count
        self._is_begun = False  # the head of a stream is out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watcher = asyncio.create_task(_notice_leaving(receive, self._job.give_up))
        send_all = self._stream if self._shape.asked.is_stream else self._whole
        try:
            await send_all(scope, receive, send)
        except Gone:
            pass
        except Exception as fault:
            refusal = fault if isinstance(fault, Refusal) else unexpected(fault)
            await self._refuse(refusal, scope, receive, send)
        finally:
            watcher.cancel()
            self._job.close()

    async def _whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._job.steps()) as steps:
            async for pieces in steps:
                self._note(pieces)
        told = self._shape.whole(list(self._job.choices.values())) | self._metrics()
        await JsonAnswer(told, headers=self._headers)(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        interval = int(self._shape.asked.fields["stream_interval"])
        held = _Held(interval)
        async with aclosing(self._job.steps()) as steps:
            async for pieces in steps:
                self._note(pieces)
                told = [self._shape.chunk(*one) for one in held.due(pieces)]
                if not told:
                    continue
                if not self._is_begun:
                    self._is_begun = True
                    await send(_start(200, self._headers | _STREAM))
                body = b"".join(map(_event, told))
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": self._end()})

    async def _refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        """Say why there is no answer, or no more of it."""
        self._count(refusal.status)
        if not self._is_begun:
            await refused(refusal, self._headers)(scope, receive, send)
            return
        await send({"type": "http.response.body", "body": _event(refusal.body()) + _DONE})

    def _end(self) -> bytes:
        """Return what follows the last piece."""
        if not self._shape.asked.is_usage_told:
            return _DONE
        last = self._shape.last(list(self._job.choices.values())) | self._metrics()
        return _event(last) + _DONE

    def _note(self, pieces: Steps) -> None:
        self._job.heard(sum(len(piece.ids) for _, piece in pieces))

    def _metrics(self) -> Json:
        """Return vLLM's figures of one request, in milliseconds."""
        job = self._job
        first_ms = (job.first_ns - job.begun_ns) / 1e6
        told = {"queue_time_ms": max(job.queue_ns, 0) / 1e6, "time_to_first_token_ms": first_ms}
        return {"metrics": told}


class _Held:
    """Pieces that wait until there are `interval` tokens of an answer (`stream_interval`). The
    first and the last one do not wait.
    """

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._pieces: dict[int, Piece] = {}

    def due(self, pieces: Steps) -> Iterable[tuple[Choice, Piece]]:
        if self._interval == 1:
            return pieces
        return [pair for choice, piece in pieces if (pair := self._due(choice, piece))]

    def _due(self, choice: Choice, piece: Piece) -> tuple[Choice, Piece] | None:
        before = self._pieces.pop(choice.index, None)
        if before is not None:
            ids, scored = [*before.ids, *piece.ids], [*before.scored, *piece.scored]
            piece = replace(piece, text=before.text + piece.text, ids=ids, scored=scored)
        is_due = not choice.is_opened or piece.finish or len(piece.ids) >= self._interval
        if is_due:
            return choice, piece
        self._pieces[choice.index] = piece
        return None


def refused(refusal: Refusal, headers: dict[str, str] | None = None) -> JsonAnswer:
    """Return the response that says why there is no answer."""
    return JsonAnswer(refusal.body(), refusal.status, {**(headers or {}), **refusal.headers})


def unexpected(fault: Exception) -> Refusal:
    """Tell whoever runs the server of a fault of ours; return what the client is told."""
    tell(f"error: unexpected {type(fault).__name__}: {first_line(fault)}. This is a bug.")
    return Refusal("something unexpected failed; the server's log says what.", status=500)


async def _notice_leaving(receive: Receive, act: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    act()


def _start(status: int, headers: dict[str, str]) -> dict[str, Any]:
    pairs = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def _event(value: Json) -> bytes:
    return b"data: " + _encode(value) + b"\n\n"
