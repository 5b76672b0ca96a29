"""How is a judge asked over the OpenAI API? Many questions at a time, up to a limit, each with a
time limit and tries that wait longer and longer.

429, 5xx and a broken connection may pass: they are tried again, after the pause that the server
names (Retry-After) or one that doubles. 401, 403 and 404 do not pass, nor do `MOST_IN_A_ROW`
questions that failed after all tries: the judge is given up, and what is left is not asked. So is
a server that says that it takes no schema (`--judge-format choice`).
Whatever a server does is a Reply that says so; none raises.
"""

from __future__ import annotations

import json
import random
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Semaphore, Thread
from typing import Any, NamedTuple

from accuracy.judge.prompts import Form, Kind, schema
from harness.kernel.answers import Exchange
from harness.kernel.foreign import parsed
from harness.kernel.privacy.secrets import hidden
from harness.kernel.process import stopping
from harness.kernel.texts import on_one_line
from sut.served import once
from sut.served.address import Address

TRIES = 5  # of a question
MOST_IN_A_ROW = 5  # questions that failed, before a judge is given up
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
_FINAL = {
    401: "the server wants another API key (401)",
    403: "the key may not use it (403)",
    404: "there is no such model or path (404)",
}
_FINAL_ENDINGS = {"unresolved": "the host's name is not known", "tls": "the TLS handshake failed"}
_REFUSED = (400, 422, 501)
_OF_SCHEMAS = re.compile(rb"response_format|json_schema|schema|structured|grammar", re.IGNORECASE)
_LONGEST_DETAIL = 200  # characters


class Reply(NamedTuple):
    """What a judge said, or why it said nothing: `problem` is "" for an answer, "refused" for one
    that the judge or its filter declined, "cut" for one that its limit of tokens ended, "failed",
    or "not asked". Tokens are None where the server does not count them.
    """

    text: str = ""
    problem: str = ""
    detail: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    tries: int = 0


@dataclass
class Judge:
    """A judge: a model at an address. `stopped` says why it is asked no more."""

    name: str
    address: Address
    model: str
    max_tokens: int
    timeout_s: float
    stopped: str = ""
    form: Form = "text"
    limit: str = "max_tokens"  # what the server calls it
    failed_in_a_row: int = 0

    def body(self, kind: Kind, prompt: str) -> bytes:
        """Return the request, greedy and with a seed where the server takes them."""
        asked: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            self.limit: self.max_tokens,
        }
        if self.limit == "max_tokens":
            asked |= {"temperature": 0, "seed": 0}
        if self.form == "choice":
            asked |= {"response_format": schema(kind)}
        return json.dumps(asked).encode()


class Asking:
    """The questions to all judges, and the replies in the order in which they come. A prompt comes
    with the number of its judge, and its kind. So many requests are open at each judge.

    `for number, reply in asking` asks them: the number is that of a prompt. A reply that has come
    is kept here, so that a stop loses none that nobody has taken yet.
    """

    def __init__(
        self, judges: Sequence[Judge], prompts: Sequence[tuple[int, Kind, str]], concurrency: int
    ) -> None:
        self._judges, self._prompts, self._concurrency = judges, prompts, concurrency
        self._came: list[tuple[int, Reply]] = []
        self._ready, self._over = Semaphore(0), Event()

    def __iter__(self) -> Iterator[tuple[int, Reply]]:
        self._begin()
        for place in range(len(self._prompts)):
            stopping.check()
            while not self._ready.acquire(timeout=1.0):
                stopping.check()
            yield self._came[place]

    def stop(self) -> Sequence[tuple[int, Reply]]:
        """Ask no more; return all that has come, taken or not."""
        came = list(self._came)  # what is still being asked is not cut short and called a failure
        self._over.set()
        return came

    def _begin(self) -> None:
        for number, judge in enumerate(self._judges):
            left = deque(
                (i, kind, text)
                for i, (asked, kind, text) in enumerate(self._prompts)
                if asked == number
            )
            desk = _Desk(judge, left, self._keep, self._over)
            for _ in range(min(self._concurrency, len(left))):
                Thread(target=desk.work, daemon=True).start()

    def _keep(self, number: int, reply: Reply) -> None:
        self._came.append((number, reply))
        self._ready.release()


@dataclass
class _Desk:
    """The questions to one judge, and the threads that ask them."""

    judge: Judge
    left: deque[tuple[int, Kind, str]]
    keep: Callable[[int, Reply], None]
    over: Event

    def __post_init__(self) -> None:
        self._lock = Lock()

    def work(self) -> None:
        """Ask until nothing is left."""
        while not self.over.is_set():
            try:
                number, kind, prompt = self.left.popleft()
            except IndexError:
                return
            self.keep(number, self._asked(kind, prompt))

    def _asked(self, kind: Kind, prompt: str) -> Reply:
        if self.judge.stopped:
            return Reply(problem="not asked", detail=self.judge.stopped)
        reply = self._tried(kind, prompt)
        with self._lock:
            self._count(reply)
        return reply

    def _count(self, reply: Reply) -> None:
        """Give a judge up that does not answer."""
        judge = self.judge
        judge.failed_in_a_row = judge.failed_in_a_row + 1 if reply.problem == "failed" else 0
        if judge.failed_in_a_row >= MOST_IN_A_ROW and not judge.stopped:
            in_a_row = f"{MOST_IN_A_ROW} questions in a row failed, each after {reply.tries} tries"
            judge.stopped = f"{in_a_row}: {reply.detail}"

    def _tried(self, kind: Kind, prompt: str) -> Reply:
        reply = Reply()
        for number in range(1, TRIES + 1):
            limit = self.judge.limit
            found = once.exchange(
                self.judge.address,
                "POST",
                f"{self.judge.address.path}/chat/completions",
                self.judge.body(kind, prompt),
                self.judge.timeout_s,
            )
            reply = read(found)._replace(tries=number)
            if reply.problem != "failed":
                return reply
            if why := _final(found) or _no_schema(found, self.judge.form):
                self.judge.stopped = self.judge.stopped or why
                return reply
            if not self._may_pass(found, limit) or self.judge.stopped or number == TRIES:
                return reply
            if self.over.wait(_pause_s(found, number)):
                return reply
        return reply

    def _may_pass(self, found: Exchange, limit: str) -> bool:
        """May the same question be answered later, or in other words of the API?"""
        names = (b"max_completion_tokens", b"temperature", b"seed")
        if found.status == 400 and limit == "max_tokens" and any(n in found.body for n in names):
            self.judge.limit = "max_completion_tokens"
            return True
        return found.status in (0, 200, 408, 429) or found.status >= 500


def _final(found: Exchange) -> str:
    """Say why a judge need not be asked again."""
    return _FINAL.get(found.status) or (
        "" if found.status else _FINAL_ENDINGS.get(found.ending, "")
    )


def _no_schema(found: Exchange, form: Form) -> str:
    """Say that a server takes no schema, where it says so itself."""
    if form == "text" or found.status not in _REFUSED or not _OF_SCHEMAS.search(found.body):
        return ""
    return f"it does not take --judge-format choice ({_why(found)})"


def _pause_s(found: Exchange, tries: int) -> float:
    """Return how long to wait: what the server asks for, or twice as long each time, and a little
    by chance, so that many do not come back together.
    """
    try:
        asked_s = float(found.headers.get("retry-after", ""))
    except ValueError:  # none, or a date
        asked_s = -1.0
    if 0 <= asked_s <= LONGEST_PAUSE_S:
        return asked_s
    return min(FIRST_PAUSE_S * 2.0 ** (tries - 1), LONGEST_PAUSE_S) * random.uniform(1.0, 1.25)


def read(found: Exchange) -> Reply:
    """Read what a server answered."""
    if found.status != 200 or found.ending != "whole":
        return Reply(problem="failed", detail=_why(found))
    try:
        body = parsed.loads(found.body.decode())
        choice = body["choices"][0]
        message = choice["message"]
        text, refusal = str(message.get("content") or ""), str(message.get("refusal") or "")
        end = choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return Reply(problem="failed", detail="the answer is not what the API promises")
    tokens = _tokens(body.get("usage"))
    if refusal or end == "content_filter":
        return Reply(text or refusal, "refused", "", *tokens)
    return Reply(text, "cut" if end == "length" else "", "", *tokens)


def _tokens(usage: Any) -> tuple[int | None, int | None]:
    counts = usage if isinstance(usage, Mapping) else {}
    found = [counts.get(name) for name in ("prompt_tokens", "completion_tokens")]
    into, out = (n if type(n) is int and n >= 0 else None for n in found)
    return into, out


def _why(found: Exchange) -> str:
    """Say in a few words why there is no answer."""
    if not found.status:
        return found.detail or found.ending
    if found.ending != "whole":
        return f"HTTP {found.status}, and then {found.detail or found.ending}"
    words = on_one_line(hidden(found.body.decode(errors="replace")), _LONGEST_DETAIL)
    try:
        error = parsed.loads(found.body.decode())["error"]
        words = str(error["message"] if isinstance(error, Mapping) else error)
    except (ValueError, KeyError, TypeError):
        pass
    return f"HTTP {found.status}: {on_one_line(hidden(words), _LONGEST_DETAIL)}".rstrip(": ")
