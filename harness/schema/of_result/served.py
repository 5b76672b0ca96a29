"""What result.json holds of a server that was asked."""

from __future__ import annotations

from harness.schema.parts import (
    choice,
    empty_or,
    flag,
    many,
    maybe,
    number,
    open_record,
    record,
    same_as,
    text,
    whole,
)

_DOES = many(
    "What it does, as found out before the clock started.",
    record("One thing.", {"what": text("What was tried."), "found": text("What came of it.")}),
)
_PROMPTS = open_record("How its prompts were kept cold.", {
    "salted": flag("Whether each request began with a salt of its own."),
    "head_tokens": whole("Tokens in front of the salt, the same in every prompt.", "tokens"),
    "counters": record("What its own counters counted during the part.", {
        "queries": number("Tokens of prompts.", "tokens"),
        "hits": number("Tokens that its prefix cache had.", "tokens"),
    }),
})  # fmt: skip
_CACHED = record("How much of the prompts it had computed before.", {
    "cached": whole("Tokens that were cached.", "tokens"),
    "prompt": whole("Tokens of all prompts.", "tokens"),
    "source": text("Who says so."),
})  # fmt: skip
_CHUNKS = record("In which pieces the tokens of completed samples came.", {
    "pieces": whole("Pieces of the streams that carried tokens.", "pieces"),
    "tokens": whole("Tokens in them.", "tokens"),
    "tokens_per_piece": maybe(number("Tokens of a piece, on average.", "tokens")),
    "largest": maybe(whole("Most tokens that came at one moment.", "tokens")),
})  # fmt: skip
_FAILURES = many("The ways in which samples failed, the most frequent first.", record("One way.", {
    "failure": text("Its class."),
    "meaning": text("What it means."),
    "samples": whole("Samples that failed so.", "samples"),
    "example": whole("The first of them."),
    "detail": text("What came in its place."),
}))  # fmt: skip
_FOUND = {
    "url": text("Its base URL."),
    "server": text("What it is, as far as it tells."),
    "version": text("Its version, as far as it tells."),
    "endpoint": choice("Which of the API's calls was used.", "chat", "completions"),
    "connect_ms": maybe(number("Time to connect, about one trip to it and back.", "ms")),
    "token_source": text("Who counted the tokens."),
    "does": _DOES,
    "prompts": _PROMPTS,
}
OF_SERVER = {
    **_FOUND,
    "evidence": many(
        "What its answers carry.", choice("A kind of evidence.", "ids", "counts", "text")
    ),
    "started": open_record("Of a server that the run started.", {
        "kind": text("Which server."),
        "command": many("Its command line.", text("An argument.")),
        "started_s": number("Time until it was healthy.", "s"),
    }),
}  # fmt: skip
SERVED = empty_or(record("Of a run that asked a server: what is known of it.", {
    **_FOUND,
    "model": text("Name that it has for the model."),
    "cached": _CACHED,
    "first_content_ms": same_as("summary_ms", "First visible token, from the due time."),
    "queue_ms": same_as("summary_ms", "Time in its queue, as it says itself."),
    "chunks": _CHUNKS,
    "failures": _FAILURES,
    "retries": whole("Requests that were sent again (accuracy mode only).", "requests"),
}))  # fmt: skip
