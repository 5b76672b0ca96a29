"""Answers over HTTP: streams of today's servers, split, bent, torn and mixed. Whatever comes, it is
tokens or a failure of a class, and the same however the bytes were read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from harness.kernel.answers import FAILURES, TOKEN_SOURCES, Answer, Exchange
from harness.kernel.errors import HarnessError
from harness.kernel.types import NEVER
from sut.served.answers.read import Options, answer
from tests.fuzz.inputs import ODD_TEXTS, bent, rotten
from tests.sut.served.answers.wire import JSON, SSE, STREAMS, event, exchange, split

_ENDINGS = ("whole",) * 6 + ("closed", "reset", "stalled", "overdue", "malformed")
_STATUSES = (200,) * 12 + (204, 301, 400, 401, 404, 429, 500, 503, 101, 0)
_HEADERS = (SSE,) * 8 + (JSON, {}, {"content-type": "text/html"}, {"retry-after": "7"},
                         {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "x"})  # fmt: skip
_DELIMITERS = (b"\n\n",) * 4 + (b"\r\n\r\n", b"\r\r", b"\n", b"\r\n", b"\n\r\n", b"")
_EXTRA = (b": ping\n\n", b"event: error\n", b"\xef\xbb\xbf", b"id: 1\n", b"data\n", b"\r", b"\n",
          b"<html>", b"data: [DONE]\n\n", b"data: {}\n\n", b"data: null\n\n")  # fmt: skip


def answers(place: Path) -> Callable[[Random], None]:
    """Return what reads one answer that was mutated or not."""
    return _read


def _read(rng: Random) -> None:
    body = _body(rng)
    options = Options(ends=rng.choice((None, _by_letter)), eos_ids=frozenset([2]))
    of_all = {
        "ending": rng.choice(_ENDINGS),
        "status": rng.choice(_STATUSES),
        "headers": rng.choice(_HEADERS),
        "detail": rng.choice(ODD_TEXTS),
        "end_ns": 1_000_000_000,
    }
    whole = exchange(body, **of_all)
    in_parts = exchange(split(body, rng), **of_all)
    found = answer(whole, options)
    _check(found, whole)
    parts = answer(in_parts, options)
    _check(parts, in_parts)
    assert timeless(parts) == timeless(found), "another answer by another split"
    if found.failure:
        raise HarnessError("an answer", found.failure)


def _by_letter(text: str) -> list[int]:
    return list(range(1, len(text) + 1))


def _body(rng: Random) -> bytes:
    """Return a body: of half the inputs one that a server sends, else one that none does."""
    chunks = list(rng.choice(list(STREAMS.values())))
    delimiter = rng.choice(_DELIMITERS)
    if rng.random() < 0.5:
        return b"".join(event(each, delimiter) for each in chunks)
    for _ in range(rng.randrange(3)):
        at = rng.randrange(len(chunks))
        match rng.randrange(4):
            case 0:
                chunks[at] = bent(chunks[at], rng)
            case 1:
                chunks.insert(at, rng.choice(rng.choice(list(STREAMS.values()))))
            case 2:
                chunks[at] = chunks[at - 1]
            case _:
                del chunks[at]
        chunks = chunks or ["[DONE]"]
    events = [event(each, delimiter) for each in chunks]
    if rng.random() < 0.3:
        events.insert(rng.randrange(len(events) + 1), rng.choice(_EXTRA))
    if rng.random() < 0.1:
        events = [json.dumps(chunks[0]).encode()]
    body = b"".join(events)
    return rotten(body, rng) if rng.random() < 0.4 else body


def timeless(found: Answer) -> Any:
    """Return what may not depend on the reads. Failures are shown by pieces: their words may."""
    seen = found.seen._replace(first_content_ns=0)
    return replace(found, first_ns=0, done_ns=0, stamps_ns=len(found.stamps_ns), seen=seen)  # type: ignore[arg-type]


def _check(found: Answer, whole: Exchange) -> None:
    """Raise AssertionError for an answer that cannot be recorded as it is."""
    assert found.failure in FAILURES or not found.failure
    assert (found.finish == "error") == bool(found.failure)
    found.text.encode()
    stamps = list(found.stamps_ns)
    assert stamps == sorted(stamps)
    if found.token_ids is not None:
        assert len(found.token_ids) == len(stamps)
        assert all(0 <= one < 1 << 31 for one in found.token_ids)
    if not found.failure:
        assert whole.issued_ns < found.first_ns <= found.done_ns
        assert found.seen.token_source in TOKEN_SOURCES
        assert found.reported_tokens is None or 0 <= found.reported_tokens < 1 << 31
    assert found.seen.prompt_tokens >= NEVER
