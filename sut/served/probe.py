"""What does this server do? Found out by a dozen small requests before the clock starts.

    found = probe(address, "llama", wants_ids=True)
    found.endpoint, found.fields      how it is asked in the timed part
    found.rows                        the table that is shown and kept: what, found

Whatever a server lacks but an answer is a row; a server that gives no streamed answer is of no use,
and said to be so in a line (exit code 3): no server there, a wrong key, an unknown model, a
certificate that nobody vouches for, no streaming.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from harness.kernel.errors import SetupFailed
from sut.served import once
from sut.served.address import Address
from sut.served.probing import does, who
from sut.served.probing.asking import Asking, Reply, check
from sut.served.probing.does import Row, Spoken, row
from sut.served.requests import Endpoint

_NO_STREAM = "it answers, but not as a stream: nobody could say when the first token came"
_TRIPS = 3  # connections of which the quickest counts


class Found(NamedTuple):
    """How the server is to be asked, and what is known of it."""

    model: str
    endpoint: Endpoint
    takes_ids: bool  # /completions reads a prompt of token ids
    fields: Mapping[str, Any]  # of `endpoint`: those that it takes and that do something
    limit: str = "max_tokens"
    server: str = ""
    version: str = ""
    context: int | None = None  # tokens of prompt and answer; None = it does not say
    token_source: str = ""  # a key of TOKEN_SOURCES
    connect_ms: float | None = None
    rows: Sequence[Row] = ()


def probe(
    address: Address,
    model: str = "",
    endpoint: Literal["auto", "chat", "completions"] = "auto",
    wants_ids: bool = False,
    is_plain: bool = False,
) -> Found:
    """Return what the server does. `endpoint` "auto" is /completions if prompts are to be continued
    (`is_plain`), or if `wants_ids` and it takes them, else /chat/completions if there is one.
    Raises SetupFailed.
    """
    known = who.listed(address)
    asking = Asking(address, who.model(address, model, known), "chat")
    itself = who.who(address, asking.model, known)
    takes_ids, ids_row, first = _chosen(asking, endpoint, wants_ids, is_plain)
    _check_stream(address, first.reply)
    asking = does.settled(first)
    connect_ms = _connect_ms(address)
    return Found(
        model=asking.model,
        endpoint=asking.endpoint,
        takes_ids=takes_ids,
        fields=asking.fields,
        limit=asking.limit,
        server=itself.server,
        version=itself.version,
        context=itself.context,
        token_source=first.reply.answer.seen.token_source,
        connect_ms=connect_ms,
        rows=[
            row("server", " ".join(filter(None, (itself.server, itself.version))) or "unnamed"),
            row("context", f"{itself.context:,} tokens" if itself.context else "not told"),
            row("network", f"{connect_ms:.2f} ms to connect" if connect_ms else "not measured"),
            *does.of_stream(first.reply),
            ids_row,
            *does.of_lengths(asking),
            does.of_stop(asking, first.reply),
            does.of_logprobs(asking),
            does.of_echo(asking._replace(endpoint="completions")),
            does.of_cache(asking),
            does.of_errors(asking),
            does.of_refused(first.refused),
        ],
    )


def try_one(address: Address, found: Found, body: bytes) -> None:
    """Send one request of the timed part, best the longest. Raises SetupFailed with the server's
    words, such as that its context is too small.
    """
    asking = Asking(address, found.model, found.endpoint)
    check(address, asking.post(body), f"asking {address.url} for the longest sample")


def _chosen(
    asking: Asking,
    endpoint: Literal["auto", "chat", "completions"],
    wants_ids: bool,
    is_plain: bool,
) -> tuple[bool, Row, Spoken]:
    """Return whether ids are taken, its row, and how the chosen endpoint is spoken to."""
    plain = asking._replace(endpoint="completions")
    if endpoint == "completions":
        first = does.spoken(plain)
        return *does.of_ids(first.asking), first
    try:
        completions = does.spoken(plain)
        takes_ids, told = does.of_ids(completions.asking)
    except SetupFailed as failed:
        completions, takes_ids = None, False
        told = row("prompt as token ids", "no: there is no /completions")
        fault = failed
    suits = is_plain or (takes_ids and wants_ids)
    if completions is not None and suits and endpoint == "auto":
        return takes_ids, told, completions
    try:
        return takes_ids, told, does.spoken(asking)
    except SetupFailed:
        if endpoint == "chat":
            raise
        if completions is None:
            raise fault from None
        return takes_ids, told, completions


def _check_stream(address: Address, reply: Reply) -> None:
    if not reply.is_stream:
        todo = "Switch streaming on in the server, or in what stands in front of it."
        raise SetupFailed(f"asking {address.url}", _NO_STREAM, "", todo)


def _connect_ms(address: Address) -> float | None:
    try:
        return min(once.connect_ns(address) for _ in range(_TRIPS)) / 1e6
    except OSError:
        return None
