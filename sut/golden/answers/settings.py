"""How does the golden server answer? All that can be asked of it, at the start or while it runs
(`POST /golden/settings`).
"""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Times count from the moment a request was read. `faults` maps queries, numbered from 0 in the
    order they come, to names of `faults.TABLE`: "6", "6+" (from there on), "*" (all).
    """

    model: str = "golden"
    like: str = "vllm"  # whose manner: a name of sut.golden.answers.manners.TABLE
    tokens: int = 16  # of an answer, its end token included, where the request does not say
    ttft_ms: float = 0.0
    per_token_ms: float = 0.0
    tokens_per_chunk: int = 1
    one_write: bool = False  # the whole answer at once, when its last token is due
    context: int = 4096  # tokens of prompt and answer
    prefix_cache: bool = False  # prompts that begin alike are cached, in blocks of 16 tokens
    key: str = ""  # what Authorization must hold; "" = nothing
    faults: dict[str, str] = {}
    fault_after: int = 3  # tokens that are sent before a fault strikes
    retry_after_s: float = 1.0  # of 429 and 503
    queue_ms: float = 0.0  # what `metrics` in the last chunk says; 0 = there is none
    stream: bool = True  # False: a request for a stream gets one JSON object
    stamps: bool = True  # keep the moments of what is sent


def fault_of(number: int, faults: dict[str, str]) -> str:
    """Return the name of the fault that strikes query `number`; "" for none."""
    exact = faults.get(str(number))
    if exact is not None:
        return exact
    for key, name in faults.items():
        if key == "*" or (key.endswith("+") and number >= int(key[:-1])):
            return name
    return ""


def changed(settings: Settings, body: bytes) -> Settings:
    """Return the settings with those that a JSON object names. Raises msgspec.MsgspecError."""
    given = msgspec.json.decode(body or b"{}", type=dict)
    return msgspec.convert(msgspec.to_builtins(settings) | given, Settings)
