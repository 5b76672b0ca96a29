"""Which failures can a server be asked for? Each by name, with the class that a client should give
it (a key of `harness.kernel.answers.FAILURES`; "" where the answer is good all the same).

"After" means: after `Settings.fault_after` tokens of the answer.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Ending = Literal[
    "keep",  # the connection stays open
    "close",  # it is closed in order
    "reset",  # it is reset (RST)
    "hang",  # nothing more comes, and the connection stays open
    "die",  # the process is gone
]

_BUSY = '{"error":{"message":"no room","type":"overloaded","param":null,"code":%d}}'
_HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"


class Fault(NamedTuple):
    says: str
    class_: str = ""
    status: int = 200
    body: str = ""  # in place of any answer
    media: str = "application/json"
    headers: tuple[str, ...] = ()
    stops: bool = False  # the tokens after `fault_after` are not sent
    last: str = ""  # events in place of what is not sent, each ended by an empty line
    raw: bytes = b""  # bytes in place of what is not sent, outside of HTTP's framing
    whole: bool = True  # HTTP's framing is brought to its end
    ending: Ending = "keep"
    finish: str | None = None  # in place of the true finish_reason; "" = none is sent
    tokens: int | None = None  # of the answer, in place of the true number
    done: bool = True  # [DONE] is sent
    turn: str = ""  # what else is different; `events` and `scripts` know these words


def _status(says: str, class_: str, status: int, body: str = "", **more: object) -> Fault:
    shape = '{"error":{"message":"%s","type":"error","param":null,"code":%d}}'
    return Fault(says, class_, status, body or shape % (says, status), **more)  # type: ignore[arg-type]


_NESTED = 'data: {"error":{"message":"engine died","type":"InternalServerError","code":500}}\n\n'
_FLAT = 'data: {"object":"error","message":"engine died","type":"InternalError","code":500}\n\n'
_DONE = "data: [DONE]\n\n"

TABLE = {
    # ---- the answer ends in another way than it should
    "unfinished": Fault("ends after some tokens, in order", "unfinished", stops=True, done=False),
    "unfinished_done": Fault("the same, with [DONE]", "unfinished", stops=True),
    "no_finish": Fault("all tokens, but no finish_reason", "unfinished", finish=""),
    "aborted": Fault("finish_reason is abort", "aborted", stops=True, finish="abort"),
    "content_filter": Fault("finish_reason is content_filter", "aborted", finish="content_filter"),
    "error_event": Fault(
        "a nested error object, then [DONE]", "error_event", stops=True, last=_NESTED
    ),
    "error_flat": Fault("a flat error object", "error_event", stops=True, last=_FLAT, done=False),
    "error_named": Fault(
        "an event named error",
        "error_event",
        stops=True,
        last='event: error\ndata: {"message":"engine died"}\n\n',
        done=False,
    ),
    "empty": Fault("no token, no finish_reason, [DONE]", "empty", last=_DONE, turn="bare"),
    "not_json": Fault(
        "an event that is cut", "not_json", stops=True, last='data: {"choices":[{"in\n\n'
    ),
    "html_event": Fault(
        "HTML in the stream", "not_json", stops=True, last="data: <html>oops</html>\n\n"
    ),
    "count_differs": Fault("usage counts one token more", "count_differs", turn="count"),
    # ---- the connection ends
    "cut": Fault(
        "closed in the middle of a chunk",
        "cut",
        stops=True,
        raw=b'a7\r\ndata: {"id":"cut',
        whole=False,
        ending="close",
    ),
    "closed": Fault(
        "closed between two chunks", "cut", stops=True, whole=False, ending="close", done=False
    ),
    "reset": Fault("the connection is reset", "reset", stops=True, whole=False, ending="reset"),
    "unanswered": Fault(
        "closed once the request is read", "cut", raw=b"", whole=False, ending="close", turn="mute"
    ),
    "die": Fault("the server's process is gone", "cut", stops=True, whole=False, ending="die"),
    "stalled": Fault("nothing comes any more", "stalled", stops=True, whole=False, ending="hang"),
    "silent": Fault("nothing comes at all", "stalled", whole=False, ending="hang", turn="mute"),
    "slow": Fault("a token every 300 ms, for five minutes", "overdue", tokens=1_000, turn="slow"),
    # ---- it is no such answer
    "bad_request": _status("bad request", "client_error", 400),
    "unauthorized": _status("no such key", "client_error", 401),
    "forbidden": _status("not yours", "client_error", 403),
    "not_found": _status("no such model", "client_error", 404),
    "too_large": _status("too large", "client_error", 413),
    "flat_400": Fault(
        "a flat error with 400",
        "client_error",
        400,
        '{"object":"error","message":"bad","type":"BadRequestError","param":null,"code":400}',
    ),
    "busy": Fault("429 with Retry-After", "overloaded", 429, _BUSY % 429, turn="retry"),
    "unavailable": Fault("503 with Retry-After", "overloaded", 503, _BUSY % 503, turn="retry"),
    "server_error": _status("it broke", "server_error", 500),
    "bad_gateway": Fault("502 in HTML", "server_error", 502, _HTML, "text/html"),
    "html": Fault("200 in HTML", "not_json", 200, _HTML, "text/html"),
    "html_400": Fault("400 in HTML", "client_error", 400, _HTML, "text/html"),
    "nothing": Fault("200 with an empty body", "empty", 200, ""),
    "redirect": Fault(
        "307 to another address", "redirected", 307, "{}", headers=("location: /elsewhere",)
    ),
    "garbage": Fault(
        "no HTTP at all", "malformed", raw=b"\x16\x03\x01 hello\r\n\r\n", ending="close", turn="raw"
    ),
    "bad_chunk": Fault(
        "a chunk whose size is no number",
        "malformed",
        stops=True,
        raw=b"zz\r\ndata: x\r\n",
        whole=False,
        ending="close",
    ),
    # ---- good answers that clients stumble over
    "crlf": Fault("lines end with CR LF", turn="crlf"),
    "cr": Fault("lines end with CR", turn="cr"),
    "comments": Fault("comments between the events", turn="comments"),
    "no_space": Fault("no space after data:", turn="no_space"),
    "usage_with_choices": Fault("usage in the last chunk with choices", turn="usage_with_choices"),
    "no_done": Fault("no [DONE]", done=False),
    "eos_at_once": Fault("no visible token", finish="stop", tokens=1),
    "reasoning": Fault("the first four tokens are reasoning", turn="reasoning"),
    "tool_calls": Fault("a call of a tool", finish="tool_calls", turn="tool_calls"),
    "lumps": Fault("four tokens in a chunk", turn="lumps"),
    "split": Fault("every write in pieces of 7 bytes", turn="split"),
    "cached": Fault("the prompt was cached", turn="cached"),
    "no_length": Fault("no framing: the body ends with the connection", turn="no_length"),
    "close_after": Fault("connection: close", headers=("connection: close",), ending="close"),
    "close_idle": Fault("closed after the answer, without a word", ending="close"),
    "null_content": Fault("content is null where there is none", turn="null_content"),
    "early_hints": Fault("103 before the answer", turn="early_hints"),
    "trailers": Fault("headers after the body", turn="trailers"),
}
