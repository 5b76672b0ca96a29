"""One small request of the probe, what came of it, and what is said where nothing good came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import msgspec

from harness.kernel.answers import FAILURES, Answer, Exchange
from harness.kernel.errors import SetupFailed
from sut.served.address import KEYS, Address
from sut.served.answers.read import Options, answer
from sut.served.answers.sse import events
from sut.served.once import exchange
from sut.served.requests import PATHS, Endpoint, asked

TIMEOUT_S = 300.0  # the first answer of a server may wait for its compiler
_PROMPT = "Count slowly from one to twenty, in words:"
_PLAIN = Options()


class Reply(NamedTuple):
    exchange: Exchange
    answer: Answer

    @property
    def is_good(self) -> bool:
        return not self.answer.failure

    @property
    def is_refused(self) -> bool:
        """Did the server refuse the request as it stands?"""
        return self.exchange.status in (400, 422, 501)

    @property
    def words(self) -> str:
        return self.answer.detail

    @property
    def body(self) -> bytes:
        return self.exchange.body

    @property
    def is_stream(self) -> bool:
        return "event-stream" in self.exchange.headers.get("content-type", "") or any(
            self.body.startswith(start) for start in (b"data:", b":", b"event:")
        )

    def chunks(self) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects that came."""
        for data in self.events() if self.is_stream else [self.body]:
            if (found := table(data)) is not None:
                yield found

    def events(self) -> list[bytes]:
        return [data for _, data, _, _ in events(self.exchange.pieces)]

    def choices(self) -> Iterator[dict[str, Any]]:
        """Yield the first choice of each object that has one."""
        for found in self.chunks():
            choices = found.get("choices")
            if isinstance(choices, list) and choices and isinstance(choices[0], dict):
                yield choices[0]


class Asking(NamedTuple):
    """Whom to ask, and how: all requests of a probe have this in common."""

    address: Address
    model: str
    endpoint: Endpoint
    limit: str = "max_tokens"
    fields: Mapping[str, Any] = {}

    def ask(
        self,
        tokens: int = 8,
        prompt: str | list[int] = _PROMPT,
        more: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Ask for a few tokens; a field of None in `more` is left out."""
        body = {
            "model": self.model,
            **asked(self.endpoint, prompt),
            self.limit: tokens,
            "temperature": 0,
            "stream": True,
            **self.fields,
            **(more or {}),
        }
        told = {name: value for name, value in body.items() if value is not None}
        return self.post(msgspec.json.encode(told))

    def post(self, body: bytes) -> Reply:
        path = self.address.path + PATHS[self.endpoint]
        found = exchange(self.address, "POST", path, body, TIMEOUT_S)
        return Reply(found, answer(found, _PLAIN))


def page(address: Address, path: str, timeout_s: float = 10.0) -> dict[str, Any] | None:
    """Return a JSON object that the server has under a path; None if it has none."""
    found = exchange(address, "GET", path, timeout_s=timeout_s)
    return table(found.body) if found.status == 200 else None


def table(data: bytes) -> dict[str, Any] | None:
    """Return a JSON object; None of anything else."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def check(address: Address, reply: Reply, doing: str = "") -> None:
    """Raise SetupFailed unless the answer is good: a line that says what to do about it."""
    if not reply.is_good:
        refuse(address, reply, doing or f"asking {address.url}")


def refuse(address: Address, reply: Reply, doing: str) -> NoReturn:
    """Say why a server is of no use. Raises SetupFailed."""
    found, words = reply.exchange, reply.words
    if found.ending in _UNREACHED:
        said, todo = _UNREACHED[found.ending]
        raise SetupFailed(doing, f"{said} ({words})" if words else said, "", todo)
    if found.ending == "tls":
        raise SetupFailed(doing, *_of_tls(words))
    if found.status in (401, 403):
        raise SetupFailed(doing, *_of_key(address, found.status, words))
    if not found.status and found.ending in ("stalled", "overdue"):
        said, todo = "the connection was taken, and nothing came", "Is it the right port?"
        raise SetupFailed(doing, said, "", todo)
    if not found.status:
        todo = "" if address.is_tls else "If it wants TLS, the address begins with https://."
        said = f"what answers there is no HTTP server: {FAILURES[reply.answer.failure]}"
        raise SetupFailed(doing, said, "", todo)
    said, todo = _of_answer(reply)
    raise SetupFailed(doing, said, "", todo)


_UNREACHED: Mapping[str, tuple[str, str]] = {
    "refused": ("no server answers there", "Start the server, or correct --base-url."),
    "unresolved": ("the host's name is not known", "Correct --base-url."),
    "no_connection": ("no connection was made within 10 s", "Check the address and the network."),
}


def _of_tls(words: str) -> tuple[str, str, str]:
    if not words.startswith("no handshake") and "certificate" not in words.lower():
        return (f"the server does not speak TLS ({words})", "", "Begin the address with http://.")
    if "certificate" not in words.lower():
        return (words, "", "If the server does not speak TLS, its address begins with http://.")
    todo = "Name the certificate with --ca-file, or pass --insecure to do without the check."
    return (f"its certificate is not trusted: {words}", "", todo)


def _of_key(address: Address, status: int, words: str) -> tuple[str, str, str]:
    if address.key:
        said = f"the server does not accept the key (HTTP {status})"
        return (said, "", "Check the variable that holds it; --api-key-env names another one.")
    todo = f"Run: export {KEYS[0]}=… (or name a variable with --api-key-env)."
    return (f"the server wants an API key (HTTP {status})", "", todo)


def _of_answer(reply: Reply) -> tuple[str, str]:
    """Return what is said of an answer that came, and what to do."""
    kind, words = reply.answer.failure, reply.words
    said = FAILURES[kind] + (f": {words}" if words else "")
    if kind == "overloaded":
        return said, "Wait until the server is ready, then go on."
    if kind == "redirected":
        return said, "Give the address that it names as --base-url."
    if reply.exchange.status == 404:
        return said, "Correct --base-url: the paths of the API follow it, /chat/completions first."
    return said, ""


def shape_of_error(reply: Reply) -> str:
    """Return in which of the shapes servers have the error of a refused request came."""
    found = next(reply.chunks(), None)
    if found is None:
        return f"HTTP {reply.exchange.status}, not JSON"
    if isinstance(found.get("error"), dict):
        return f"HTTP {reply.exchange.status}, an object in `error`"
    if "error" in found:
        return f"HTTP {reply.exchange.status}, a text in `error`"
    if "message" in found:
        return f"HTTP {reply.exchange.status}, flat"
    return f"HTTP {reply.exchange.status}, JSON of its own shape"
