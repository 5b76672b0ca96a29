"""How much of the prompts did a server find in its prefix cache, by its own counters? /metrics is
read before and after a timed part.

    vLLM      vllm:prefix_cache_queries_total, vllm:prefix_cache_hits_total        tokens
    SGLang    sglang:prompt_tokens_total, sglang:cached_tokens_total               tokens
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from sut.served.address import Address
from sut.served.once import exchange

_NAMES = {
    "queries": ("vllm:prefix_cache_queries", "sglang:prompt_tokens"),
    "hits": ("vllm:prefix_cache_hits", "sglang:cached_tokens"),
}
_TIMEOUT_S = 5.0
Counts = Mapping[str, float]


def read(address: Address) -> dict[str, float]:
    """Return `queries` and `hits` in tokens, as they stand; nothing where nobody counts."""
    found = exchange(address, "GET", "/metrics", timeout_s=_TIMEOUT_S)
    if found.status != 200:
        return {}
    text = found.body.decode(errors="replace")
    sums = {key: _sum(text, names) for key, names in _NAMES.items()}
    counts = {key: value for key, value in sums.items() if value is not None}
    return counts if len(counts) == len(_NAMES) else {}


def between(before: Counts, after: Counts) -> dict[str, float]:
    """Return what was counted since; nothing where one of the two is missing, or a server began
    anew.
    """
    if not before or not after or after["queries"] < before["queries"]:
        return {}
    return {key: after[key] - before[key] for key in after}


def _sum(text: str, names: tuple[str, ...]) -> float | None:
    """Return the sum of a counter over its labels; None if it is not there, or no number."""
    pattern = "|".join(map(re.escape, names))
    values = re.findall(rf"(?m)^(?:{pattern})(?:_total)?(?:\{{.*\}})?\s+(\S+)\s*$", text)
    try:
        found = sum(map(float, values))
    except ValueError:
        return None
    return found if values and math.isfinite(found) else None
