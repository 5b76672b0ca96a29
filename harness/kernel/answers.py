"""What does a client of ours see of one answer that comes over HTTP, and when?

A worker (`sut.served.client`) sends requests on time and keeps what comes back as it came: an
Exchange. It is read into an Answer (`sut.served.answers`) outside the timed path, and recorded with
the worker's own stamps. Moments are of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from harness.kernel.types import NEVER, Finish

Ending = Literal[
    "whole",  # the body is complete, as its framing says
    "closed",  # the server closed the connection before that
    "reset", "refused", "unresolved", "tls", "no_connection",  # the last: not within the limit
    "stalled",  # nothing came for as long as may pass between two reads
    "overdue",  # not whole within the limit of a whole answer
    "malformed",  # what came is no HTTP
    "withdrawn",  # the run was ended first
]  # fmt: skip

FAILURES: Mapping[str, str] = {
    "refused": "the connection was refused",
    "unresolved": "the host's name is not known",
    "no_connection": "no connection was made in time",
    "tls": "the TLS handshake failed",
    "reset": "the connection was reset",
    "cut": "the connection was closed in the middle of the answer",
    "unfinished": "the answer ended without a finish_reason",
    "aborted": "the server gave the answer up",
    "error_event": "an error came in the stream",
    "overloaded": "the server had no room (429 or 503)",
    "client_error": "the server refused the request (4xx)",
    "server_error": "the server failed (5xx)",
    "redirected": "the server sent the client elsewhere",
    "not_json": "the answer is not what the API promises",
    "empty": "the answer holds no token and no end",
    "count_differs": "the server counts other tokens than it sent",
    "stalled": "nothing came for too long",
    "overdue": "the answer took too long",
    "malformed": "the answer is no HTTP",
}


def failures_allowed(budget_percent: float, samples: int) -> int:
    """Return how many samples an error budget lets fail: 0.7 % of 1,000 are 7."""
    return int(round(budget_percent * samples / 100, 6))


TOKEN_SOURCES: Mapping[str, str] = {  # the best that an answer has counts
    "ids": "the server's token ids",
    "logprobs": "the server's log-probabilities, one per token",
    "usage": "the server's running count",
    "tokenizer": "our own tokenizer on the text",
    "text": "pieces of text",
}


class Exchange(NamedTuple):
    """One request and what came back. `pieces` are the reads: the moment right after each, and the
    bytes of the body in it, without HTTP's own framing.
    """

    sample_id: int
    issued_ns: int  # right before its first byte was handed to the system
    status: int  # 0: no head came
    headers: Mapping[str, str]  # names in lower case
    pieces: Sequence[tuple[int, bytes]]
    ending: Ending
    end_ns: int
    detail: str = ""  # the system's words for an ending that is no good

    @property
    def body(self) -> bytes:
        return b"".join(data for _, data in self.pieces)


class Seen(NamedTuple):
    """What else an answer over HTTP tells. NEVER (-1) stands for what is not known."""

    first_content_ns: int = NEVER  # the first token that is part of the visible answer
    chunks: int = 0  # pieces of the stream that carried tokens
    prompt_tokens: int = NEVER
    cached_tokens: int = NEVER  # of the prompt, that the server had computed before
    queue_ns: int = NEVER  # as the server says
    retry_after_ns: int = NEVER  # as the server asks
    retries: int = 0  # accuracy mode only
    token_source: str = ""  # a key of TOKEN_SOURCES


@dataclass(slots=True)
class Answer:
    """What became of one sample. `token_ids` is None where only counts or texts came."""

    sample_id: int
    issued_ns: int
    done_ns: int
    first_ns: int = NEVER  # the first token of any kind
    finish: Finish = "error"
    token_ids: Sequence[int] | None = None
    stamps_ns: Sequence[int] = ()  # one per token; without ids, one per piece of text
    text: str = ""
    reported_tokens: int | None = None
    failure: str = ""  # a key of FAILURES
    detail: str = ""
    seen: Seen = field(default_factory=Seen)

    @property
    def error(self) -> str:
        """Return the failure in words, "" for none."""
        words = FAILURES.get(self.failure, self.failure)
        return f"{words}: {self.detail}" if self.detail else words


class Window(NamedTuple):
    """When does a dispatched plan end? The rules of `harness.engine.driver`, durations from its
    start. NEVER: the plan alone decides, as in accuracy mode.
    """

    min_queries: int = NEVER  # of a closed loop
    min_duration_ns: int = 0  # of a closed loop
    max_queries: int = NEVER
    max_duration_ns: int = NEVER
    retries: int = 0  # of an answer 429 or 503, after the time that the server asks for


class Hearer(Protocol):
    """Where a dispatcher tells what happened, with its own moments. Queries are named by their
    place in the plan; what is told comes in any order.
    """

    def sent(self, place: int, due_ns: int, issued_ns: int) -> None: ...

    def answered(self, answer: Answer) -> None: ...

    def ended(self, reason: str = "") -> None:
        """Hear that nothing more is sent and nothing is open; `reason`: it broke."""
        ...


class Scrape(NamedTuple):
    """Where a server tells what it counts: its /metrics. `key` is said nowhere."""

    url: str
    host: str
    port: int
    ca_file: str = ""
    is_checked: bool = True
    key: str = ""

    def __repr__(self) -> str:
        return f"Scrape({self.url})"

    @property
    def shown(self) -> dict[str, Any]:
        """Return all but the key."""
        facts = self._asdict()
        del facts["key"]
        return facts
