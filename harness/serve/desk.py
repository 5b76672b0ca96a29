"""Who waits for which answer of the engine? A job is what one HTTP request asks for: one answer or
several, all of which are given up when the client leaves.

The engine tells its events on the loop's thread, those of a step together; a job wakes once for
them. Nobody is let in while `most_waiting` answers wait for a row of the engine already.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from itertools import count
from typing import Any, Protocol

from harness.kernel.clock import RealClock
from harness.kernel.errors import HarnessError
from harness.serve.asking.asked import Asked
from harness.serve.metrics import Metrics
from harness.serve.refusals import Refusal, busy
from harness.serve.telling.choice import Choice, Piece
from sut.serving.messages import Done, Event, Info, Prompt, Refused, Request, State, Tokens

now_ns: Callable[[], int] = RealClock.now_ns
Told = Prompt | Tokens | Done
_LONGEST_RETRY_S = 60
_USUAL_S = 1.0  # of an answer, before there was one
_SHARE = 0.1  # of the newest answer in the average


class Serving(Protocol):
    """What is needed of an engine (`sut.serving.engine.Engine`)."""

    info: Info
    state: State

    @property
    def open_requests(self) -> int: ...

    def submit(self, request: Request) -> None: ...

    def cancel(self, request_id: int) -> None: ...


class Gone(Exception):
    """The client has left."""


class Job:
    """The answers to one HTTP request. `steps` yields what came, until all answers have ended."""

    def __init__(self, desk: Desk, choices: Sequence[Choice]) -> None:
        self._desk = desk
        self.choices = {desk.number(): choice for choice in choices}
        self._open = set(self.choices)
        self._events: deque[Told | Exception] = deque()
        self._wake = asyncio.Event()
        self.begun_ns = now_ns()
        self.first_ns = self._last_ns = 0
        self.queue_ns = 0

    def put(self, event: Told | Exception) -> None:
        """Take what the engine tells."""
        self._events.append(event)
        self._wake.set()

    async def steps(self) -> AsyncGenerator[list[tuple[Choice, Piece]], None]:
        """Yield the pieces that came together. Raises Refusal, Gone."""
        while self._open:
            await self._wake.wait()
            self._wake.clear()
            pieces = list(self._pieces())
            if pieces:
                yield pieces

    def _pieces(self) -> Any:
        """Yield the pieces of the events so far: tokens together with the end that follows them."""
        held: dict[int, Tokens] = {}
        while self._events:
            event = self._events.popleft()
            if isinstance(event, Exception):
                raise event
            if event.id not in self._open:
                continue
            if isinstance(event, Prompt):
                self.choices[event.id].prompt_scored = event.scored
            elif isinstance(event, Tokens):
                if event.id in held:
                    yield self._piece(held.pop(event.id), None)
                held[event.id] = event
            else:
                yield self._piece(held.pop(event.id, Tokens(event.id, [])), event)
        for tokens in held.values():
            yield self._piece(tokens, None)

    def _piece(self, tokens: Tokens, done: Done | None) -> tuple[Choice, Piece]:
        if done is not None and done.end == "error":
            reason = "the model's logits are not finite (NaN or infinite)."
            raise Refusal(reason, status=500)
        choice = self.choices[tokens.id]
        piece = choice.take(tokens.ids, tokens.scored, None if done is None else done.end)
        if done is not None:
            self.queue_ns = max(self.queue_ns, done.queue_ns)
        if piece.finish is not None:
            self._finish(tokens.id, choice, is_cancelled=done is None)
        return choice, piece

    def _finish(self, number: int, choice: Choice, is_cancelled: bool) -> None:
        self._open.discard(number)
        if is_cancelled:  # a stop string: the engine would go on
            self._desk.engine.cancel(number)
        self._desk.note_end(self, choice)

    def heard(self, tokens: int) -> None:
        """Note that so many tokens came now: for the metrics alone."""
        at_ns = now_ns()
        metrics = self._desk.metrics
        if not self.first_ns:
            self.first_ns = at_ns
            metrics.first_s.add((at_ns - self.begun_ns) / 1e9)
        elif tokens:
            metrics.between_s.add((at_ns - self._last_ns) / 1e9)
        self._last_ns = at_ns
        metrics.generation_tokens += tokens

    def give_up(self) -> None:
        """Free what the engine holds for it, and end `steps`: the client has left."""
        self.put(Gone())

    def close(self) -> None:
        """Forget it; what is still open is given up."""
        for number in self._open:
            self._desk.engine.cancel(number)
            self._desk.metrics.finished["abort"] += 1
        self._desk.forget(self.choices)


class Desk:
    """All jobs of a server, and the engine that they wait for."""

    def __init__(self, engine: Serving, metrics: Metrics, most_waiting: int) -> None:
        self.engine, self.metrics = engine, metrics
        self._most_waiting = most_waiting
        self._numbers = count(1)
        self._jobs: dict[int, Job] = {}
        self._answer_s = _USUAL_S
        self.fault: HarnessError | None = None  # why the engine answers no more
        self.is_closing = False

    @property
    def waiting(self) -> int:
        """How many answers have no row of the engine yet; below 0: so many rows are free."""
        return self.engine.open_requests - self.engine.info.max_rows

    @property
    def open_answers(self) -> int:
        return len(self._jobs)

    def number(self) -> int:
        return next(self._numbers)

    def check_room(self) -> None:
        """Raise Refusal while the queue is full, or when the server takes no more."""
        if self.fault is not None:
            raise Refusal("the model's process has ended; start the server again.", status=503)
        if self.is_closing:
            raise busy("the server is stopping.", 1, 503)
        waiting = self.waiting
        if waiting < self._most_waiting:
            return
        self.metrics.rejected += 1
        reason = f"{waiting} answers wait already; at most {self._most_waiting} may (--max-queue)."
        raise busy(reason, self._retry_s(waiting))

    def _retry_s(self, waiting: int) -> int:
        """Return about when there will be room, in whole seconds."""
        ahead = waiting - self._most_waiting + 1
        seconds = math.ceil(ahead * self._answer_s / self.engine.info.max_rows)
        return min(max(seconds, 1), _LONGEST_RETRY_S)

    def begin(self, asked: Asked, choices: Sequence[Choice]) -> Job:
        """Hand the requests for these answers to the engine. Raises Refusal: others may have come
        first while the body did, or the engine may be gone.
        """
        self.check_room()
        job, info = Job(self, choices), self.engine.info
        requests = [request(asked, one, number, info) for number, one in job.choices.items()]
        for one in requests:
            self._jobs[one.id] = job
            self.engine.submit(one)
        self.metrics.prompt_tokens += sum(
            {id(one.prompt): len(one.prompt.ids) for one in choices}.values()
        )
        return job

    def hear(self, event: Event) -> None:
        """Take an event of the engine."""
        if isinstance(event, State) or (job := self._jobs.get(event.id)) is None:
            return
        if isinstance(event, Refused):
            job.put(Refusal(event.reason, event.parameter or None))
        else:
            job.put(event)

    def lost(self, error: HarnessError) -> None:
        """Tell everybody that the engine is gone."""
        self.fault = error
        for job in set(self._jobs.values()):
            job.put(Refusal("the model's process has ended.", status=500))

    def note_end(self, job: Job, choice: Choice) -> None:
        """Count an answer that has ended."""
        at_ns, tokens = now_ns(), len(choice.ids)
        seconds = (at_ns - job.begun_ns - max(job.queue_ns, 0)) / 1e9
        self._answer_s += _SHARE * (seconds - self._answer_s)
        self.metrics.finished[choice.finish or "error"] += 1
        self.metrics.whole_s.add((at_ns - job.begun_ns) / 1e9)
        self.metrics.queue_s.add(max(job.queue_ns, 0) / 1e9)
        if job.first_ns and tokens > 1:
            self.metrics.per_token_s.add((at_ns - job.first_ns) / 1e9 / (tokens - 1))

    def forget(self, choices: Mapping[int, Choice]) -> None:
        for number in choices:
            self._jobs.pop(number, None)


def request(asked: Asked, choice: Choice, number: int, info: Info) -> Request:
    """Return what the engine is asked for. Raises Refusal where prompt and answer do not fit."""
    fields, prompt_ids = asked.fields, choice.prompt.ids
    room = info.max_len - len(prompt_ids)
    limit = room if asked.max_tokens is None else asked.max_tokens
    if limit > room or (room < 1 and limit > 0) or room < 0:
        raise too_long(len(prompt_ids), asked.max_tokens, info.max_len)
    seed = fields["seed"]
    return Request(
        id=number,
        prompt_ids=prompt_ids,
        max_tokens=limit,
        min_tokens=min(fields["min_tokens"], limit),
        ignore_eos=fields["ignore_eos"],
        stop_token_ids=list(fields["stop_token_ids"]),
        temperature=fields["temperature"],
        top_p=fields["top_p"],
        top_k=fields["top_k"],
        seed=None if seed is None else (seed + choice.index % asked.n) % 2**63,
        logit_bias=fields["logit_bias"],
        repetition_penalty=fields["repetition_penalty"],
        presence_penalty=fields["presence_penalty"],
        frequency_penalty=fields["frequency_penalty"],
        logprobs=asked.top,
        prompt_logprobs=asked.prompt_top,
    )


def too_long(prompt: int, answer: int | None, context: int) -> Refusal:
    """Say what does not fit, with both numbers."""
    wanted = "" if answer is None else f" and max_tokens is {answer}"
    reason = f"the prompt has {prompt} tokens{wanted}; the context is {context} tokens for both."
    return Refusal(reason, "messages" if answer is None else "max_tokens")
