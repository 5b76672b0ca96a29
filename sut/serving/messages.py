"""What do a server and its engine say to each other? Requests that come and go, and what became of
them at each step.

Both sides are processes of ours, so a frame is a length and msgpack, and a message an array with
its name in front. Moments are of the machine's monotonic clock.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

End = Literal[
    "eos",  # the model's own end
    "stop",  # one of the request's `stop_token_ids`
    "length",  # `max_tokens`, or the model's context
    "cancelled",
    "error",  # the logits were no numbers
]

_LENGTH = struct.Struct("<I")


class Message(msgspec.Struct, array_like=True, tag=True, gc=False):
    """The base of all of them. Treat them as frozen."""


# ---- to the engine


class Options(Message, kw_only=True):
    """What is served, and how: `sut.local_model`'s settings, and the longest text (`max_len`, of
    prompt and answer together; None: the model's context, but at most 2,048).
    """

    path: str
    variant: str = "fp32"
    max_batch: int | None = 32  # None: what the device allows
    max_len: int | None = None
    device: str = "auto"
    device_map: str | None = None
    adapter: str | None = None
    merge_adapter: bool = False
    tf32: bool = False
    kv_cache_bytes: int | None = None
    prefill_tokens: int | None = None
    trust_remote_code: bool = False
    notes: list[str] = []


class Request(Message, kw_only=True):
    """One answer that is wanted. Several (`n`) are several requests, with a seed each.

    A temperature of 0 is greedy: the most likely token, and of several the one with the lowest id.
    `logprobs` and `prompt_logprobs` ask for the k most likely tokens beside the one that came (0:
    none beside it; None: nothing at all). They are those of the model itself, before bias,
    penalties and temperature, in float32.
    """

    id: int  # the caller's; not that of a request that is still open
    prompt_ids: list[int]
    max_tokens: int  # 0: nothing but the prompt's own log-probabilities
    min_tokens: int = 0  # no end token and no `stop_token_ids` before that
    ignore_eos: bool = False
    stop_token_ids: list[int] = []
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0  # 0 or below: all
    seed: int | None = None  # None: another answer each time
    logit_bias: dict[int, float] = {}  # added to the logits of these ids
    repetition_penalty: float = 1.0  # of tokens in prompt and answer
    presence_penalty: float = 0.0  # of tokens in the answer
    frequency_penalty: float = 0.0  # for each time in the answer
    logprobs: int | None = None
    prompt_logprobs: int | None = None


class Cancel(Message):
    """Nobody waits for it any more. Its row is free at the next step; `Done` follows."""

    id: int


class TooLarge(Message):
    """A request with a number that no message can carry, beyond 64 bits: it is refused."""

    id: int


# ---- from the engine


class Info(Message, kw_only=True):
    """What is served, once it is loaded."""

    model: str  # its folder: the tokenizer is there too
    variant: str
    context: int | None  # of the model; None: no limit
    max_len: int  # of prompt and answer together, as served
    max_rows: int  # requests that are decoded together
    vocabulary: int  # ids are below this
    eos_ids: list[int]
    chat_template: str | None
    cache_bytes: int | None
    dtype: str
    device: str
    batching: str  # "in flight", "static", ...: see sut.engine.serving
    facts: dict[str, Any] = {}  # those of `sut.local_model`
    notes: list[str] = []  # what to tell the user


class Failed(Message):
    """It cannot be loaded: a HarnessError's name and its four facts."""

    error: str
    facts: list[str]


class Scored(Message):
    """What the model thought of one token: `rank` is 1 for the most likely. The k most likely stand
    in order, and of equal ones the lowest id first; the token itself is among them only if it
    belongs there, with exactly this `logprob`.
    """

    token: int
    logprob: float
    rank: int
    top_ids: list[int]
    top_logprobs: list[float]


class Prompt(Message):
    """The log-probabilities of prompt tokens 1 to N - 1: nothing predicts the first."""

    id: int
    scored: list[Scored]


class Tokens(Message):
    """What one step added to an answer, an end token included. `scored` has one entry per id where
    the request asked for `logprobs`.
    """

    id: int
    ids: list[int]
    scored: list[Scored] = []


class Done(Message):
    """The last word about a request that was taken. Of `eos` and `stop`, the last id that came is
    the one that ended it.
    """

    id: int
    end: End
    tokens: int  # in the answer
    queue_ns: int  # from the engine's reading of the request to its first step; -1: it had none


class Refused(Message):
    """The last word about a request that was not taken. `parameter` is the field to blame."""

    id: int
    reason: str  # a sentence for the user
    parameter: str


class State(Message):
    """The last message of each frame: how full the engine is now."""

    running: int = 0
    waiting: int = 0
    cache_use: float = 0.0  # share of the key-value cache; 0 where the model keeps its own state


Event = Prompt | Tokens | Done | Refused
Asked = Options | Request | TooLarge | Cancel
Loaded = Info | Failed

_encode = msgspec.msgpack.Encoder().encode
asked = msgspec.msgpack.Decoder(list[Asked]).decode
loaded = msgspec.msgpack.Decoder(Loaded).decode
events = msgspec.msgpack.Decoder(list[Event | State]).decode


def frame(message: Any) -> bytes:
    """Return the bytes of one message, or of a list of them."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Bytes in, whole frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the body of every frame that is complete now."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield body
