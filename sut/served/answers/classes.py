"""Why is an answer no good, before anything in its body is read as tokens?

The connection comes first, then the status, then an error in the body. `words` finds what the
server says in each of the shapes that servers have:

    {"error": {"message": …, "type": …, "code": …}}     OpenAI, vLLM, llama.cpp
    {"object": "error", "message": …, "type": …}        SGLang, TensorRT-LLM
    {"error": "…", "error_type": …}                     Ollama, TGI
    {"detail": …}                                       FastAPI
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any

from harness.kernel.answers import Ending, Exchange
from harness.kernel.privacy.secrets import hidden
from harness.kernel.types import NEVER
from sut.served.answers.chunks import Chunk, NotJson, chunk

LONGEST = 300  # characters of somebody else's words
_NO_ANSWER: dict[Ending, str] = {  # endings that are a class by their own name
    "refused": "refused",
    "unresolved": "unresolved",
    "no_connection": "no_connection",
    "tls": "tls",
}
_BROKEN: dict[Ending, str] = {
    "closed": "cut",
    "reset": "reset",
    "stalled": "stalled",
    "overdue": "overdue",
    "malformed": "malformed",
}
_OVERLOADED = (429, 503)


def of_head(exchange: Exchange) -> tuple[str, str]:
    """Return the class and the words of an answer that is none by its connection or its status;
    ("", "") for one whose body counts.
    """
    status, ending = exchange.status, exchange.ending
    if ending in _NO_ANSWER:
        return _NO_ANSWER[ending], exchange.detail
    if ending == "withdrawn":
        return "", "the run ended first"
    if status == 0:
        return of_ending(ending) or "malformed", exchange.detail or "no answer came"
    if 200 <= status < 300:
        return "", ""
    told = words(b"".join(data for _, data in exchange.pieces))
    return _of_status(status), _joined(f"HTTP {status}", _place(exchange), told)


def of_ending(ending: Ending) -> str:
    """Return the class of an ending in mid-answer; "" for a whole body."""
    return _BROKEN.get(ending, "")


def _of_status(status: int) -> str:
    if status in _OVERLOADED:
        return "overloaded"
    if 300 <= status < 400:
        return "redirected"
    if 400 <= status < 500:
        return "client_error"
    return "server_error" if 500 <= status < 600 else "malformed"


def _place(exchange: Exchange) -> str:
    place = exchange.headers.get("location", "")
    return f"to {place}" if place and 300 <= exchange.status < 400 else ""


def words(body: bytes) -> str:
    """Return what a body says of an error, shortened; the body's own start where that is plain."""
    try:
        return of_chunk(chunk(body)) or _start(body)
    except NotJson:
        return _start(body)


def of_chunk(found: Chunk) -> str:
    """Return the words of an error in any of its shapes; "" if the chunk is no error."""
    if found.error:
        return _of_error(found.error)
    is_flat = found.object == "error" or (found.choices is None and bool(found.message))
    if is_flat:
        return _of_error({"message": found.message, "type": found.type, "code": found.code})
    if found.choices is None and found.detail:
        return shortened(str(found.detail))
    return ""


def _of_error(error: Any) -> str:
    if not isinstance(error, dict):
        return shortened(str(error))
    kinds = [str(error[key]) for key in ("type", "code") if error.get(key) not in (None, "")]
    message = str(error.get("message") or error.get("detail") or "an error without a message")
    kind = f" ({', '.join(kinds)})" if kinds else ""
    return shortened(message, LONGEST - len(kind[:100])) + kind[:100]


def _start(body: bytes) -> str:
    """Return the text of a page of HTML, or the first characters of what else it is."""
    text = body[:20_000].decode(errors="replace")
    if "<" in text[:200]:
        text = re.sub(r"(?is)<(script|style)\b.*?(</\1>|$)|<[^>]*>", " ", text)
    return shortened(" ".join(text.split()))


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return the text without secrets, and no longer than an example needs."""
    text = hidden(text[: 4 * longest])
    return text if len(text) <= longest else text[: longest - 1] + "…"


def retry_after_ns(exchange: Exchange) -> int:
    """Return how long the server asks to wait; NEVER if it does not."""
    asked_ms = _number(exchange.headers.get("retry-after-ms", ""))
    if asked_ms >= 0:
        return round(asked_ms * 1e6)
    asked = exchange.headers.get("retry-after", "")
    seconds = _number(asked)
    if seconds >= 0:
        return round(seconds * 1e9)
    return _until(asked, exchange.headers.get("date", ""))


def _until(asked: str, said_at: str) -> int:
    """Return the time from one date to another, both by the server's own clock."""
    try:
        wait = parsedate_to_datetime(asked) - parsedate_to_datetime(said_at)
    except (ValueError, TypeError, OverflowError):
        return NEVER
    return max(0, round(wait.total_seconds() * 1e9))


def _number(text: str) -> float:
    """Return a number of at most a day's seconds or milliseconds; NEVER for anything else."""
    plain = re.fullmatch(r"\s*(\d{1,8}(?:\.\d{1,9})?)\s*", text, re.ASCII)
    return float(plain[1]) if plain else NEVER


def _joined(*parts: str) -> str:
    return ": ".join(part for part in parts if part)
