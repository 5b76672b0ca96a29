"""Did the server compute the prompts, or did it know them? What a prefix cache holds costs no time,
so the time to the first token would be that of another load.

Each request of a timed part begins with a salt of its own (`sut.served.salt`), so only what stands
in front of it can be known: a chat template's opening, `head_tokens` of the facts. More than
MOST_SHARE of the other tokens of the prompts is a warm cache that nobody asked for. With
--shared-prefix it was asked for: the share is told, and not judged.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from harness.kernel.log import RunLog
from harness.kernel.types import SutFacts, Verdict

MOST_SHARE = 0.05
_TODO = (
    "turn the server's prefix cache off, or pass --shared-prefix if you mean to measure a warm one"
)


class Known(NamedTuple):
    """Tokens of the prompts, how many of them were cached, and who says so."""

    cached: int
    prompt: int
    source: str


def cold_prompts(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that a server computed the prompts instead of finding them in its prefix cache."""
    name, cold = "cold_prompts", facts.get("prompts")
    if not isinstance(cold, dict):
        return Verdict(name, "SKIPPED", detail="the SUT is no server")
    opening = int(cold.get("head_tokens") or 0)
    known, salted = (cached_tokens(log, cold, head_tokens) for head_tokens in (0, opening))
    if known is None or salted is None:
        words = "the server does not say how much of the prompts it had cached"
        return Verdict(name, "SKIPPED", detail=words)
    share, head = salted.cached / max(salted.prompt, 1), known.cached - salted.cached
    told = f"{known.cached:,} of {known.prompt:,} prompt tokens were cached ({known.source})"
    if head:
        told += f", {head:,} of them the same opening of every prompt"
    if not cold.get("salted"):
        return Verdict(name, "SKIPPED", 100 * share, detail=f"{told}; nothing kept them cold")
    is_cold = share <= MOST_SHARE
    return Verdict(
        name, "PASS" if is_cold else "FAIL", 100 * share, 100 * MOST_SHARE, "%", told,
        remedy="" if is_cold else _TODO, margin=1 - share / MOST_SHARE,
    )  # fmt: skip


def cached_tokens(log: RunLog, cold: dict[str, Any], head_tokens: int = 0) -> Known | None:
    """Return what the answers say; else what the server's counters do; None where nobody tells.
    Servers say nothing of an answer whose prompt was not cached at all (vLLM).

    Of each prompt the first `head_tokens` do not count; counters do not tell prompts apart.
    """
    if any(seen.cached_tokens >= 0 for seen in log.seen.values()):
        cached = sum(max(seen.cached_tokens - head_tokens, 0) for seen in log.seen.values())
        prompt = sum(max(seen.prompt_tokens - head_tokens, 0) for seen in log.seen.values())
        return Known(cached, prompt, "as its answers say")
    counted = cold.get("counters")
    if isinstance(counted, dict) and counted.get("queries", 0) > 0:
        hits, queries = (
            max(int(counted[name]) - head_tokens * len(log), 0) for name in ("hits", "queries")
        )
        return Known(hits, queries, "as its counters say")
    return None
