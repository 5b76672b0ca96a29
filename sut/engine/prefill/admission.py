"""Which waiting prompts are fed in a step, and which of them in one call of the model?

First come, first served, as long as rows are free and the step's budget of prompt tokens lasts. A
prompt above the budget is fed in pieces, a piece a step, so that those that run are not stalled.

    packed   one call for all: nothing is padded. The rest of a long prompt goes first and others
             fill the step; a long prompt behind them takes what is left of the budget
    padded   as few calls as keep the padding small, the long prompts first; a piece goes alone
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sut.engine.batching import Request

_PADDING_SHARE = 1 / 8  # of a call's tokens may be padding,
_PADDING_TOKENS = 32  # or as many: another call costs more


class Part(NamedTuple):
    """A prompt's tokens from `request.fed` up to `end` are fed."""

    request: Request
    end: int

    @property
    def piece(self) -> Sequence[int]:
        return self.request.prompt_ids[self.request.fed : self.end]


def packed(
    long: Request | None, waiting: deque[Request], free_rows: int, budget: int
) -> list[list[Part]]:
    """Return one call. Whoever it feeds has left `waiting`; at most its last prompt is not whole
    afterwards.
    """
    parts, left = [], budget
    if long is not None:
        parts.append(_part(long, left))
        left -= len(parts[0].piece)
    while waiting and left > 0 and len(parts) < free_rows:
        length = len(waiting[0].prompt_ids)
        if left < length <= budget:
            break
        parts.append(_part(waiting.popleft(), left))
        left -= length
    return [parts]


def padded(
    long: Request | None, waiting: deque[Request], free_rows: int, budget: int
) -> list[list[Part]]:
    """Return the calls, in the order of arrival, each with the rows behind those of the one
    before.
    """
    if long is not None:
        return [[_part(long, budget)]]
    joining = [waiting.popleft()]
    tokens = len(joining[0].prompt_ids)
    while waiting and len(joining) < free_rows:
        tokens += len(waiting[0].prompt_ids)
        if tokens > budget:
            break
        joining.append(waiting.popleft())
    calls = _alike([len(request.prompt_ids) for request in joining])
    return [[_part(joining[i], budget) for i in sorted(call)] for call in sorted(calls, key=min)]


def _alike(lengths: Sequence[int]) -> list[list[int]]:
    """Put prompts of like lengths together, by their places: padded to the longest of a call, few
    of its tokens are padding.
    """
    calls: list[list[int]] = []
    longest = tokens = 0
    for place in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        padded_tokens = longest * (len(calls[-1]) + 1) if calls else 0
        waste = padded_tokens - tokens - lengths[place]
        if not calls or waste > max(_PADDING_TOKENS, _PADDING_SHARE * padded_tokens):
            calls.append([])
            longest, tokens = lengths[place], 0
        calls[-1].append(place)
        tokens += lengths[place]
    return calls


def _part(request: Request, most: int) -> Part:
    return Part(request, min(len(request.prompt_ids), request.fed + most))
