"""What does a request get? The script of its answer, or of the failure that was asked for."""

from __future__ import annotations

import re
from typing import NamedTuple

from harness.kernel.clock import utc_now
from sut.golden import metrics, pages
from sut.golden.answers import asks, manners, scripts
from sut.golden.answers.asks import Ask, Refused
from sut.golden.answers.events import Answer, PrefixCache
from sut.golden.answers.faults import TABLE, Fault
from sut.golden.answers.scripts import Script, Write
from sut.golden.answers.settings import Settings, changed, fault_of
from sut.golden.connection import Request

_MOST_KEPT = 20_000  # scripts of requests that come again
_PLAIN = Fault("none")
_QUERIES = re.compile(r"\*|\d+\+?")


class Reply(NamedTuple):
    """A script and what stamps and counters need to know of it."""

    script: Script
    key: int = 0
    fault: str = ""
    ids: tuple[int, ...] = ()
    prompt_tokens: int = 0
    cached_tokens: int = 0
    is_answer: bool = False


class Answering:
    """The state of the server besides its connections."""

    def __init__(self, settings: Settings) -> None:
        self.created = int(utc_now().timestamp())
        self.set(settings)

    def set(self, settings: Settings) -> None:
        """Begin anew with these settings: queries are numbered from 0 again."""
        if settings.like not in manners.TABLE:
            raise ValueError(f"like: one of {', '.join(manners.TABLE)}")
        strange = [key for key in settings.faults if not _QUERIES.fullmatch(key)]
        if strange:
            raise ValueError(f"faults: {strange[0]!r} is no query; 6, 6+ or * would be fine")
        unknown = set(settings.faults.values()) - set(TABLE) - {""}
        if unknown:
            raise ValueError(f"faults: {', '.join(sorted(unknown))}; known: {', '.join(TABLE)}")
        self.settings, self.manner = settings, manners.TABLE[settings.like]
        self.counts = metrics.Counts()
        self._prefixes = PrefixCache()
        self._kept: dict[tuple[str, bytes], Reply] = {}

    def reply(self, request: Request) -> Reply:
        """Return what a request gets."""
        if request.method == "POST" and request.path.endswith("/completions"):
            return self._completion(request)
        if not self._may(request):
            return self._error(401, "Unauthorized")
        if request.path == "/golden/settings" and request.method == "POST":
            return self._changed(request.body)
        if request.method != "GET":
            return self._error(405 if request.path != "/" else 404, "Method Not Allowed")
        known = (self.settings, self.manner, self.counts, self.created)
        return Reply(Script([Write(0, pages.page(request, *known), 0)]))

    def _may(self, request: Request) -> bool:
        key = self.settings.key
        said = request.headers.get("authorization", "") if key else ""
        return not key or pages.is_free(request.path) or said == f"Bearer {key}"

    def _changed(self, body: bytes) -> Reply:
        try:
            self.set(changed(self.settings, body))
        except ValueError as error:  # msgspec's among them
            return self._error(400, str(error))
        return Reply(Script([Write(0, scripts.response(200, b"{}"), 0)]))

    def _completion(self, request: Request) -> Reply:
        number, settings = self.counts.received, self.settings
        self.counts.received += 1
        if not self._may(request):
            return self._error(401, "Unauthorized")
        name = fault_of(number, settings.faults) if settings.faults else ""
        cache_key = (request.path, request.body)
        if not name and (kept := self._kept.get(cache_key)):
            return kept
        try:
            ask = asks.read(request.path, request.body, settings, self.manner)
        except Refused as refused:
            return self._error(refused.status, str(refused))
        reply = self._made(ask, name or ask.fault)
        if not reply.fault and not settings.prefix_cache and len(self._kept) < _MOST_KEPT:
            self._kept[cache_key] = reply
        return reply

    def _made(self, ask: Ask, name: str) -> Reply:
        fault = TABLE.get(name, _PLAIN)
        if fault.status != 200 or fault.body or name == "nothing" or fault.turn in ("mute", "raw"):
            script = scripts.of_fault(fault, self.settings, self.manner)
            return Reply(script, ask.key, name)
        cached = self._prefixes.cached(ask.prompt_ids) if self.settings.prefix_cache else 0
        answer = Answer(ask, self.settings, self.manner, fault, cached, self.created)
        make = scripts.of_stream if ask.is_stream else scripts.of_whole
        script = make(answer, fault, self.settings, self.manner)
        sent = sum(write.tokens for write in script.writes)
        ids = tuple(answer.ids[:sent])
        return Reply(script, ask.key, name, ids, len(ask.prompt_ids), answer.cached, bool(ids))

    def _error(self, status: int, message: str) -> Reply:
        return Reply(Script([Write(0, pages.error(status, message, self.manner), 0)]))
